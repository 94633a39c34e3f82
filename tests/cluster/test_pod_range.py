"""The range of pod addresses, chosen against what the machine routes and other clusters hold."""

from ipaddress import IPv4Network

import pytest

from holdfast.cluster import pod_range
from holdfast.network.pods import ranges

USUAL = IPv4Network("10.244.0.0/16")
NEXT = IPv4Network("10.245.0.0/16")


def choose(saved="", in_use=False, routed=(), held=(), left=()):
    """The range; `held` are other clusters', `left` has the gateways of agents that were killed."""
    taken = []

    def hold(network):
        taken.append(network)
        return None if network in held else object()

    return pod_range.choose(saved, in_use, lambda: list(routed), hold, lambda network: network in left)[0]


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


def test_two_clusters_never_hold_the_same_range():
    network = IPv4Network("10.199.0.0/16")
    first = pod_range.hold(network)
    assert first is not None
    assert pod_range.hold(network) is None
    first.close()
    second = pod_range.hold(network)
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
