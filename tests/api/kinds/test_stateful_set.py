"""Defaults, validation and update rules of StatefulSets (S162-S179, S135)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.decode import decode_body
from holdfast.api.metadata import validate_metadata
from holdfast.api.resource import Manifest

FORBIDDEN = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "
    "are forbidden"
)
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def body(name: str = "web", **spec: Any) -> Manifest:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "app:1"}]},
            },
            **spec,
        },
    }


def defaulted(name: str = "web", **spec: Any) -> Manifest:
    manifest, _ = decode_body(STATEFUL_SETS, json.dumps(body(name, **spec)).encode(), "application/json")
    STATEFUL_SETS.default(manifest)
    return manifest


def errors(name: str = "web", **spec: Any) -> list[str]:
    manifest = defaulted(name, **spec)
    STATEFUL_SETS.prepare_create(manifest)
    found = [*validate_metadata(manifest, STATEFUL_SETS), *STATEFUL_SETS.validate(manifest)]
    return [str(error) for error in found]


def update_errors(new: Manifest, old: Manifest) -> list[str]:
    STATEFUL_SETS.prepare_update(new, old)
    return [str(error) for error in STATEFUL_SETS.validate_update(new, old)]


def test_s162_what_is_left_out_is_filled_in() -> None:
    spec = defaulted()["spec"]
    assert spec["replicas"] == 1
    assert spec["podManagementPolicy"] == "OrderedReady"
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert spec["revisionHistoryLimit"] == 10
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["serviceName"] == ""
    assert "minReadySeconds" not in spec
    assert "ordinals" not in spec


def test_s162_retention_is_filled_in_member_by_member() -> None:
    policy = defaulted(persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"})["spec"]
    assert policy["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Delete"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "OnDelete"}, {"type": "OnDelete"}),
        ({"type": "RollingUpdate"}, {"type": "RollingUpdate"}),
        ({"rollingUpdate": {}}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        (
            {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
            {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
        ),
    ],
)
def test_s88_s162_the_partition_appears_with_the_type(given: Manifest, expected: Manifest) -> None:
    assert defaulted(updateStrategy=given)["spec"]["updateStrategy"] == expected


def test_s163_the_selector_is_never_filled_in() -> None:
    assert "selector" not in defaulted(selector=None)["spec"]


def test_s38_claim_templates_are_filled_in_like_claims() -> None:
    claim = defaulted(volumeClaimTemplates=[CLAIM])["spec"]["volumeClaimTemplates"][0]
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert claim["spec"]["volumeMode"] == "Filesystem"
    assert claim["status"] == {"phase": "Pending"}


def test_defaults_do_not_change_what_is_defaulted() -> None:
    once = defaulted(volumeClaimTemplates=[CLAIM])
    again = json.loads(json.dumps(once))
    STATEFUL_SETS.default(again)
    assert again == once


def test_s165_a_name_without_dots_and_at_most_63_long() -> None:
    assert errors("a.b") == ['metadata.name: Invalid value: "a.b": must not contain dots']
    assert errors("a" * 64) == [f'metadata.name: Invalid value: "{"a" * 64}": must be no more than 63 characters']


def test_s166_a_missing_selector_gives_two_errors() -> None:
    assert errors(selector=None) == [
        "spec.selector: Required value",
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ]


def test_s166_an_empty_selector_is_refused() -> None:
    assert errors(selector={}) == ["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"]


def test_s166_operators_are_checked() -> None:
    selector = {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["web"]}]}
    assert errors(selector=selector) == [
        'spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
        'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Like","values":["web"]}]}',
    ]


def test_s166_values_are_checked() -> None:
    (first, *_) = errors(selector={"matchLabels": {"app": "not a value"}})
    assert first.startswith('spec.selector.matchLabels: Invalid value: "not a value": a valid label must be')


def test_s167_the_selector_must_match_the_template() -> None:
    assert errors(selector={"matchLabels": {"app": "db"}}) == [
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'
    ]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"replicas": -1}, "spec.replicas"),
        ({"minReadySeconds": -1}, "spec.minReadySeconds"),
        ({"ordinals": {"start": -1}}, "spec.ordinals.start"),
        ({"updateStrategy": {"rollingUpdate": {"partition": -1}}}, "spec.updateStrategy.rollingUpdate.partition"),
    ],
)
def test_s168_numbers_are_not_negative(spec: Manifest, field: str) -> None:
    assert errors(**spec) == [f"{field}: Invalid value: -1: must be greater than or equal to 0"]


def test_s168_a_negative_history_limit_only_warns() -> None:
    assert errors(revisionHistoryLimit=-1) == []
    assert STATEFUL_SETS.warnings(defaulted(revisionHistoryLimit=-1)) == [
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
    ]
    assert STATEFUL_SETS.warnings(defaulted()) == []


def test_s169_management_policies() -> None:
    assert errors(podManagementPolicy="x") == [
        "spec.podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'"
    ]


def test_s170_update_strategies() -> None:
    assert errors(updateStrategy={"type": "x"}) == [
        'spec.updateStrategy: Invalid value: {"Type":"x","RollingUpdate":null}: '
        "must be 'RollingUpdate' or 'OnDelete'"
    ]
    assert errors(updateStrategy={"type": "OnDelete", "rollingUpdate": {"partition": 0}}) == [
        'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":0,"MaxUnavailable":null}: '
        "only allowed for updateStrategy 'RollingUpdate'"
    ]


def test_s104_max_unavailable_is_dropped() -> None:
    manifest = defaulted(updateStrategy={"rollingUpdate": {"maxUnavailable": 2}})
    STATEFUL_SETS.prepare_create(manifest)
    assert manifest["spec"]["updateStrategy"]["rollingUpdate"] == {"partition": 0}
    assert errors(updateStrategy={"rollingUpdate": {"maxUnavailable": "200%"}}) == []


def test_s104_an_update_does_not_bring_it_in() -> None:
    old = defaulted(updateStrategy={"rollingUpdate": {}})
    new = defaulted(updateStrategy={"rollingUpdate": {"maxUnavailable": 3}})
    assert update_errors(new, old) == []
    assert new["spec"]["updateStrategy"]["rollingUpdate"] == {"partition": 0}


def test_s104_a_stored_max_unavailable_stays_usable() -> None:
    old = defaulted(updateStrategy={"rollingUpdate": {"maxUnavailable": 2}})
    new = defaulted(updateStrategy={"rollingUpdate": {"maxUnavailable": 3}})
    assert update_errors(new, old) == []
    assert new["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 3


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        (0, "0: cannot be 0"),
        ("0%", '"0%": cannot be 0'),
        ("101%", '"101%": must not be greater than 100%'),
        (-1, "-1: must be greater than or equal to 0"),
        ("many", "\"many\": a valid percent string must be a numeric string followed by an ending '%' "),
    ],
)
def test_s171_a_max_unavailable_that_is_kept_must_be_sensible(value: int | str, refusal: str) -> None:
    stored = defaulted(updateStrategy={"rollingUpdate": {"maxUnavailable": 1}})
    new = defaulted(updateStrategy={"rollingUpdate": {"maxUnavailable": value}})
    first = update_errors(new, stored)[0]
    assert first.startswith(f"spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: {refusal}")


@pytest.mark.parametrize("when", ["whenDeleted", "whenScaled"])
def test_s172_retention_policies(when: str) -> None:
    assert errors(persistentVolumeClaimRetentionPolicy={when: "x"}) == [
        f"spec.persistentVolumeClaimRetentionPolicy.{when}: "
        'Unsupported value: "x": supported values: "Retain", "Delete"'
    ]


def test_s173_the_service_name_is_a_label_on_create_only() -> None:
    (error,) = errors(serviceName="A_b")
    assert error.startswith('spec.serviceName: Invalid value: "A_b": a lowercase RFC 1123 label must')
    stored = defaulted(serviceName="A_b")
    assert update_errors(defaulted(serviceName="A_b", replicas=2), stored) == []


def test_s174_pods_of_a_set_run_for_ever() -> None:
    template = body()["spec"]["template"]
    template["spec"].update(restartPolicy="Never", activeDeadlineSeconds=5)
    assert errors(template=template) == [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported",
    ]


def with_mount(name: str, **pod_spec: Any) -> Manifest:
    template = body()["spec"]["template"]
    template["spec"]["containers"][0]["volumeMounts"] = [{"name": name, "mountPath": "/data"}]
    template["spec"].update(pod_spec)
    return template


def test_s175_a_mount_may_refer_to_a_claim_template() -> None:
    assert errors(template=with_mount("data"), volumeClaimTemplates=[CLAIM]) == []
    assert errors(template=with_mount("other"), volumeClaimTemplates=[CLAIM]) == [
        'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "other"'
    ]


def test_s175_a_claim_template_replaces_a_volume_of_its_name() -> None:
    broken = [{"name": "data", "hostPath": {"path": ""}}]
    assert errors(template=with_mount("data", volumes=broken), volumeClaimTemplates=[CLAIM]) == []


def test_s175_hostname_and_subdomain_are_not_validated() -> None:
    assert errors(template=with_mount("data", hostname="A_b", subdomain="C_d"), volumeClaimTemplates=[CLAIM]) == []


def test_s175_claim_templates_are_validated_on_create_only() -> None:
    bare = {"metadata": {"name": "data"}, "spec": {}}
    assert errors(volumeClaimTemplates=[bare]) == [
        "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
        "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
    ]
    stored = defaulted(volumeClaimTemplates=[bare])
    assert update_errors(defaulted(volumeClaimTemplates=[bare], replicas=3), stored) == []


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 5},
        {"ordinals": {"start": 3}},
        {"updateStrategy": {"type": "OnDelete"}},
        {"revisionHistoryLimit": 1},
        {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}},
        {"minReadySeconds": 3},
        {"template": {**body()["spec"]["template"], "metadata": {"labels": {"app": "web", "more": "x"}}}},
    ],
)
def test_s176_these_may_change(change: Manifest) -> None:
    assert update_errors(defaulted(**change), defaulted()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"serviceName": "other"},
        {"podManagementPolicy": "Parallel"},
        {"volumeClaimTemplates": [CLAIM]},
        {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}},
    ],
)
def test_s176_all_else_is_fixed_for_life(change: Manifest) -> None:
    assert update_errors(defaulted(**change), defaulted()) == [FORBIDDEN]


def claim_of(storage: str) -> Manifest:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return {"metadata": {"name": "data"}, "spec": spec}


@pytest.mark.parametrize(("size", "same"), [("1024Mi", True), ("1073741824", True), ("2Gi", False)])
def test_s177_quantities_compare_by_value(size: str, same: bool) -> None:
    stored, new = (defaulted(volumeClaimTemplates=[claim_of(storage)]) for storage in ("1Gi", size))
    assert update_errors(new, stored) == ([] if same else [FORBIDDEN])


def test_s38_s184_what_kubectl_sends_again_is_no_difference() -> None:
    stored = defaulted(volumeClaimTemplates=[CLAIM])
    sent = {**CLAIM, "metadata": {**CLAIM["metadata"], "creationTimestamp": None, "labels": {}}, "status": {}}
    assert update_errors(defaulted(volumeClaimTemplates=[sent]), stored) == []
    named = {**CLAIM, "apiVersion": "x/y", "kind": "Z"}
    assert update_errors(defaulted(volumeClaimTemplates=[named]), stored) == []


def test_s178_a_stored_template_that_is_invalid_does_not_hold_up_an_update() -> None:
    broken = body()["spec"]["template"]
    broken["spec"]["containers"][0]["image"] = ""
    stored = defaulted(template=broken)
    assert update_errors(defaulted(template=broken, replicas=3), stored) == []
    assert update_errors(defaulted(template=broken), defaulted()) == [
        "spec.template.spec.containers[0].image: Required value"
    ]


def test_s179_only_the_spec_counts_for_the_generation() -> None:
    one, other = defaulted(), defaulted()
    other["metadata"]["labels"] = {"a": "b"}
    assert STATEFUL_SETS.generation_of(one) == STATEFUL_SETS.generation_of(other)
    assert STATEFUL_SETS.generation_of(one) != STATEFUL_SETS.generation_of(defaulted(minReadySeconds=1))


def status_errors(new: Manifest, old: Manifest | None = None) -> list[str]:
    return [str(error) for error in STATEFUL_SETS.validate_status_update({"status": new}, {"status": old or {}})]


def test_s135_counts_in_status() -> None:
    assert status_errors({"replicas": 3, "readyReplicas": 3, "availableReplicas": 2, "currentReplicas": 3}) == []
    assert status_errors({"replicas": 1, "updatedReplicas": 2}) == [
        "status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas"
    ]
    assert status_errors({"replicas": 2, "readyReplicas": 1, "availableReplicas": 2}) == [
        "status.availableReplicas: Invalid value: 2: cannot be greater than status.readyReplicas"
    ]


@pytest.mark.parametrize("count", ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"])
def test_s135_no_count_is_greater_than_that_of_all(count: str) -> None:
    counts = {"replicas": 1, "readyReplicas": 0, count: 2}
    assert status_errors(counts)[0] == f"status.{count}: Invalid value: 2: cannot be greater than status.replicas"


@pytest.mark.parametrize(
    "count", ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"]
)
def test_s135_no_count_is_negative(count: str) -> None:
    assert f"status.{count}: Invalid value: -1: must be greater than or equal to 0" in status_errors({count: -1})


@pytest.mark.parametrize("now", [{}, {"collisionCount": 1}])
def test_s135_collisions_are_never_taken_back(now: Manifest) -> None:
    shown = now.get("collisionCount", 0)
    assert status_errors(now, {"collisionCount": 2}) == [
        f"status.collisionCount: Invalid value: {shown}: cannot be decremented"
    ]
