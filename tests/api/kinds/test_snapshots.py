"""The kinds of snapshots, as upstream's custom resources validate and print them: V115, V116, V120."""

from datetime import UTC, datetime

import pytest

from holdfast.api.snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from holdfast.api.snapshots.volume_snapshot_class import VOLUME_SNAPSHOT_CLASSES
from holdfast.api.snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def snapshot(**spec):
    spec.setdefault("source", {"persistentVolumeClaimName": "data"})
    return {"metadata": {"name": "snap"}, "spec": spec}


def content(**spec):
    whole = {
        "deletionPolicy": "Delete",
        "driver": "d",
        "source": {"volumeHandle": "v"},
        "volumeSnapshotRef": {"name": "snap", "namespace": "default"},
    }
    return {"metadata": {"name": "c"}, "spec": {**whole, **spec}}


def texts(errors):
    return [str(error) for error in errors]


ONE = (
    'spec.source: Invalid value: "object": exactly one of volumeSnapshotContentName and persistentVolumeClaimName must'
)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (snapshot(), []),
        ({"metadata": {"name": "snap"}}, ["spec: Required value"]),
        ({"metadata": {"name": "snap"}, "spec": {}}, ["spec.source: Required value"]),
        (snapshot(source={}), [f"{ONE} be set"]),
        (snapshot(source={"persistentVolumeClaimName": "a", "volumeSnapshotContentName": "b"}), [f"{ONE} be set"]),
        (
            snapshot(volumeSnapshotClassName=""),
            [
                'spec.volumeSnapshotClassName: Invalid value: "string": '
                "volumeSnapshotClassName must not be the empty string when set"
            ],
        ),
    ],
)
def test_v116_a_snapshot_has_one_source(made, told):
    assert texts(VOLUME_SNAPSHOTS.validate(made)) == told


def test_v116_the_source_stays():
    other = snapshot(source={"persistentVolumeClaimName": "other"})
    assert texts(VOLUME_SNAPSHOTS.validate_update(other, snapshot())) == [
        'spec.source.persistentVolumeClaimName: Invalid value: "string": persistentVolumeClaimName is immutable'
    ]
    given = snapshot(source={"volumeSnapshotContentName": "c"})
    assert texts(VOLUME_SNAPSHOTS.validate_update(given, snapshot())) == [
        'spec.source: Invalid value: "object": persistentVolumeClaimName is required once set'
    ]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (content(), []),
        (content(driver=None), ["spec.driver: Required value"]),
        (
            content(deletionPolicy="Keep"),
            ['spec.deletionPolicy: Unsupported value: "Keep": supported values: "Delete", "Retain"'],
        ),
        (
            content(source={"volumeHandle": "v", "snapshotHandle": "s"}),
            ['spec.source: Invalid value: "object": exactly one of volumeHandle and snapshotHandle must be set'],
        ),
        (
            content(volumeSnapshotRef={"name": "snap"}),
            [
                'spec.volumeSnapshotRef: Invalid value: "object": '
                "both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set"
            ],
        ),
    ],
)
def test_a_content_says_what_it_is_and_whose(made, told):
    assert texts(VOLUME_SNAPSHOT_CONTENTS.validate(made)) == told


def test_what_a_content_is_of_stays():
    old = content(sourceVolumeMode="Filesystem")
    assert texts(VOLUME_SNAPSHOT_CONTENTS.validate_update(content(sourceVolumeMode="Block"), old)) == [
        'spec.sourceVolumeMode: Invalid value: "string": sourceVolumeMode is immutable'
    ]
    assert texts(VOLUME_SNAPSHOT_CONTENTS.validate_update(content(source={"volumeHandle": "w"}), content())) == [
        'spec.source.volumeHandle: Invalid value: "string": volumeHandle is immutable'
    ]


def test_v115_a_class_says_driver_and_policy():
    assert texts(VOLUME_SNAPSHOT_CLASSES.validate({"metadata": {"name": "c"}})) == [
        "deletionPolicy: Required value",
        "driver: Required value",
    ]


def test_v120_what_is_not_known_yet_is_left_blank():
    assert VOLUME_SNAPSHOTS.cells(snapshot(), NOW) == [
        *("snap", None, "data", None, None, None, None, None),
        "<unknown>",
    ]
    whole = content()
    whole["status"] = {"readyToUse": True, "restoreSize": 5}
    whole["metadata"]["creationTimestamp"] = "2026-01-02T03:04:00Z"
    assert VOLUME_SNAPSHOT_CONTENTS.cells(whole, NOW) == ["c", True, 5, "Delete", "d", None, "snap", "default", "5s"]
