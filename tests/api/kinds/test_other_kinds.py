"""Configuration, nodes, namespaces, events, access."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from holdfast.api.coordination.lease import LEASES
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.node import NODES
from holdfast.api.core.secret import SECRETS
from holdfast.api.events.event import EVENTS as NEW_EVENTS
from holdfast.api.events.event import from_core, to_core
from holdfast.api.field_rules import label_key
from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from holdfast.api.resource import Manifest
from holdfast.api.scheduling.priority_class import PRIORITY_CLASSES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMED = {"name": "a", "namespace": "default"}


def texts(errors: list) -> list[str]:  # type: ignore[type-arg]
    return [str(error) for error in errors]


def test_a_secret_is_filled_in() -> None:
    secret: Manifest = {"metadata": NAMED, "data": {"a": "b2xk"}, "stringData": {"a": "new", "b": "é"}}
    SECRETS.default(secret)
    assert secret == {
        "metadata": NAMED,
        "type": "Opaque",
        "data": {"a": base64.b64encode(b"new").decode(), "b": base64.b64encode("é".encode()).decode()},
    }


def test_an_immutable_secret_keeps_all_and_stays_immutable() -> None:
    old = {"metadata": NAMED, "type": "Opaque", "data": {"a": "Yg=="}, "immutable": True}
    assert SECRETS.validate_update({**old, "metadata": {**NAMED, "labels": {"a": "b"}}}, old) == []
    refusal = "Forbidden: field is immutable when `immutable` is set"
    assert texts(SECRETS.validate_update({**old, "data": {}}, old)) == [f"data: {refusal}"]
    assert texts(SECRETS.validate_update({**old, "immutable": False}, old)) == [f"immutable: {refusal}"]


def test_an_object_may_become_immutable() -> None:
    old = {"metadata": NAMED, "data": {"a": "b"}}
    assert CONFIG_MAPS.validate_update({**old, "data": {"a": "c"}, "immutable": True}, old) == []


def test_a14_data_has_a_limit_of_one_mebibyte() -> None:
    assert CONFIG_MAPS.validate({"metadata": NAMED, "data": {"a": "x" * 1048576}}) == []
    (error,) = CONFIG_MAPS.validate({"metadata": NAMED, "data": {"a": "x" * 1048577}})
    assert error.message == "Too long: may not be more than 1048576 bytes"
    encoded = base64.b64encode(b"x" * 1048577).decode()
    (error,) = SECRETS.validate({"metadata": NAMED, "type": "Opaque", "data": {"a": encoded}})
    assert str(error) == "data: Too long: may not be more than 1048576 bytes"
    assert (
        SECRETS.validate(
            {"metadata": NAMED, "type": "Opaque", "data": {"a": base64.b64encode(b"x" * 1048576).decode()}}
        )
        == []
    )


def test_a_namespace_has_its_finalizer_and_its_name_as_a_label() -> None:
    namespace: Manifest = {"metadata": {"name": "x", "labels": {"a": "b"}}}
    NAMESPACES.default(namespace)
    NAMESPACES.prepare_create(namespace)
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": "x"}
    assert namespace["status"] == {"phase": "Active"}


def test_an_update_does_not_take_a_namespaces_finalizer() -> None:
    old = {"metadata": {"name": "x"}, "spec": {"finalizers": ["kubernetes"]}}
    new: Manifest = {"metadata": {"name": "x"}, "spec": {}}
    NAMESPACES.prepare_update(new, old)
    assert new["spec"] == {"finalizers": ["kubernetes"]}


@pytest.mark.parametrize(
    ("status", "unschedulable", "shown"),
    [("True", False, "Ready"), ("False", False, "NotReady"), ("Unknown", True, "NotReady,SchedulingDisabled")],
)
def test_s194_a_nodes_status(status: str, unschedulable: bool, shown: str) -> None:
    node = {
        "metadata": {"name": "n"},
        "spec": {"unschedulable": unschedulable},
        "status": {"conditions": [{"type": "Ready", "status": status}]},
    }
    assert NODES.cells(node, NOW)[1] == shown


def test_s194_a_node_that_says_nothing_is_unknown() -> None:
    node: Manifest = {"metadata": {"name": "n"}}
    NODES.default(node)
    assert NODES.cells(node, NOW) == [
        *["n", "Unknown", "<none>", "<unknown>", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]
    ]


def test_of_a_nodes_spec_only_taints_and_schedulability_change() -> None:
    old: Manifest = {"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]}}
    cordoned = {**old, "spec": {**old["spec"], "unschedulable": True, "taints": [{"key": "a", "effect": "NoSchedule"}]}}
    assert NODES.validate_update(cordoned, old) == []
    moved = {**old, "spec": {"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24"]}}
    assert texts(NODES.validate_update(moved, old)) == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'
    ]
    given = {**old, "spec": {}}
    assert NODES.validate_update(old, given) == []


def test_s194_a_node_shows_its_roles_sorted() -> None:
    labels = {
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/control-plane": "",
        "kubernetes.io/role": "x",
    }
    node: Manifest = {"metadata": {"name": "n", "labels": labels}}
    assert NODES.cells(node, NOW)[2] == "control-plane,worker,x"


def event(**members: object) -> Manifest:
    made: Manifest = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": NAMED,
        "involvedObject": {"kind": "Pod", "name": "web-0", "namespace": "default"},
        "reason": "Started",
        "message": "hello\n",
        **members,
    }
    EVENTS.default(made)
    return made


def test_a260_empty_fields_of_events_are_shown() -> None:
    made = event()
    for field, value in (("source", {}), ("firstTimestamp", None), ("eventTime", None), ("reportingInstance", "")):
        assert made[field] == value


def test_a260_an_event_lives_with_its_object() -> None:
    assert EVENTS.validate(event()) == []
    other = {"kind": "Pod", "namespace": "other"}
    assert texts(EVENTS.validate(event(involvedObject=other))) == [
        'involvedObject.namespace: Invalid value: "other": does not match event.namespace'
    ]
    assert EVENTS.validate(event(involvedObject={"kind": "Node", "name": "n"})) == []


def test_a261_both_groups_name_the_same_object() -> None:
    core = event(count=3, source={"component": "x"}, firstTimestamp="2026-01-01T00:00:00Z")
    renamed = from_core(core)
    assert (renamed["note"], renamed["deprecatedCount"], renamed["apiVersion"]) == ("hello\n", 3, "events.k8s.io/v1")
    back = to_core(renamed)
    EVENTS.default(back)
    assert back == core


def new_event(**members: object) -> Manifest:
    given = {"type": "Normal", "action": "Starting", "reportingComponent": "example.com/x", "reportingInstance": "x-1"}
    return from_core(event(**{**given, "eventTime": "2026-01-01T00:00:00.000000Z", **members}))


def test_a261_a_new_event_says_when_who_and_what() -> None:
    assert [*NEW_EVENTS.validate(new_event()), *NEW_EVENTS.validate_create(new_event())] == []
    silent = new_event(reportingComponent="", action="", reportingInstance="x" * 129)
    assert texts(NEW_EVENTS.validate(silent)) == [
        "reportingController: Required value",
        *texts([*label_key("reportingController", "")]),
        'reportingInstance: Invalid value: "": can have at most 128 characters',
        "action: Required value",
    ]
    old = event(type="Odd", count=1, source={"component": "x"}, series={"count": 1})
    assert texts(NEW_EVENTS.validate_create(from_core(old))) == [
        'series.count: Invalid value: "": should be at least 2',
        "series.lastObservedTime: Required value",
        "eventTime: Required value",
        'type: Invalid value: "": has invalid value: Odd',
        'count: Invalid value: "": needs to be unset',
        'source: Invalid value: "": needs to be unset',
    ]


def test_a261_of_a_new_event_only_the_series_goes_on() -> None:
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    assert NEW_EVENTS.validate_update(new_event(series=series), new_event()) == []
    other = {"kind": "Pod", "name": "b", "namespace": "default"}
    assert texts(NEW_EVENTS.validate_update(new_event(involvedObject=other, message="x"), new_event())) == [
        'involvedObject: Invalid value: {"Kind":"Pod","Namespace":"default","Name":"b","UID":"","APIVersion":"",'
        '"ResourceVersion":"","FieldPath":""}: field is immutable',
        'message: Invalid value: "x": field is immutable',
    ]


def test_s194_an_events_row() -> None:
    made = event(
        count=2,
        type="Normal",
        source={"component": "kubelet", "host": "n1"},
        firstTimestamp="2025-12-31T23:59:00Z",
        lastTimestamp="2025-12-31T23:59:30Z",
    )
    assert EVENTS.cells(made, NOW) == [
        *["30s", "Normal", "Started", "pod/web-0", "", "kubelet, n1", "hello", "60s", 2, "a"]
    ]


def test_a_series_counts_for_an_event() -> None:
    series = {"count": 7, "lastObservedTime": "2025-12-31T23:59:50.000000Z"}
    row = EVENTS.cells(event(eventTime="2025-12-31T23:59:00.000000Z", series=series), NOW)
    assert (row[0], row[7], row[8]) == ("10s", "60s", 7)


def test_a_lease_lasts_longer_than_nothing() -> None:
    lease: Manifest = {"metadata": NAMED, "spec": {"leaseDurationSeconds": 0}}
    assert texts(LEASES.validate(lease)) == ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]


def test_a_cluster_role_may_name_paths_but_not_both() -> None:
    role: Manifest = {"metadata": {"name": "a"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]}
    assert CLUSTER_ROLES.validate(role) == []
    role["rules"][0]["resources"] = ["pods"]
    assert texts(CLUSTER_ROLES.validate(role)) == [
        'rules[0].nonResourceURLs: Invalid value: ["/healthz"]: '
        "rules cannot apply to both regular resources and non-resource URLs"
    ]


def test_a_cluster_role_binding_grants_cluster_roles_to_accounts_with_a_namespace() -> None:
    binding: Manifest = {
        "metadata": {"name": "a"},
        "roleRef": {"kind": "Role", "name": "x"},
        "subjects": [{"kind": "ServiceAccount", "name": "s"}],
    }
    CLUSTER_ROLE_BINDINGS.default(binding)
    assert texts(CLUSTER_ROLE_BINDINGS.validate(binding)) == [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        "subjects[0].namespace: Required value",
    ]


def test_names_of_access_objects_may_have_colons_but_no_slashes() -> None:
    assert CLUSTER_ROLES.validate_name
    assert CLUSTER_ROLES.validate_name("system:node") == ""
    assert CLUSTER_ROLES.validate_name("a/b") == "may not contain '/'"


def test_the_systems_own_priorities_are_known() -> None:
    system: Manifest = {"metadata": {"name": "system-node-critical"}, "value": 2000001000}
    PRIORITY_CLASSES.default(system)
    assert PRIORITY_CLASSES.validate(system) == []
    assert texts(PRIORITY_CLASSES.validate_update({**system, "value": 1}, system)) == [
        "value: Forbidden: may not be changed in an update."
    ]
