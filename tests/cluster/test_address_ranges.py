"""The range of pod addresses, chosen against what the machine routes and other clusters hold."""

import logging
import os
import socket
from ipaddress import IPv4Network, ip_network

import pytest

from holdfast.cluster import address_ranges
from holdfast.cluster.address_ranges import OF_AGENTS, PODS, SERVICES, Machine
from holdfast.network.pods import ranges

USUAL = IPv4Network("10.244.0.0/16")
NEXT = IPv4Network("10.245.0.0/16")
OWN = 100 + os.getpid() % 90
"""Ranges are held on the whole machine: test processes side by side have some of their own."""


def machine(routed=(), held=(), left=(), is_apart=False):
    """`held` are other clusters' ranges, `left` has the gateways of agents that were killed."""
    return Machine(
        is_apart=is_apart,
        routed=lambda: [*map(ip_network, map(str, routed))],
        hold=lambda what, network, is_ours: None if str(network) in map(str, held) else object(),
        is_left=lambda network: network in left,
    )


def choose(saved="", in_use=False, **there_is):
    """The range of pods of a cluster with one family."""
    before = (ip_network(saved),) if saved else ()
    (network,), _ = address_ranges.choose_pods(before, [4], in_use, machine(**there_is))
    return network


def chosen(choose, saved=(), *arguments, **there_is):
    """Of a cluster with two families, as text."""
    networks, _ = choose(tuple(map(ip_network, saved)), [4, 6], *arguments, machine(**there_is))
    return tuple(map(str, networks))


def pods(saved=(), in_use=False, **there_is):
    return chosen(address_ranges.choose_pods, saved, in_use, **there_is)


def services(saved=(), **there_is):
    return chosen(address_ranges.choose_services, saved, (USUAL,), **there_is)


def test_the_usual_range_is_taken_where_it_is_free():
    assert choose(routed=[IPv4Network("0.0.0.0/0"), IPv4Network("192.168.1.0/24")]) == USUAL


def test_a_range_that_is_routed_is_passed_over():
    assert choose(routed=[IPv4Network("10.244.3.2/32")]) == NEXT


def test_a_range_that_another_cluster_holds_is_passed_over():
    assert choose(held=[USUAL]) == NEXT


def test_the_last_starts_range_is_preferred():
    assert choose(saved="10.250.0.0/16") == IPv4Network("10.250.0.0/16")


def test_the_last_starts_range_is_given_up_if_somebody_took_it_meanwhile():
    assert choose(saved="10.244.0.0/16", routed=[IPv4Network("10.244.0.1/32")]) == NEXT
    assert choose(saved="10.244.0.0/16", held=[USUAL]) == NEXT


def test_a_range_whose_pods_run_stays():
    assert choose(saved="10.244.0.0/16", in_use=True, routed=[IPv4Network("10.244.0.1/32")]) == USUAL


def test_a_range_whose_agents_were_killed_too_stays_for_the_sake_of_its_pods():
    routed = [IPv4Network("10.244.0.1/32"), IPv4Network("10.244.0.2/32")]
    assert choose(saved="10.244.0.0/16", routed=routed, left=[USUAL]) == USUAL
    assert choose(saved="10.244.0.0/16", routed=routed, left=[USUAL], held=[USUAL]) == NEXT


def test_r71_pods_in_a_network_of_their_own_keep_a_range_that_another_cluster_has_taken_meanwhile():
    assert choose(saved="10.244.0.0/16", left=[USUAL], held=[USUAL], is_apart=True) == USUAL
    assert choose(saved="10.244.0.0/16", held=[USUAL], is_apart=True) == NEXT


def test_two_clusters_never_hold_the_same_range():
    for network in (IPv4Network(f"10.{OWN}.0.0/16"), ip_network(f"fd00:10:{OWN}::/56")):
        first = address_ranges.hold(PODS, network)
        assert first is not None
        assert address_ranges.hold(PODS, network) is None
        first.close()
        second = address_ranges.hold(PODS, network)
        assert second is not None
        second.close()


