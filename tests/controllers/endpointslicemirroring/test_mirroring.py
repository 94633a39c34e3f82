"""Hand-made Endpoints of a service without selector become slices (D31)."""

from __future__ import annotations

import pytest

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.controllers.actions import Create, Delete, Emit, Update
from holdfast.controllers.endpointslicemirroring.plan import Observed, plan
from holdfast.simulation.cluster import simulate

MANAGER = "endpointslicemirroring-controller.k8s.io"
HTTP = {"name": "http", "port": 80, "protocol": "TCP"}


def addresses(*ips):
    return [{"ip": ip} for ip in ips]


def endpoints(*subsets, labels=None, annotations=None):
    metadata = {"name": "db", "namespace": "default", "uid": "e", "labels": labels or {}}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {**metadata, "annotations": annotations or {}},
        "subsets": list(subsets),
    }


def subset(*ips, not_ready=(), ports=(HTTP,)):
    found = {"addresses": addresses(*ips), "notReadyAddresses": addresses(*not_ready), "ports": list(ports)}
    return {name: value for name, value in found.items() if value}


def service(selector=None):
    spec = {"ports": [{"port": 80}], **({"selector": selector} if selector else {})}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db", "namespace": "default"},
        "spec": spec,
    }


def mirrored(made):
    """Each slice that the plan makes from nothing, as (family, ports, {address: ready})."""
    actions = [action for action in plan(Observed(made, ())).actions if not isinstance(action, Emit)]
    assert all(isinstance(action, Create) for action in actions)
    return [_in_short(action.manifest) for action in actions]


def _in_short(slice):
    ready = {one["addresses"][0]: one["conditions"]["ready"] for one in slice["endpoints"]}
    return slice["addressType"], [port["port"] for port in slice["ports"]], ready


def stored(made):
    """What the plan makes from nothing, as the server keeps it."""
    creations = [action.manifest for action in plan(Observed(made, ())).actions if isinstance(action, Create)]
    return [
        {**one, "metadata": {**one["metadata"], "name": f"db-{number}", "uid": f"s{number}"}}
        for number, one in enumerate(creations)
    ]


