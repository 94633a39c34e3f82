"""Decisions about snapshots and their contents: V115 to V124."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from holdfast.controllers.actions import Create, Delete, Emit, Patch
from holdfast.controllers.snapshots.contents import Member, ObservedContent, plan_content
from holdfast.controllers.snapshots.plan import ObservedSnapshot, plan_snapshot
from holdfast.controllers.snapshots.protection import ObservedSource, plan_source
from holdfast.controllers.volumes.effects import Cut

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MARKS = "snapshot.storage.kubernetes.io"
BOUND, AS_SOURCE = f"{MARKS}/volumesnapshot-bound-protection", f"{MARKS}/volumesnapshot-as-source-protection"
CONTENT_BOUND = f"{MARKS}/volumesnapshotcontent-bound-protection"
HANDLE = "snapshot-uid-snap"
CREATED_NS = 1_767_323_045_000_000_000


def snapshot(*, deleting=False, finalizers=(AS_SOURCE, BOUND), status=None, **spec):
    made = {
        "metadata": {
            "name": "snap",
            "namespace": "default",
            "uid": "uid-snap",
            "resourceVersion": "3",
            "finalizers": list(finalizers),
        },
        "spec": {"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "fast", **spec},
    }
    if deleting:
        made["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:00Z"
    return {**made, "status": status} if status else made


def content(*, deleting=False, policy="Delete", uid="uid-snap", marked=False, source=None, status=None, **spec):
    made = {
        "metadata": {
            "name": "snapcontent-uid-snap",
            "uid": "uid-content",
            "resourceVersion": "4",
            "finalizers": [CONTENT_BOUND],
            "annotations": {f"{MARKS}/volumesnapshot-being-deleted": "yes"} if marked else {},
        },
        "spec": {
            "deletionPolicy": policy,
            "driver": "local.holdfast.dev",
            "source": source or {"volumeHandle": "pvc-1"},
            "volumeSnapshotRef": {"name": "snap", "namespace": "default", **({"uid": uid} if uid else {})},
            **spec,
        },
    }
    if deleting:
        made["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:00Z"
    return {**made, "status": status} if status else made


CLAIM = {"metadata": {"name": "data", "uid": "uid-data"}, "spec": {"volumeName": "pvc-1"}, "status": {"phase": "Bound"}}
VOLUME = {
    "metadata": {"name": "pvc-1", "annotations": {"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"}},
    "spec": {
        "capacity": {"storage": "1Gi"},
        "csi": {
            "driver": "local.holdfast.dev",
            "volumeHandle": "pvc-1",
            "volumeAttributes": {"holdfast.dev/backing": "image"},
        },
    },
}
READY = {"snapshotHandle": HANDLE, "creationTime": CREATED_NS, "restoreSize": 1 << 30, "readyToUse": True}


def a_class(name="fast", driver="local.holdfast.dev", *, default=False, policy="Delete"):
    annotations = {f"{MARKS}/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "driver": driver, "deletionPolicy": policy}


def seen(of=None, with_content=None, *, claim=CLAIM, volume=VOLUME, classes=None, restoring=()):
    classes = [a_class()] if classes is None else classes
    return ObservedSnapshot(of or snapshot(), with_content, claim, volume, classes, restoring, "/volumes", NOW)


def events(plan):
    """(reason, message) of all events that the plan tells."""
    told = [each.report for each in plan.actions if isinstance(each, Emit)]
    told += [each.on_success for each in plan.actions if not isinstance(each, Emit) and each.on_success]
    return [(report.reason, report.message) for report in told]


def patches(plan):
    return [each.patch for each in plan.actions if isinstance(each, Patch)]


def test_v118_a_snapshot_is_protected_before_anything_is_made_for_it():
    plan = plan_snapshot(seen(snapshot(finalizers=())))
    assert patches(plan)[0]["metadata"]["finalizers"] == [AS_SOURCE, BOUND]
    assert len(plan.actions) == 1


def test_v117_the_content_has_a_name_that_follows_from_the_uid_and_names_the_snapshot():
    plan = plan_snapshot(seen(classes=[a_class(policy="Retain")]))
    (create,) = plan.actions
    assert isinstance(create, Create)
    assert create.may_exist
    assert create.manifest["metadata"] == {"name": "snapcontent-uid-snap", "finalizers": [CONTENT_BOUND]}
    spec = create.manifest["spec"]
    assert (spec["deletionPolicy"], spec["source"], spec["sourceVolumeMode"]) == (
        "Retain",
        {"volumeHandle": "pvc-1"},
        "Filesystem",
    )
    assert spec["volumeSnapshotRef"]["uid"] == "uid-snap"
    assert events(plan) == [
        ("CreatingSnapshot", "Waiting for a snapshot default/snap to be created by the CSI driver.")
    ]


def test_the_handle_of_a_plain_directory_is_the_volumes_name():
    spec = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/volumes/pvc-1"}}
    plan = plan_snapshot(seen(volume={**VOLUME, "spec": spec}))
    assert plan.actions[0].manifest["spec"]["source"] == {"volumeHandle": "pvc-1"}


def test_v115_the_default_class_of_the_driver_is_written_down():
    unclassed = snapshot()
    del unclassed["spec"]["volumeSnapshotClassName"]
    classes = [a_class(), a_class("own", default=True), a_class("foreign", "csi.example.com", default=True)]
    plan = plan_snapshot(seen(unclassed, classes=classes))
    assert patches(plan)[0]["spec"] == {"volumeSnapshotClassName": "own"}


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ([a_class()], "cannot find default snapshot class"),
        ([a_class("a", default=True), a_class("b", default=True)], "2 default snapshot classes were found"),
    ],
)
def test_v115_without_one_default_class_there_is_no_snapshot(classes, text):
    unclassed = snapshot()
    del unclassed["spec"]["volumeSnapshotClassName"]
    plan = plan_snapshot(seen(unclassed, classes=classes))
    message = f"Failed to set default snapshot class with error {text}"
    assert events(plan) == [("SetDefaultSnapshotClassFailed", message)]
    assert patches(plan)[0]["status"]["error"]["message"] == message
    assert plan.again_after_s


@pytest.mark.parametrize(
    ("observed", "reason", "text"),
    [
        (seen(claim=None), "SnapshotContentCreationFailed", 'persistentvolumeclaim "data" not found'),
        (
            seen(claim={**CLAIM, "status": {"phase": "Pending"}}),
            "SnapshotContentCreationFailed",
            "the PVC data is not yet bound to a PV, will not attempt to take a snapshot",
        ),
        (
            seen(volume={**VOLUME, "metadata": {"name": "pvc-1"}}),
            "SnapshotContentCreationFailed",
            "cannot find CSI PersistentVolumeSource for volume pvc-1",
        ),
        (seen(classes=[]), "GetSnapshotClassFailed", 'snapshot.storage.k8s.io "fast" not found'),
        (seen(classes=[a_class(driver="csi.example.com")]), "SnapshotContentCreationFailed", "is not the volume's"),
    ],
)
def test_what_is_missing_is_told_and_waited_for(observed, reason, text):
    plan = plan_snapshot(observed)
    ((told, message),) = events(plan)
    assert told == reason
    assert text in message
    assert plan.again_after_s
    assert not any(isinstance(action, Create) for action in plan.actions)


def test_an_obstacle_that_is_known_is_not_written_again():
    status = {"error": {"message": "VolumeSnapshotContent is missing", "time": "2026-01-02T03:04:05Z"}}
    given = snapshot(source={"volumeSnapshotContentName": "c"}, status=status)
    assert patches(plan_snapshot(seen(given))) == []


def test_v117_what_the_content_says_is_shown_on_the_snapshot():
    plan = plan_snapshot(seen(with_content=content(status=READY)))
    assert patches(plan)[0]["status"] == {
        "boundVolumeSnapshotContentName": "snapcontent-uid-snap",
        "creationTime": "2026-01-02T03:04:05Z",
        "readyToUse": True,
        "restoreSize": "1Gi",
        "error": None,
    }
    assert [reason for reason, _ in events(plan)] == ["SnapshotCreated", "SnapshotReady"]
    shown = snapshot(status={key: value for key, value in patches(plan)[0]["status"].items() if value is not None})
    assert plan_snapshot(seen(shown, content(status=READY))).actions == ()


def test_v119_a_given_content_is_bound_if_both_name_each_other():
    given = snapshot(source={"volumeSnapshotContentName": "snapcontent-uid-snap"})
    plan = plan_snapshot(seen(given, content(uid="", source={"snapshotHandle": "h"})))
    assert patches(plan)[0]["spec"]["volumeSnapshotRef"] == {"uid": "uid-snap"}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "SnapshotContentMissing"),
        (content(source={"snapshotHandle": "h"}, uid="another"), "SnapshotContentMisbound"),
        (
            content(source={"snapshotHandle": "h"}, volumeSnapshotRef={"name": "x", "namespace": "default"}),
            "SnapshotContentMisbound",
        ),
        (content(), "SnapshotContentMismatch"),
    ],
)
def test_v119_a_given_content_that_does_not_fit_is_told(found, reason):
    given = snapshot(source={"volumeSnapshotContentName": "snapcontent-uid-snap"})
    assert [told for told, _ in events(plan_snapshot(seen(given, found)))] == [reason]


def test_v118_a_snapshot_from_which_a_claim_is_filled_stays():
    plan = plan_snapshot(seen(snapshot(deleting=True), content(status=READY), restoring=[{"any": "claim"}]))
    assert events(plan) == [("SnapshotDeletePending", "Snapshot is being used to restore a PVC")]
    assert patches(plan) == []


def test_v118_the_content_goes_before_the_snapshot():
    plan = plan_snapshot(seen(snapshot(deleting=True), content(status=READY)))
    mark, delete = plan.actions
    assert mark.patch["metadata"]["annotations"] == {f"{MARKS}/volumesnapshot-being-deleted": "yes"}
    assert isinstance(delete, Delete)
    assert delete.uid == "uid-content"
    waiting = plan_snapshot(seen(snapshot(deleting=True), content(status=READY, deleting=True, marked=True)))
    assert waiting.actions == ()
    gone = plan_snapshot(seen(snapshot(deleting=True)))
    assert patches(gone)[0]["metadata"]["finalizers"] is None


def test_v118_a_retained_content_stays_when_its_snapshot_goes():
    marked = plan_snapshot(seen(snapshot(deleting=True), content(policy="Retain", status=READY)))
    assert not any(isinstance(action, Delete) for action in marked.actions)
    gone = plan_snapshot(seen(snapshot(deleting=True), content(policy="Retain", status=READY, marked=True)))
    assert patches(gone)[0]["metadata"]["finalizers"] is None


# Contents


def kept(of, *, for_snapshot="default", volume=VOLUME):
    for_snapshot = snapshot() if for_snapshot == "default" else for_snapshot
    return ObservedContent(of, for_snapshot, volume, "/volumes", NOW)


def test_v117_v124_it_is_ready_once_the_copy_is_whole():
    work = plan_content(kept(content()))
    assert work.before.actions == ()
    directory = work.directory
    assert (directory.operation, directory.path, directory.arguments) == (
        "cut",
        f"/volumes/.snapshots/{HANDLE}",
        ("/volumes/pvc-1", True),
    )
    status = patches(directory.done_by(Cut(1 << 20, CREATED_NS)))[0]["status"]
    assert status == {**READY, "restoreSize": 1 << 20, "error": None}


def test_the_size_of_a_directory_is_its_volumes():
    status = patches(plan_content(kept(content())).directory.done_by(Cut(0, CREATED_NS)))[0]["status"]
    assert status["restoreSize"] == 1 << 30


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (kept(content(status=READY)), "ready"),
        (kept(content(driver="csi.example.com")), "another driver's"),
        (kept(content(), for_snapshot=None), "nobody wants it any more"),
        (kept(content(), for_snapshot=snapshot(deleting=True)), "nobody wants it any more"),
        (kept(content(deleting=True, status=READY)), "its snapshot is there to stay"),
    ],
)
def test_nothing_is_to_be_done(observed, reason):
    work = plan_content(observed)
    assert (work.before.reason, work.before.actions, work.directory) == (reason, (), None)


def test_v119_a_snapshot_that_exists_is_looked_at():
    directory = plan_content(kept(content(source={"snapshotHandle": "old"}))).directory
    assert (directory.operation, directory.path) == ("look", "/volumes/.snapshots/old")
    plan = directory.failed("no such snapshot")
    assert events(plan) == [
        ("SnapshotContentCheckandUpdateFailed", "Failed to check and update snapshot content: no such snapshot")
    ]


@pytest.mark.parametrize("handle", ["..", "../pvc-1", "a/b", "/etc", ".hidden", ""])
def test_v136_a_handle_that_is_no_name_touches_nothing(handle):
    source = {"snapshotHandle": handle}
    looked = plan_content(kept(content(source=source)))
    assert looked.directory is None or not handle
    gone = plan_content(kept(content(deleting=True, source=source, uid=""), for_snapshot=None))
    assert gone.directory is None


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_v118_the_policy_decides_on_the_data(policy):
    marked = content(deleting=True, marked=True, policy=policy, status=READY)
    work = plan_content(kept(marked, for_snapshot=snapshot(deleting=True)))
    if policy == "Retain":
        assert work.directory is None
        assert patches(work.before)[0]["metadata"]["finalizers"] is None
    else:
        assert (work.directory.operation, work.directory.path) == ("remove", f"/volumes/.snapshots/{HANDLE}")
        assert patches(work.directory.done)[0]["metadata"]["finalizers"] is None


def test_what_was_begun_for_a_content_that_is_given_up_is_removed_too():
    work = plan_content(kept(content(deleting=True, marked=True), for_snapshot=None))
    assert work.directory.path == f"/volumes/.snapshots/{HANDLE}"


def test_a_failure_is_shown_told_and_tried_again():
    plan = plan_content(kept(content())).directory.failed("No space left on device")
    message = "Failed to create snapshot: No space left on device"
    assert events(plan) == [("CreateSnapshotFailed", message)]
    assert patches(plan)[0]["status"] == {
        "error": {"message": message, "time": "2026-01-02T03:04:05Z"},
        "readyToUse": False,
    }
    assert plan.again_after_s


# Several at one moment


def taken_with(count):
    made = snapshot()
    made["metadata"]["labels"] = {"holdfast.dev/taken-with": "s"}
    made["metadata"]["annotations"] = {"holdfast.dev/taken-with-count": str(count)}
    return made


def member(number, volume=VOLUME):
    of = content(
        source={"volumeHandle": f"pvc-{number}"},
        volumeSnapshotRef={"name": f"snap-{number}", "namespace": "default", "uid": f"uid-{number}"},
    )
    handle = {**VOLUME["spec"]["csi"], "volumeHandle": f"pvc-{number}"}
    return Member(of, volume and {**volume, "spec": {**volume["spec"], "csi": handle}})


def together(count, *members):
    observed = kept(content(), for_snapshot=taken_with(count))
    return plan_content(replace(observed, together=members))


def test_the_first_of_a_group_takes_all_of_them():
    directory = together(2, member(2), member(1)).directory
    assert (directory.operation, directory.path) == ("cut_together", f"/volumes/.snapshots/{HANDLE}")
    assert directory.arguments == (
        "default_s",
        [("snapshot-uid-1", "/volumes/pvc-1"), ("snapshot-uid-2", "/volumes/pvc-2")],
    )
    assert patches(directory.done_by(Cut(5, CREATED_NS)))[0]["status"]["snapshotHandle"] == HANDLE


def test_a_group_waits_until_all_are_there():
    work = together(3, member(1), member(2))
    assert (work.directory, work.before.actions) == (None, ())
    assert "waiting for 1 more" in work.before.reason


@pytest.mark.parametrize("volume", [None, {**VOLUME, "metadata": {"name": "pvc-2"}}])
def test_a_group_with_a_plain_directory_is_refused(volume):
    spec = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/volumes/pvc-2"}}
    plain = Member(member(2).content, volume and {**volume, "spec": spec})
    work = together(2, member(1), plain)
    assert work.directory is None
    ((reason, message),) = events(work.before)
    assert reason == "CreateSnapshotFailed"
    assert "pvc-2 is a plain directory, and only volumes with a size are taken at one moment" in message


# Claims


@pytest.mark.parametrize(
    ("present", "cut", "cloned", "wanted"),
    [
        ([], True, False, [f"{MARKS}/pvc-as-source-protection"]),
        ([], False, True, ["provisioner.storage.kubernetes.io/cloning-protection"]),
        (["x", f"{MARKS}/pvc-as-source-protection"], False, False, ["x"]),
        (["x"], False, False, None),
    ],
)
def test_v118_v122_claims_are_kept_while_something_is_made_from_them(present, cut, cloned, wanted):
    claim = {"metadata": {"name": "data", "namespace": "d", "uid": "u", "resourceVersion": "1", "finalizers": present}}
    plan = plan_source(ObservedSource(claim, cut, cloned))
    assert [each["metadata"]["finalizers"] for each in patches(plan)] == ([] if wanted is None else [wanted])


def test_a_claim_on_its_way_out_is_not_held_up_anew():
    claim = {"metadata": {"name": "data", "namespace": "d", "uid": "u", "deletionTimestamp": "x", "finalizers": ["x"]}}
    assert plan_source(ObservedSource(claim, True, True)).actions == ()
