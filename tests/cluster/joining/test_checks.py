"""What keeps a machine from joining is said before anything is changed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from holdfast.cluster.home import Home
from holdfast.cluster.joining.checks import (
    CannotJoin,
    check_facts,
    check_home,
    check_node,
    check_routes,
    slice_number,
)
from holdfast.cluster.joining.facts import can_be_joined, facts_of, joined_settings
from holdfast.cluster.settings import Settings

FIRST = Settings(
    nodes=3,
    chosen="oci",
    pod_cidr="10.245.0.0/16,fd00:10:245::/56",
    service_cidr="10.97.0.0/16,fd00:10:97::/112",
    ip_families=("IPv4", "IPv6"),
    feature_gates=("Some",),
)
URL = "https://192.168.1.5:6443"


def node(*slices, labels=None):
    metadata = {"name": "far", "labels": {"holdfast.dev/machine": "far"} if labels is None else labels}
    return {"metadata": metadata, "spec": {"podCIDR": slices[0], "podCIDRs": list(slices)}}


def test_a_directory_with_a_cluster_of_its_own_or_another_node_is_not_taken(tmp_path):
    home, joined = Home(tmp_path), joined_settings(facts_of(FIRST), URL, "far", 64)
    check_home(home, None, "far")
    check_home(home, joined, "far")
    with pytest.raises(CannotJoin, match="a cluster of its own: choose another directory with --home"):
        check_home(home, FIRST, "far")
    with pytest.raises(CannotJoin, match="has joined as far"):
        check_home(home, joined, "near")


@pytest.mark.parametrize(
    ("settings", "runtime"),
    [(FIRST.changed(chosen="process"), "process"), (FIRST.changed(is_rootless=True), "oci, without root")],
)
def test_a_cluster_whose_pods_nobody_reaches_cannot_be_joined(settings, runtime):
    assert not can_be_joined(settings)
    with pytest.raises(CannotJoin, match=f"its runtime: {runtime}"):
        check_facts(facts_of(settings))
    assert can_be_joined(FIRST)
    check_facts(facts_of(FIRST))


@pytest.mark.parametrize("taken", ["10.245.7.0/24", "10.97.0.0/24", "fd00:10:245:3::/64", "10.0.0.0/8"])
def test_ranges_that_this_machine_routes_already_are_told(taken):
    with pytest.raises(CannotJoin, match=f"routes {taken} already"):
        check_routes(facts_of(FIRST), [ip_network("0.0.0.0/0"), ip_network("192.168.1.0/24"), ip_network(taken)])
    check_routes(facts_of(FIRST), [ip_network("0.0.0.0/0"), ip_network("10.244.0.0/16")])


def test_the_name_of_another_machines_node_is_taken():
    check_node(node("10.245.64.0/24"), "far")
    with pytest.raises(CannotJoin, match="choose another name with --name"):
        check_node(node("10.245.64.0/24", labels={}), "far")


def test_the_slices_have_one_number():
    pods = FIRST.pod_networks()
    assert slice_number(node("10.245.70.0/24", "fd00:10:245:46::/64"), pods) == 70
    for slices in (["10.244.70.0/24"], ["10.245.70.0/24"], ["10.245.70.0/24", "fd00:10:245:47::/64"]):
        with pytest.raises(CannotJoin, match="holdfast down here, then join again"):
            slice_number(node(*slices), pods)


def test_what_the_first_machine_publishes_makes_the_others_settings():
    made = joined_settings(facts_of(FIRST), URL, "far", 70)
    assert made.node_names() == ["far"]
    assert [str(slice.node) for slice in made.slices(0)] == ["10.245.70.0/24", "fd00:10:245:46::/64"]
    assert made.dns_address() == "10.245.70.1", "names are answered here"
    assert made.service_networks() == FIRST.service_networks()
    assert (made.is_joined, made.driver, made.feature_gates) == (True, "oci", ("Some",))
    assert not FIRST.is_joined


def test_no_secret_is_published():
    assert set(facts_of(FIRST)) == {
        "version",
        "runtime",
        "podCIDR",
        "serviceCIDR",
        "ipFamilies",
        "dnsDomain",
        "without",
        "featureGates",
    }
