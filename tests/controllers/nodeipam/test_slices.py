"""Machines that join get slices which nobody else has, and never one of the first machine's."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from holdfast.controllers.actions import Emit, Patch
from holdfast.controllers.nodeipam.plan import ObservedNode, free, plan_slices

RANGE, RANGE6 = ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")


def node(name="far", **spec):
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "7"}, "spec": spec}


def test_the_first_machine_keeps_its_64_slices_whether_it_has_so_many_nodes_or_not():
    (patch,) = plan_slices(ObservedNode(node(), (), (RANGE, RANGE6))).actions
    assert isinstance(patch, Patch)
    slices = ["10.244.64.0/24", "fd00:10:244:40::/64"]
    assert patch.patch["spec"] == {"podCIDR": slices[0], "podCIDRs": slices}
    assert patch.patch["metadata"]["resourceVersion"] == "7", "of two that decide at once, one has to look again"


def test_a_node_keeps_what_it_has():
    assert plan_slices(ObservedNode(node(podCIDR="10.244.70.0/24"), (), (RANGE,))).actions == ()


def test_a_slice_that_came_free_is_given_again():
    taken = [ip_network(f"10.244.{number}.0/24") for number in range(64, 256) if number != 100]
    assert free((RANGE,), taken) == (ip_network("10.244.100.0/24"),)


def test_both_families_have_the_same_number():
    taken = [ip_network("10.244.64.0/24"), ip_network("fd00:10:244:41::/64")]
    assert free((RANGE, RANGE6), taken) == (ip_network("10.244.66.0/24"), ip_network("fd00:10:244:42::/64"))


def test_when_none_is_left_it_is_said():
    taken = [ip_network(f"10.244.{number}.0/24") for number in range(64, 256)]
    (event,) = plan_slices(ObservedNode(node(), taken, (RANGE,))).actions
    assert isinstance(event, Emit)
    assert event.report.reason == "CIDRNotAvailable"


@given(st.lists(st.booleans(), max_size=60))
def test_no_two_nodes_ever_share_a_slice_whatever_comes_and_goes(comes):
    held = []
    for joins in comes:
        if joins or not held:
            (slice,) = free((RANGE,), held)
            assert not any(slice.overlaps(other) for other in held)
            assert not slice.overlaps(ip_network("10.244.0.0/18"))
            held.append(slice)
        else:
            held.pop(len(held) // 2)
