"""Where the API listens, under what names, and what is said where it cannot."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address

import pytest
from tests.ports import quiet_port

from holdfast.cluster import listening
from holdfast.cluster.listening import (
    CannotListen,
    advertised,
    chosen,
    host_and_port,
    is_address,
    machine_addresses,
    names,
    open_sockets,
    takes_everything,
)

TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.10
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
"""
ADDRESSES6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000010 02 40 00 80     eth0
fe800000000000000000000000000001 02 40 20 80     eth0
"""


@contextlib.contextmanager
def listening_on(addresses, port=0):
    opened = open_sockets(addresses, port)
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def answers(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        return client.connect_ex((address, port)) == 0


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with one address of each family."""
    trie, addresses6 = tmp_path / "fib_trie", tmp_path / "if_inet6"
    trie.write_text(TRIE)
    addresses6.write_text(ADDRESSES6)
    found = machine_addresses(trie, addresses6)
    monkeypatch.setattr(listening, "machine_addresses", lambda: found)
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    return found


def test_the_machines_addresses_are_read_off_the_kernels_tables(machine):
    assert {*machine} == {ip_address("192.0.2.10"), ip_address("fd00::10")}


def test_a_machine_without_those_tables_has_none(tmp_path):
    assert machine_addresses(tmp_path / "none", tmp_path / "none") == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["127.0.0.1"], ()),
        (["::1", "192.0.2.10", "192.0.2.10"], ("192.0.2.10",)),
        (["0.0.0.0"], ("0.0.0.0",)),
        (["FD00::0010"], ("fd00::10",)),
    ],
)
def test_addresses_are_kept_beyond_loopback_and_once(given, kept):
    assert chosen(given) == kept


@pytest.mark.parametrize("given", ["", "localhost", "192.0.2", "224.0.0.1", "fe80::1"])
def test_what_others_cannot_name_is_refused(given):
    with pytest.raises(ValueError, match="address"):
        chosen([given])


def test_loopback_only_unless_asked():
    with listening_on([]) as (only,):
        assert only.getsockname()[0] == "127.0.0.1"
        assert not answers("127.0.0.2", only.getsockname()[1])


def test_further_addresses_get_the_same_port():
    port = quiet_port()
    with listening_on(["127.0.0.2"], port) as opened:
        assert [each.getsockname() for each in opened] == [("127.0.0.1", port), ("127.0.0.2", port)]


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_on_all_addresses_one_socket_is_enough(everywhere):
    with listening_on([everywhere, "127.0.0.2"]) as (only,):
        assert all(answers(address, only.getsockname()[1]) for address in ("127.0.0.1", "127.0.0.2"))
    assert takes_everything([everywhere])


def test_an_address_of_another_machine_is_said_to_be_one():
    with pytest.raises(CannotListen, match=r"203\.0\.113\.9 is no address of this machine: `ip address` shows"):
        open_sockets(["203.0.113.9"], 0)


def test_a_port_that_is_taken_is_named_with_its_address():
    with listening_on([]) as (other,):
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"port {port} on 127\.0\.0\.1 is taken: choose another with --port N"):
            open_sockets([], port)


def test_a_failure_leaves_nothing_open():
    port = quiet_port()
    with pytest.raises(CannotListen):
        open_sockets(["203.0.113.9"], port)
    with listening_on([], port) as (again,):
        assert again.getsockname()[1] == port


@pytest.mark.parametrize(
    ("addresses", "named"),
    [
        ([], []),
        (["192.0.2.10"], ["192.0.2.10", "box"]),
        (["0.0.0.0"], ["192.0.2.10", "box"]),
        (["::"], ["192.0.2.10", "box", "fd00::10"]),
        (["0.0.0.0", "fd00::99"], ["192.0.2.10", "box", "fd00::99"]),
    ],
)
def test_the_certificate_names_what_clients_may_use(machine, addresses, named):
    assert names(addresses) == named


def test_names_are_told_from_addresses():
    assert [is_address(each) for each in ("192.0.2.10", "fd00::10", "box", "box-2.example")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("addresses", "found"),
    [([], ""), (["192.0.2.10", "192.0.2.11"], "192.0.2.10"), (["fd00::10"], "fd00::10"), (["0.0.0.0"], "192.0.2.77")],
)
def test_one_address_is_told_to_others(monkeypatch, addresses, found):
    monkeypatch.setattr("holdfast.cluster.node_parts.host_address", lambda: "192.0.2.77")
    assert advertised(addresses) == found


def test_a_machine_that_reaches_nobody_has_none_to_tell(monkeypatch):
    monkeypatch.setattr("holdfast.cluster.node_parts.host_address", lambda: "127.0.0.1")
    assert advertised(["0.0.0.0"]) == ""


def test_ports_follow_addresses_as_urls_have_them():
    assert (host_and_port("192.0.2.10", 1), host_and_port("fd00::10", 1)) == ("192.0.2.10:1", "[fd00::10]:1")