def test_d31_a_slice_says_whom_it_mirrors_and_who_keeps_it():
    made = endpoints(
        {"addresses": [{"ip": "10.1.2.3", "hostname": "a", "nodeName": "n1"}], "ports": [HTTP]},
        labels={"team": "data"},
        annotations={"note": "by hand", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
    )
    (creation,) = plan(Observed(made, ())).actions
    metadata = creation.manifest["metadata"]
    assert metadata["generateName"] == "db-"
    assert metadata["labels"] == {
        "team": "data",
        "kubernetes.io/service-name": "db",
        "endpointslice.kubernetes.io/managed-by": MANAGER,
    }
    assert metadata["annotations"] == {"note": "by hand"}
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Endpoints", "e", True)
    assert creation.manifest["endpoints"] == [
        {"addresses": ["10.1.2.3"], "conditions": {"ready": True}, "hostname": "a", "nodeName": "n1"}
    ]
    assert creation.manifest["ports"] == [HTTP]


@pytest.mark.parametrize(
    ("subsets", "slices"),
    [
        ([subset("10.0.0.1", not_ready=["10.0.0.2"])], [("IPv4", [80], {"10.0.0.1": True, "10.0.0.2": False})]),
        ([subset("10.0.0.1", "fd00::1")], [("IPv4", [80], {"10.0.0.1": True}), ("IPv6", [80], {"fd00::1": True})]),
        (
            [subset("10.0.0.1"), subset("10.0.0.2", ports=[{"port": 81}])],
            [("IPv4", [80], {"10.0.0.1": True}), ("IPv4", [81], {"10.0.0.2": True})],
        ),
        (
            [subset("10.0.0.1"), subset("10.0.0.1", ports=[{"name": "other", "port": 81}])],
            [("IPv4", [80, 81], {"10.0.0.1": True})],
        ),
        ([subset("10.0.0.1"), subset("10.0.0.1")], [("IPv4", [80], {"10.0.0.1": True})]),
        ([subset("10.0.0.1"), subset(not_ready=["10.0.0.1"])], [("IPv4", [80], {"10.0.0.1": False})]),
        ([subset("10.0.0.1", ports=())], [("IPv4", [], {"10.0.0.1": True})]),
        ([], []),
    ],
    ids=["readiness", "families", "two ports", "same addresses", "twice", "not ready wins", "no ports", "empty"],
)
def test_d31_subsets_are_sorted_into_slices_by_ports_and_family(subsets, slices):
    assert mirrored(endpoints(*subsets)) == slices


def test_d31_what_is_no_address_is_left_out_and_said():
    report, creation = plan(Observed(endpoints(subset("10.0.0.1", "nonsense")), ())).actions
    assert _in_short(creation.manifest) == ("IPv4", [80], {"10.0.0.1": True})
    assert (report.report.reason, report.report.message) == (
        "InvalidIPAddress",
        "Skipped 1 invalid IP addresses when mirroring to EndpointSlices",
    )


def test_d31_of_more_than_a_thousand_addresses_the_ready_ones_come_first_and_the_rest_is_said():
    ready = [f"10.0.{number // 250}.{number % 250}" for number in range(999)]
    report, creation = plan(Observed(endpoints(subset(*ready, not_ready=["10.9.0.1", "10.9.0.2"])), ())).actions
    _, _, found = _in_short(creation.manifest)
    assert set(ready) < set(found)
    assert len(found) == 1000
    assert report.report.reason == "TooManyAddressesToMirror"
    assert report.report.message.endswith("per Endpoints subset. 1 addresses were skipped")


def test_d31_what_is_mirrored_already_is_left_alone_and_not_reported_again():
    made = endpoints(subset("10.0.0.1", "fd00::1", "nonsense"))
    assert plan(Observed(made, stored(made))).actions == []


def test_d31_a_changed_address_is_an_update_of_its_slice_alone():
    before, after = (endpoints(subset("fd00::1"), subset(ip, ports=[{"port": 81}])) for ip in ("10.0.0.1", "10.0.0.2"))
    (change,) = plan(Observed(after, stored(before))).actions
    assert isinstance(change, Update)
    assert _in_short(change.manifest) == ("IPv4", [81], {"10.0.0.2": True})


def test_d31_a_slice_with_other_ports_is_used_again_of_the_same_family_only():
    before, after = endpoints(subset("10.0.0.1", "fd00::1")), endpoints(subset("10.0.0.1", ports=[{"port": 81}]))
    change, deletion = plan(Observed(after, stored(before))).actions
    assert isinstance(change, Update)
    assert (change.manifest["metadata"]["name"], change.manifest["ports"][0]["port"]) == ("db-0", 81)
    assert isinstance(deletion, Delete)
    assert deletion.name == "db-1"


def slices(cluster):
    return [_in_short(slice) for slice in cluster.objects(ENDPOINT_SLICES, "default") if "db-" in _name(slice)]


def _name(manifest):
    return manifest["metadata"]["name"]


def test_d31_slices_follow_the_endpoints_through_their_whole_life():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(service(), endpoints(subset("10.0.0.1")))
        cluster.run_for(1)
        assert slices(cluster) == [("IPv4", [80], {"10.0.0.1": True})]
        cluster.patch(ENDPOINTS, "db", {"subsets": [subset("10.0.0.2")]})
        cluster.run_for(1)
        assert slices(cluster) == [("IPv4", [80], {"10.0.0.2": True})]
        (slice,) = [one for one in cluster.objects(ENDPOINT_SLICES, "default") if "db-" in _name(one)]
        cluster.delete(ENDPOINT_SLICES, _name(slice))
        cluster.run_for(1)
        assert slices(cluster) == [("IPv4", [80], {"10.0.0.2": True})]
        cluster.delete(ENDPOINTS, "db")
        cluster.run_for(1)
        assert slices(cluster) == []
        assert not [event for event in cluster.objects(EVENTS, "default") if event["type"] == "Warning"]


@pytest.mark.parametrize(
    "change",
    [
        (ENDPOINTS, {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}),
        (ENDPOINTS, {"metadata": {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}}),
        (SERVICES, {"spec": {"selector": {"app": "db"}}}),
    ],
    ids=["says no", "is a lock", "selects pods"],
)
def test_d31_what_is_not_to_be_mirrored_loses_its_slices(change):
    with simulate(0, nodes=0) as cluster:
        cluster.apply(service(), endpoints(subset("10.0.0.1")))
        cluster.run_for(1)
        resource, patch = change
        cluster.patch(resource, "db", patch)
        cluster.run_for(1)
        managers = [one["metadata"]["labels"] for one in cluster.objects(ENDPOINT_SLICES, "default")]
        assert not [one for one in managers if one.get("endpointslice.kubernetes.io/managed-by") == MANAGER]


def test_d31_endpoints_without_a_service_are_not_mirrored_until_it_comes():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(endpoints(subset("10.0.0.1")))
        cluster.run_for(1)
        assert slices(cluster) == []
        cluster.apply(service())
        cluster.run_for(1)
        assert slices(cluster) == [("IPv4", [80], {"10.0.0.1": True})]
