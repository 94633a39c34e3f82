"""Claims, volumes and classes (V1-V12)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS, storage_class_of
from holdfast.api.core.volume_table import access_modes
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest, Resource
from holdfast.api.storage.storage_class import STORAGE_CLASSES, is_default

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IMMUTABLE = (
    "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
    "for bound claims\n"
)


def made(resource: Resource, body: Manifest) -> Manifest:
    manifest, _ = decode_body(resource, json.dumps(body).encode(), "application/json")
    manifest["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    resource.default(manifest)
    return manifest


def claim(storage: str = "1Gi", status: Manifest | None = None, **spec: Any) -> Manifest:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}, **spec}
    body = {"metadata": {"name": "a"}, "spec": asked, "status": status or {}}
    return made(PERSISTENT_VOLUME_CLAIMS, body)


def volume(**spec: Any) -> Manifest:
    given = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}, **spec}
    return made(PERSISTENT_VOLUMES, {"metadata": {"name": "a"}, "spec": given})


def update_errors(new: Manifest, old: Manifest) -> list[str]:
    return [str(error) for error in PERSISTENT_VOLUME_CLAIMS.validate_update(new, old)]


def test_v2_a_claim_is_filled_in_and_asks_for_something() -> None:
    new = claim(status={"phase": "Bound"})
    PERSISTENT_VOLUME_CLAIMS.prepare_create(new)
    assert (new["spec"]["volumeMode"], new["status"]) == ("Filesystem", {"phase": "Pending"})
    assert [str(error) for error in PERSISTENT_VOLUME_CLAIMS.validate(claim("0", accessModes=[]))] == [
        "spec.accessModes: Required value: at least 1 access mode is required",
        'spec.resources[storage]: Invalid value: "0": must be greater than zero',
    ]


def test_v4_the_mode_of_one_pod_stands_alone() -> None:
    both = ["ReadWriteOncePod", "ReadWriteOnce"]
    (error,) = PERSISTENT_VOLUME_CLAIMS.validate(claim(accessModes=both))
    assert str(error) == "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"
    assert PERSISTENT_VOLUME_CLAIMS.validate(claim(accessModes=both[:1])) == []


BOUND = {"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}


def test_v6_a_claim_is_given_its_volume_once() -> None:
    assert update_errors(claim(volumeName="pv-1"), claim()) == []
    (error,) = update_errors(claim(volumeName="pv-2"), claim(volumeName="pv-1"))
    assert error.startswith(IMMUTABLE)


def test_v6_a_bound_claim_may_ask_for_more() -> None:
    old = claim("2Gi", BOUND, volumeName="pv-1")
    assert update_errors(claim("3Gi", BOUND, volumeName="pv-1"), old) == []


def test_v6_a_claim_that_is_not_bound_may_not() -> None:
    (error,) = update_errors(claim("3Gi"), claim("2Gi"))
    assert error.startswith(IMMUTABLE)
    assert '-   "storage": "2Gi"\n+   "storage": "3Gi"\n' in error


@pytest.mark.parametrize(("storage", "allowed"), [("3Gi", True), ("2049Mi", True), ("2Gi", False), ("1Gi", False)])
def test_v6_an_expansion_is_taken_back_to_just_above_what_there_is(storage: str, allowed: bool) -> None:
    old = claim("4Gi", BOUND, volumeName="pv-1")
    errors = update_errors(claim(storage, BOUND, volumeName="pv-1"), old)
    assert errors == (
        [] if allowed else ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    )


def test_v6_a_claim_without_class_may_get_one_but_not_another() -> None:
    assert update_errors(claim(storageClassName="fast"), claim()) == []
    (error,) = update_errors(claim(storageClassName="slow"), claim(storageClassName="fast"))
    assert error.startswith(IMMUTABLE)
    (error,) = update_errors(claim(storageClassName="slow"), claim(storageClassName=""))
    assert error.startswith(IMMUTABLE)


def test_v8_the_old_annotation_wins_over_the_field() -> None:
    assert storage_class_of(claim()) is None
    assert storage_class_of(claim(storageClassName="")) == ""
    annotated = claim(storageClassName="fast")
    annotated["metadata"]["annotations"] = {"volume.beta.kubernetes.io/storage-class": "slow"}
    assert storage_class_of(annotated) == "slow"
    assert PERSISTENT_VOLUME_CLAIMS.warnings(annotated) == [
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; "
        'use "storageClassName" attribute instead'
    ]


def test_s194_v12_capacity_and_modes_are_shown_once_there_is_a_volume() -> None:
    cells = PERSISTENT_VOLUME_CLAIMS.cells(claim("2Gi", BOUND, volumeName="pv-1", storageClassName="fast"), NOW)
    assert cells == ["a", "Bound", "pv-1", "2Gi", "RWO", "fast", "<unset>", "24h", "Filesystem"]
    cells = PERSISTENT_VOLUME_CLAIMS.cells(claim("2Gi", BOUND), NOW)
    assert cells[2:5] == ["", "", ""]


def test_s194_v12_what_is_being_deleted_is_terminating() -> None:
    leaving = claim()
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert PERSISTENT_VOLUME_CLAIMS.cells(leaving, NOW)[1] == "Terminating"
    going = volume()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert PERSISTENT_VOLUMES.cells(going, NOW)[4] == "Terminating"


def test_s194_v5_modes_have_one_order() -> None:
    assert access_modes(["ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce", "ReadOnlyMany"]) == "RWO,ROX,RWX"


def test_v1_a_volume_is_filled_in() -> None:
    manifest = volume()
    PERSISTENT_VOLUMES.prepare_create(manifest)
    assert manifest["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert manifest["spec"]["hostPath"] == {"path": "/x", "type": ""}
    assert manifest["status"] == {"phase": "Pending", "lastPhaseTransitionTime": "2026-01-01T00:00:00Z"}


def test_v7_source_mode_and_affinity_are_fixed_the_rest_is_not() -> None:
    old = volume(storageClassName="a")
    changed = volume(
        storageClassName="b",
        capacity={"storage": "9Gi"},
        persistentVolumeReclaimPolicy="Delete",
        claimRef={"namespace": "x", "name": "y"},
    )
    assert PERSISTENT_VOLUMES.validate_update(changed, old) == []
    (error,) = PERSISTENT_VOLUMES.validate_update(volume(hostPath={"path": "/y"}), old)
    assert error.field == "spec.persistentvolumesource"
    assert '-  "Path": "/x",\n+  "Path": "/y",\n' in error.message
    (error,) = PERSISTENT_VOLUMES.validate_update(volume(volumeMode="Block"), old)
    assert str(error) == 'volumeMode: Invalid value: "Block": field is immutable'


def test_s194_v12_a_volume_shows_its_claim() -> None:
    bound = volume(claimRef={"namespace": "x", "name": "y"}, storageClassName="fast")
    assert PERSISTENT_VOLUMES.cells(bound, NOW) == [
        *["a", "1Gi", "RWO", "Retain", "Pending", "x/y", "fast", "<unset>", "", "24h", "Filesystem"]
    ]


def storage_class(**members: Any) -> Manifest:
    return made(STORAGE_CLASSES, {"metadata": {"name": "fast"}, "provisioner": "example.com/none", **members})


def test_v3_a_class_is_filled_in() -> None:
    made_class = storage_class()
    assert (made_class["reclaimPolicy"], made_class["volumeBindingMode"]) == ("Delete", "Immediate")


def test_v3_only_expansion_and_topologies_may_change() -> None:
    assert STORAGE_CLASSES.validate_update(storage_class(allowVolumeExpansion=True), storage_class()) == []
    (error,) = STORAGE_CLASSES.validate_update(storage_class(parameters={"a": "b"}), storage_class())
    assert str(error) == 'parameters: Invalid value: {"a":"b"}: field is immutable'


def test_s194_v9_a_default_class_is_shown_as_such() -> None:
    chosen = storage_class()
    assert not is_default(chosen)
    chosen["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    assert is_default(chosen)
    assert STORAGE_CLASSES.cells(chosen, NOW) == [
        *["fast (default)", "example.com/none", "Delete", "Immediate", False, "24h"]
    ]


# Where a claim's data comes from (V-I)

VOLUME = {"kind": "PersistentVolumeClaim", "name": "other"}
SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "then"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"dataSource": VOLUME}, {"dataSource": VOLUME, "dataSourceRef": VOLUME}),
        ({"dataSource": SNAPSHOT}, {"dataSource": SNAPSHOT, "dataSourceRef": SNAPSHOT}),
        ({"dataSourceRef": VOLUME}, {"dataSource": VOLUME, "dataSourceRef": VOLUME}),
        ({"dataSource": {"kind": "Pod", "name": "a"}}, {}),
        ({"dataSource": {"apiGroup": "a.b", "kind": "Dump", "name": "a"}}, {}),
        (
            {"dataSourceRef": {**SNAPSHOT, "namespace": "other"}},
            {"dataSourceRef": {**SNAPSHOT, "namespace": "other"}},
        ),
    ],
)
def test_v121_a_source_is_shown_in_both_fields_or_dropped(given: Manifest, shown: Manifest) -> None:
    new = claim(**given)
    PERSISTENT_VOLUME_CLAIMS.prepare_create(new)
    found = {member: new["spec"][member] for member in ("dataSource", "dataSourceRef") if member in new["spec"]}
    assert found == {member: {"apiGroup": None, **source} for member, source in shown.items()}


def test_both_fields_of_a_source_say_the_same() -> None:
    def errors(**spec: Any) -> list[str]:
        return [str(error) for error in PERSISTENT_VOLUME_CLAIMS.validate(claim(**spec))]

    assert errors(dataSource=VOLUME, dataSourceRef=SNAPSHOT) == [
        'spec: Invalid value: "spec.dataSource": must match dataSourceRef'
    ]
    assert errors(dataSource=VOLUME, dataSourceRef={**VOLUME, "namespace": "a"}) == [
        'spec: Invalid value: "spec.dataSource": may not be specified when dataSourceRef.namespace is specified'
    ]
    assert errors(dataSourceRef={"kind": "", "name": ""}) == [
        "spec.dataSourceRef.name: Required value",
        "spec.dataSourceRef.kind: Required value",
        'spec.dataSourceRef: Invalid value: "": '
        "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
    ]


def test_a_topology_names_a_value_once() -> None:
    term = {"matchLabelExpressions": [{"key": "zone", "values": ["a", "a"]}]}
    (error,) = STORAGE_CLASSES.validate(storage_class(allowedTopologies=[term]))
    assert str(error) == 'allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"'