def test_a_machine_that_routes_all_of_them_is_told():
    with pytest.raises(ranges.NoRangeLeft):
        choose(routed=[IPv4Network("10.0.0.0/8")])


def test_every_node_has_its_slice():
    assert ranges.node_range(USUAL, 0) == IPv4Network("10.244.0.0/24")
    assert ranges.node_range(USUAL, 3) == IPv4Network("10.244.3.0/24")
    with pytest.raises(ValueError, match="room for 256 nodes"):
        ranges.node_range(USUAL, 256)
    six = ip_network("fd00:10:244::/56")
    assert ranges.node_range(six, 3) == ip_network("fd00:10:244:3::/64")
    with pytest.raises(ValueError, match="room for 256 nodes"):
        ranges.node_range(six, 256)


def test_with_both_families_a_cluster_has_two_ranges_that_are_alike():
    assert pods() == ("10.244.0.0/16", "fd00:10:244::/56")
    assert pods(held=[USUAL]) == ("10.245.0.0/16", "fd00:10:245::/56")
    assert pods(routed=["fd00::/64", "fd00:10:244:3::/64"]) == ("10.244.0.0/16", "fd00:10:245::/56")
    assert services() == ("10.96.0.0/16", "fd00:10:96::/112")


def test_a_cluster_may_gain_its_second_range_while_its_pods_run():
    left = ["10.244.0.1/32", "10.244.0.0/24"]
    assert pods(["10.244.0.0/16"], in_use=True, routed=left) == ("10.244.0.0/16", "fd00:10:244::/56")
    assert services(["10.96.0.0/16"]) == ("10.96.0.0/16", "fd00:10:96::/112")


def test_a_second_range_stays_as_the_first_does():
    both = ("10.244.0.0/16", "fd00:10:250::/56")
    assert pods(both, in_use=True, routed=["fd00:10:250::/64"]) == both
    assert pods(both, routed=["fd00:10:250::/64"]) == ("10.244.0.0/16", "fd00:10:244::/56")


def test_d12_a_range_of_services_is_chosen_against_other_clusters_and_pods():
    assert services(held=["10.96.0.0/16"]) == ("10.97.0.0/16", "fd00:10:97::/112")
    assert services(routed=["10.96.0.10/32"]) == ("10.97.0.0/16", "fd00:10:97::/112")
    networks, _ = address_ranges.choose_services((), [4], (IPv4Network("10.96.0.0/16"),), machine())
    assert networks == (IPv4Network("10.97.0.0/16"),)


def test_d13_a_range_of_services_stays_whoever_has_it_too(caplog):
    """Services keep their addresses: of clusters from before ranges were held, two may have the same."""
    with caplog.at_level(logging.WARNING):
        assert services(["10.96.0.0/16"], held=["10.96.0.0/16"], routed=["10.96.0.0/16"])[0] == "10.96.0.0/16"
    assert "services may be those of another cluster range=10.96.0.0/16" in caplog.text


def test_agents_hold_the_range_of_services_while_the_daemon_is_away():
    network = IPv4Network(f"10.{OWN}.0.0/16")
    agents = address_ranges.hold_name(SERVICES, network, OF_AGENTS)
    assert agents is not None
    with agents:
        assert address_ranges.hold(SERVICES, network) is None
        back = address_ranges.hold(SERVICES, network, True)
        assert back is not None
        back.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may know who answers at port 53")
@pytest.mark.parametrize(
    ("network", "gateway"),
    [
        pytest.param(f"10.{OWN}.0.0/16", f"10.{OWN}.0.1", id="IPv4"),
        pytest.param(f"fd00:10:{OWN}::/56", f"fd00:10:{OWN}::1", id="IPv6"),
    ],
)
def test_a_range_where_something_answers_for_the_nameserver_is_passed_over(network, gateway):
    version = ip_network(network).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        other.setsockopt(*address_ranges.FREEBIND[version], 1)
        other.bind((gateway, 53))
        assert address_ranges.hold(PODS, ip_network(network)) is None
    holding = address_ranges.hold(PODS, ip_network(network))
    assert holding is not None
    holding.close()
