"""Agents that have moved into another network, and what of them stays outside."""

import functools
import os
import socket

import pytest

from holdfast.cluster.outside import Outside
from holdfast.node.capabilities import attempt
from holdfast.world import linux, user_namespace


def network():
    return os.readlink("/proc/thread-self/ns/net")


def test_where_nothing_moves_everything_is_done_in_place():
    outside = Outside(moves=False)
    assert outside.do(network) == network()


def test_r73_what_is_made_outside_stays_there_though_the_process_has_moved():
    """In a child: this process is not to move."""

    def move():
        before = network()
        user_namespace.enter()
        outside = Outside(moves=True)
        linux.unshare(linux.CLONE_NEWNET)
        assert network() != before
        assert outside.do(network) == before
        server = outside.listen("127.0.0.1")
        inside = socket.socket()
        with pytest.raises(OSError, match="unreachable"):
            inside.connect(server.getsockname())
        client = outside.do(functools.partial(socket.create_connection, server.getsockname(), 5))
        assert server.accept()[1] == client.getsockname()

    if attempt(user_namespace.enter):
        pytest.skip("no user namespaces here")
    assert attempt(move) == ""
