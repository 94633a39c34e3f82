"""Who comes in where pods reach the API."""

import socket
from ipaddress import IPv4Network

import pytest

from holdfast.cluster import pods_entrance

PODS = IPv4Network("10.244.0.0/16")


@pytest.mark.parametrize(
    ("address", "is_admitted"),
    [
        ("10.244.3.9", True),
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("198.51.100.1", False),
        ("192.0.2.7", False),
        ("203.0.113.9", False),
    ],
)
def test_pods_and_this_machine_are_admitted_nobody_else(address, is_admitted):
    assert pods_entrance.admits(PODS)(address) is is_admitted


def test_it_listens_on_an_address_that_does_not_exist_yet():
    listening = pods_entrance.listen("10.244.0.1", 0)
    assert listening is not None
    with listening:
        assert listening.getsockname()[0] == "10.244.0.1"


def test_a_port_that_another_program_has_costs_the_pods_their_way_not_the_start(caplog):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert pods_entrance.listen("127.0.0.1", other.getsockname()[1]) is None
    assert "pods cannot reach the API" in caplog.text
