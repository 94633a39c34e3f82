"""Which ports are open, by the kernel's word (R152)."""

from __future__ import annotations

import socket
import sys

import pytest

from holdfast.node.runtime.listening import ListeningPorts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs netlink")


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
def test_a_port_is_open_as_soon_as_the_socket_listens(family, address):
    try:
        listening = ListeningPorts("")
        listening.ports()
    except OSError as error:
        pytest.skip(f"sock_diag is not to be had here: {error}")
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind((address, 0))
        port = server.getsockname()[1]
        assert port not in listening.ports()
        server.listen()
        assert port in listening.ports()
    assert port not in listening.ports()
    listening.close()


def test_n120_a_port_on_loopback_only_does_not_count():
    try:
        listening = ListeningPorts("")
        listening.ports()
    except OSError as error:
        pytest.skip(f"sock_diag is not to be had here: {error}")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert port not in listening.ports()
        assert port in listening.ports("127.0.0.1")
        assert port not in listening.ports("127.0.0.2")
    listening.close()
