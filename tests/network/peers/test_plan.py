"""Which routes lead to other machines, and what is said where there can be none."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from holdfast.network.peers.plan import Far, Here, Route, peers, ways

PODS = ip_network("10.244.0.0/16")
PODS6 = ip_network("fd00:10:244::/56")
FIRST = Here(("vm", "vm-2"), (PODS,))
NOBODY = Route(PODS)


def node(name, *slices, addresses=(), machine=None, created="2026-01-01T00:00:00Z"):
    machine = name if machine is None else machine
    labels = {"holdfast.dev/machine": machine} if machine else {}
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": created},
        "spec": {"podCIDR": slices[0], "podCIDRs": list(slices)} if slices else {},
        "status": {"addresses": [{"type": "InternalIP", "address": each} for each in addresses]},
    }


def found(nodes, reached, here=FIRST):
    return ways(peers(nodes, here), {ip_address(address): reach for address, reach in reached.items()}, here)


def test_a_machine_on_the_same_link_is_reached_by_its_own_address():
    made = found([node("far", "10.244.64.0/24", addresses=["192.168.1.9"])], {"192.168.1.9": 7})
    assert made.routes == {NOBODY, Route(ip_network("10.244.64.0/24"), ip_address("192.168.1.9"), 7)}
    assert made.problems == {}


def test_alone_a_machine_has_none_but_to_where_nobody_is():
    made = found([node("vm", "10.244.0.0/24", machine=""), node("vm-2", "10.244.1.0/24", machine="")], {})
    assert (made.routes, made.problems) == ({NOBODY}, {})


@pytest.mark.parametrize(
    ("reach", "says"),
    [
        (Far.BEYOND, "192.168.1.9 is behind a router: machines of a cluster have to share a link"),
        (Far.NOWHERE, "there is no way to 192.168.1.9"),
        (None, "there is no way to 192.168.1.9"),
    ],
)
def test_one_that_is_not_on_the_link_is_told_of_and_no_way_is_pretended(reach, says):
    reached = {} if reach is None else {"192.168.1.9": reach}
    made = found([node("far", "10.244.64.0/24", addresses=["192.168.1.9"])], reached)
    assert made.routes == {NOBODY}
    assert made.problems["far"].startswith(says)


def test_a_node_in_this_very_network_needs_no_route():
    made = found([node("far", "10.244.64.0/24", addresses=["192.168.1.1"])], {"192.168.1.1": Far.OWN})
    assert (made.routes, made.problems) == ({NOBODY}, {})


def test_a_node_that_has_not_told_of_itself_yet_is_no_problem():
    made = found([node("far", "10.244.64.0/24"), node("farther")], {})
    assert (made.routes, made.problems) == ({NOBODY}, {})


def test_the_first_machine_is_reached_where_the_api_is_if_its_own_address_is_on_another_link():
    here = Here(("far",), (PODS,), server="172.16.0.1")
    first = node("vm", "10.244.0.0/24", addresses=["192.0.2.2"], machine="")
    other = node("third", "10.244.65.0/24", addresses=["172.16.0.3"])
    reached = {"172.16.0.1": 3, "192.0.2.2": Far.BEYOND, "172.16.0.3": 3}
    made = found([first, other], reached, here)
    assert made.routes - {NOBODY} == {
        Route(ip_network("10.244.0.0/24"), ip_address("172.16.0.1"), 3),
        Route(ip_network("10.244.65.0/24"), ip_address("172.16.0.3"), 3),
    }
    assert made.problems == {}


def test_each_family_goes_by_addresses_of_its_own():
    here = Here(("vm",), (PODS, PODS6))
    both = node("far", "10.244.64.0/24", "fd00:10:244:40::/64", addresses=["192.168.1.9", "2001:db8::9"])
    made = found([both], {"192.168.1.9": 7, "2001:db8::9": 7}, here)
    assert Route(ip_network("fd00:10:244:40::/64"), ip_address("2001:db8::9"), 7) in made.routes
    one = node("far", "10.244.64.0/24", "fd00:10:244:40::/64", addresses=["192.168.1.9"])
    made = found([one], {"192.168.1.9": 7}, here)
    assert len(made.routes) == 3
    assert made.problems["far"] == "it tells of no address of IPv6 to reach fd00:10:244:40::/64 by"


def test_of_two_nodes_with_one_range_the_older_one_has_it():
    old = node("old", "10.244.64.0/24", addresses=["192.168.1.8"])
    new = node("new", "10.244.64.0/24", addresses=["192.168.1.9"], created="2026-02-02T00:00:00Z")
    made = found([new, old], {"192.168.1.8": 7, "192.168.1.9": 7})
    assert made.routes - {NOBODY} == {Route(ip_network("10.244.64.0/24"), ip_address("192.168.1.8"), 7)}
    assert "is another node's, too" in made.problems["new"]


def test_a_range_that_is_not_the_clusters_any_more_is_told_of():
    made = found([node("far", "10.250.64.0/24", addresses=["192.168.1.9"])], {"192.168.1.9": 7})
    assert made.routes == {NOBODY}
    assert made.problems["far"].startswith("its pods' range 10.250.64.0/24 is none of the cluster's, 10.244.0.0/16")
