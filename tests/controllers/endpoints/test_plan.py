"""Slices and Endpoints of a service: D25 to D34, D70 to D79."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.discovery.listing import relevant
from holdfast.controllers.actions import Create, Delete, Update
from holdfast.controllers.endpoints.controller import Listings
from holdfast.controllers.endpoints.legacy import ObservedEndpoints, plan_endpoints
from holdfast.controllers.endpoints.plan import ObservedService, plan_slices

MANAGED = {
    "kubernetes.io/service-name": "nginx",
    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
}


def service(*, headless: bool = True, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    ports = spec.pop("ports", [{"name": "web", "port": 80, "targetPort": 80, "protocol": "TCP"}])
    return {
        "metadata": {"name": "nginx", "namespace": "default", "uid": "s", "labels": labels or {}},
        "spec": {
            "selector": {"app": "nginx"},
            "ipFamilies": ["IPv4"],
            "clusterIP": "None" if headless else "10.96.0.20",
            "ports": ports,
            **spec,
        },
    }


def pod(
    number: int,
    *,
    ready: bool = True,
    going: bool = False,
    phase: str = "Running",
    ip: str | None = None,
    ports: tuple[dict[str, Any], ...] = (),
    **spec: Any,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"web-{number}", "namespace": "default", "uid": f"u{number}"}
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    address = f"10.244.0.{number + 2}" if ip is None else ip
    return {
        "metadata": {**metadata, "labels": {"app": "nginx"}},
        "spec": {
            "hostname": f"web-{number}",
            "subdomain": "nginx",
            "nodeName": "n1",
            "containers": [{"name": "main", "ports": list(ports)}],
            **spec,
        },
        "status": {
            "phase": phase,
            "podIP": address,
            "podIPs": [{"ip": address}] if address else [],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def planned(of: dict[str, Any], *pods: dict[str, Any], slices: tuple[dict[str, Any], ...] = (), zones=None):
    endpoints = {"IPv4": Listings().of(of, pods, "IPv4", zones or {})}
    return plan_slices(ObservedService(of, endpoints, slices)).actions


def stored(action: Create, name: str = "nginx-abcde") -> dict[str, Any]:
    made = action.manifest
    return {**made, "metadata": {**made["metadata"], "name": name, "uid": name, "resourceVersion": "1"}}


def test_s22_d25_a_slice_is_complete_with_the_pods_hostname():
    (create,) = planned(service(labels={"app": "x"}), pod(0), zones={"n1": "z1"})
    made = create.manifest
    assert made["metadata"]["generateName"] == "nginx-"
    assert made["metadata"]["labels"] == {"app": "x", **MANAGED, "service.kubernetes.io/headless": ""}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "s"
    assert made["addressType"] == "IPv4"
    assert made["ports"] == [{"name": "web", "port": 80, "protocol": "TCP"}]
    assert made["endpoints"] == [
        {
            "addresses": ["10.244.0.2"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-0", "uid": "u0"},
            "hostname": "web-0",
            "nodeName": "n1",
            "zone": "z1",
        }
    ]


def test_d25_a_service_without_pods_has_one_empty_slice():
    (create,) = planned(service())
    assert (create.manifest["endpoints"], create.manifest["ports"]) == ([], [])
    assert planned(service(), slices=(stored(create),)) == ()


@pytest.mark.parametrize(
    ("of", "publishes", "conditions"),
    [
        pytest.param(pod(0), False, (True, True, False), id="ready"),
        pytest.param(pod(0, ready=False), False, (False, False, False), id="not ready"),
        pytest.param(pod(0, going=True), False, (False, True, True), id="D70: terminating stays, not ready"),
        pytest.param(pod(0, ready=False), True, (True, False, False), id="D61: published"),
        pytest.param(pod(0, going=True), True, (True, True, True), id="published while it goes"),
        pytest.param(pod(0, phase="Pending", ready=False), False, (False, False, False), id="D26: pending"),
    ],
)
def test_s22_d27_d70_d71_d72_conditions_of_an_endpoint(of, publishes, conditions):
    (create,) = planned(service(publishNotReadyAddresses=publishes), of)
    assert tuple(create.manifest["endpoints"][0]["conditions"].values()) == conditions


@pytest.mark.parametrize("of", [pod(0, ip=""), pod(0, phase="Failed"), pod(0, phase="Succeeded")])
def test_d26_who_has_no_address_or_has_ended_is_not_listed(of):
    (create,) = planned(service(), of)
    assert create.manifest["endpoints"] == []


@pytest.mark.parametrize("more", [{"subdomain": "other"}, {"subdomain": None}, {"hostname": None}])
def test_s22_d28_d79_a_hostname_needs_the_subdomain_of_the_service(more):
    (create,) = planned(service(), pod(0, **more))
    assert "hostname" not in create.manifest["endpoints"][0]


def test_a_change_of_one_pod_changes_one_slice_in_place():
    pods = [pod(number) for number in range(3)]
    (create,) = planned(service(), *pods)
    (update,) = planned(service(), pods[0], pod(1, ready=False), pods[2], slices=(stored(create),))
    assert isinstance(update, Update)
    assert [each["conditions"]["ready"] for each in update.manifest["endpoints"]] == [True, False, True]
    assert planned(service(), *pods, slices=(stored(create),)) == ()


def test_d25_a_slice_holds_a_hundred_and_gaps_are_filled():
    pods = [pod(number) for number in range(150)]
    first, second = planned(service(), *pods)
    slices = (stored(first, "a"), stored(second, "b"))
    assert [len(each["endpoints"]) for each in slices] == [100, 50]
    names = [each["targetRef"]["name"] for each in slices[0]["endpoints"]]
    remaining = [each for each in pods if each["metadata"]["name"] != names[0]]
    (update,) = planned(service(), *remaining, slices=slices)
    assert (update.manifest["metadata"]["name"], len(update.manifest["endpoints"])) == ("a", 99)
    (update,) = planned(service(), *remaining, pod(900), slices=(update.manifest, slices[1]))
    assert (update.manifest["metadata"]["name"], len(update.manifest["endpoints"])) == ("a", 100)


def test_d29_pods_that_resolve_a_port_name_differently_get_slices_of_their_own():
    of = service(ports=[{"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"}])
    one = pod(0, ports=({"name": "http", "containerPort": 8080},))
    other = pod(1, ports=({"name": "http", "containerPort": 9090, "protocol": "TCP"},))
    lacking = pod(2, ports=({"name": "http", "containerPort": 1, "protocol": "UDP"},))
    found = [create.manifest["ports"] for create in planned(of, one, other, lacking)]
    assert found == [
        [{"name": "web", "port": 8080, "protocol": "TCP"}],
        [{"name": "web", "port": 9090, "protocol": "TCP"}],
        [],
    ]


def test_d33_n100_sidecars_ports_count_and_those_of_init_containers_do_not():
    of = service(ports=[{"port": 80, "targetPort": "http"}])
    init = [
        {"name": "i", "ports": [{"name": "http", "containerPort": 1}]},
        {"name": "s", "restartPolicy": "Always", "ports": [{"name": "http", "containerPort": 2}]},
    ]
    (create,) = planned(of, pod(0, initContainers=init))
    assert create.manifest["ports"] == [{"name": "", "port": 2, "protocol": "TCP"}]


def test_d34_slices_of_an_earlier_service_of_the_name_are_removed():
    (create,) = planned(service(), pod(0))
    old = stored(create)
    old["metadata"]["ownerReferences"] = [{"uid": "former"}]
    actions = planned(service(), pod(0), slices=(old,))
    assert [type(action) for action in actions] == [Delete, Create]


def test_d77_a_pod_of_the_same_name_takes_the_place_of_its_former_self():
    (create,) = planned(service(), pod(0))
    again = pod(0, ip="10.244.0.99")
    again["metadata"]["uid"] = "new"
    (update,) = planned(service(), again, slices=(stored(create),))
    assert [each["addresses"] for each in update.manifest["endpoints"]] == [["10.244.0.99"]]


pods_of_any_state = st.lists(
    st.builds(
        lambda number, ready, going, port: pod(
            number, ready=ready, going=going, ports=({"name": "http", "containerPort": port},)
        ),
        st.integers(0, 240),
        st.booleans(),
        st.booleans(),
        st.sampled_from([1, 2]),
    ),
    unique_by=lambda each: each["metadata"]["name"],
    max_size=40,
)


@given(pods_of_any_state, pods_of_any_state)
def test_any_change_comes_to_rest_with_each_pod_listed_once(before, after):
    of = service(ports=[{"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"}])
    slices: dict[str, dict[str, Any]] = {}
    for pods in (before, after):
        for action in planned(of, *pods, slices=tuple(slices.values())):
            if isinstance(action, Create):
                name = f"n{len(slices)}-{action.manifest['ports']}"
                slices[name] = stored(action, name)
            elif isinstance(action, Update):
                slices[action.manifest["metadata"]["name"]] = action.manifest
            else:
                del slices[action.name]
        assert planned(of, *pods, slices=tuple(slices.values())) == ()
    names = sorted(each["targetRef"]["name"] for slice in slices.values() for each in slice["endpoints"])
    assert names == sorted(each["metadata"]["name"] for each in after)


def test_heartbeats_of_a_pod_wake_nobody():
    busy = replace_status(pod(0), containerStatuses=[{"name": "main", "restartCount": 3}])
    assert relevant(busy) == relevant(pod(0))
    assert relevant(pod(0, ready=False)) != relevant(pod(0))


def replace_status(of: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {**of, "status": {**of["status"], **status}}


def endpoints(of, *pods, existing=None):
    found = Listings().of(of, pods, "IPv4", {}) if of else ()
    return plan_endpoints(ObservedEndpoints(of, found, existing)).actions


def test_d30_endpoints_list_ready_and_unready_and_leave_out_who_goes():
    (create,) = endpoints(service(), pod(0), pod(1, ready=False), pod(2, going=True))
    made = create.manifest
    assert made["metadata"]["labels"] == {
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        "service.kubernetes.io/headless": "",
    }
    (subset,) = made["subsets"]
    assert [each["ip"] for each in subset["addresses"]] == ["10.244.0.2"]
    assert [each["hostname"] for each in subset["notReadyAddresses"]] == ["web-1"]
    assert subset["ports"] == [{"name": "web", "port": 80, "protocol": "TCP"}]
    assert endpoints(service(), pod(0), pod(1, ready=False), existing=made) == ()


def test_d34_endpoints_of_a_gone_service_are_removed_if_they_were_made_here():
    (create,) = endpoints(service(), pod(0))
    made = {**create.manifest, "metadata": {**create.manifest["metadata"], "uid": "e"}}
    (delete,) = endpoints(None, existing=made)
    assert isinstance(delete, Delete)
    by_hand = {"metadata": {"name": "nginx", "namespace": "default", "uid": "e"}}
    assert endpoints(None, existing=by_hand) == ()


def test_d30_endpoints_are_cut_at_a_thousand_and_say_so():
    pods = [pod(number, ip=f"10.{number // 250}.{number % 250}.1") for number in range(1001)]
    (create,) = endpoints(service(), *pods)
    assert len(create.manifest["subsets"][0]["addresses"]) == 1000
    assert create.manifest["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    smaller = endpoints(service(), *pods[:5], existing=create.manifest)[0].manifest
    assert smaller["metadata"]["annotations"] == {}


def test_only_pods_that_changed_are_looked_at_again():
    of, pods, listings = service(), [pod(0), pod(1)], Listings()
    first = listings.of(of, pods, "IPv4", {})
    second = listings.of(of, [pods[0], pod(1, ready=False)], "IPv4", {})
    assert second[0] is first[0]
    assert [each.ready for each in second] == [True, False]
    assert listings.of(of, pods[:1], "IPv4", {"n1": "z"})[0].zone == "z"
    assert listings.of(service(publishNotReadyAddresses=True), [pod(1, ready=False)], "IPv4", {})[0].ready
    assert listings.of(of, [], "IPv4", {}) == []
