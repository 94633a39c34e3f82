"""Directories of NFS shares as volumes: parameters, handles, and what is asked of the server (V97)."""

from __future__ import annotations

import json

import pytest

from holdfast.api.storage import shares
from holdfast.api.storage.shares import BadParameter, Share
from holdfast.controllers.actions import Create
from holdfast.controllers.snapshots.places import OnShare, place_of
from holdfast.controllers.volumes.abandoned import ObservedMark, plan_abandoned
from holdfast.controllers.volumes.effects import Cut, ShareWork
from holdfast.controllers.volumes.expansion import ObservedGrowth, plan_growth
from holdfast.controllers.volumes.origin import Origin
from holdfast.controllers.volumes.provision import ObservedRequest
from holdfast.controllers.volumes.reclaim import ObservedRelease, plan_reclaim
from holdfast.controllers.volumes.share import ShareSources, copied_within_s, plan_share

from .builders import NOW, claim, reference, storage_class, volume

NFS = {"server": "nas", "share": "/exports/a"}
PV = "pvc-uid-data"


def made_by(**parameters):
    return shares.from_class({**NFS, **parameters}, claim(), PV)


@pytest.mark.parametrize(
    ("parameters", "handle", "path"),
    [
        ({}, f"nas#exports/a#{PV}##", f"/exports/a/{PV}"),
        ({"subDir": "x/y/"}, f"nas#exports/a#x/y#{PV}#", "/exports/a/x/y"),
        ({"subdir": "${pvc.metadata.namespace}-${pvc.metadata.name}"}, f"nas#exports/a#default-data#{PV}#", None),
        ({"subDir": "${pv.metadata.name}"}, f"nas#exports/a#{PV}#{PV}#", None),
        ({"onDelete": "retain"}, f"nas#exports/a#{PV}##retain", None),
        ({"onDelete": "archive"}, f"nas#exports/a#{PV}##archive", None),
        ({"onDelete": "delete"}, f"nas#exports/a#{PV}##", None),
        ({"share": "/"}, f"nas##{PV}##", f"/{PV}"),
        ({"csi.storage.k8s.io/provisioner-secret-name": "s"}, f"nas#exports/a#{PV}##", None),
    ],
)
def test_v97_where_a_volume_is_and_what_it_is_called(parameters, handle, path):
    share, mode = made_by(**parameters)
    assert (share.handle, mode) == (handle, "0")
    assert path is None or share.path == path
    assert shares.of_handle(handle) == share if parameters.get("onDelete") != "delete" else True


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"server": ""}, "server is a required parameter"),
        ({"share": ""}, "share is a required parameter"),
        ({"quota": "1"}, 'invalid parameter "quota" in storage class'),
        ({"mountPermissions": "rwx"}, "invalid mountPermissions rwx in storage class"),
        ({"mountPermissions": "0789"}, "invalid mountPermissions 0789 in storage class"),
        (
            {"onDelete": "burn"},
            "invalid value burn for OnDelete, supported values are [delete retain archive]",
        ),
        ({"subDir": "../other"}, "subDir ../other must not contain .."),
    ],
)
def test_v97_a_class_that_says_too_little_or_too_much(parameters, words):
    with pytest.raises(BadParameter) as caught:
        made_by(**parameters)
    assert str(caught.value) == words
    marks = {"volume.kubernetes.io/storage-provisioner": shares.DRIVER}
    work = plan_share(request(claim(storage_class="s", annotations=marks), **parameters))
    assert work.directory is None
    assert work.before.actions[-1].report.message == (
        f'failed to provision volume with StorageClass "s": rpc error: code = InvalidArgument desc = {words}'
    )


@pytest.mark.parametrize("handle", ["", "nas", "nas#a", "#a#b", "nas#a#", "nas#a#../b##"])
def test_v97_v136_what_is_no_handle_names_nothing(handle):
    assert shares.of_handle(handle) is None


@pytest.mark.parametrize("handle", ["", "nas#a#s#s", "nas#a#..#..#v", "nas#a#s#s#../v", "nas#a#b/c#b/c#v", "#a#s#s#v"])
def test_v97_v136_what_is_no_handle_of_a_snapshot_names_nothing(handle):
    assert shares.of_snapshot(handle) is None


def request(of, origin=None, **parameters):
    of_class = {**storage_class("s", shares.DRIVER), "parameters": {**NFS, **parameters}, "mountOptions": ["hard"]}
    return ObservedRequest(of, of_class, False, "/volumes", origin=origin)


def wanted(**more):
    return claim(storage_class="s", annotations={"volume.kubernetes.io/storage-provisioner": shares.DRIVER}, **more)


def test_v97_v40_a_directory_is_made_before_its_volume_and_written_down_before_that():
    work = plan_share(request(wanted(size="20Gi"), mountPermissions="0770")).directory
    assert isinstance(work, ShareWork)
    assert (work.server, work.path, work.operation, work.arguments) == ("nas", "/exports/a", "make", (PV, "0770"))
    assert (work.options, work.deadline_s) == (("hard",), 120)
    assert work.settles == f"/volumes/{PV}"
    assert json.loads(work.remains) == {"handle": f"nas#exports/a#{PV}##", "options": ["hard"]}
    (create,) = work.done.actions
    assert isinstance(create, Create)
    spec = create.manifest["spec"]
    assert spec["csi"]["volumeHandle"] == f"nas#exports/a#{PV}##"
    assert spec["csi"]["volumeAttributes"] == {**NFS, "mountPermissions": "0770", "subDir": PV}
    assert (spec["mountOptions"], spec["capacity"]) == (["hard"], {"storage": "20Gi"})
    told = work.failed("Connection refused").actions[0].report.message
    assert told.endswith("rpc error: code = Internal desc = Connection refused")


@pytest.mark.parametrize(
    ("origin", "operation", "arguments"),
    [
        (Origin("pvc-other", share=Share("nas", "exports/a", "pvc-other")), "fill", (PV, "0", "pvc-other")),
        (Origin("s/v.tar.gz", share=Share("nas", "exports/a", "s")), "restore", (PV, "0", "s/v.tar.gz")),
    ],
)
def test_v97_a_copy_is_made_on_the_share(origin, operation, arguments):
    work = plan_share(request(wanted(size="20Gi"), origin)).directory
    assert (work.operation, work.arguments, work.deadline_s) == (operation, arguments, 600)


def test_v97_v43_a_copy_from_another_share_is_refused():
    origin = Origin("pvc-other", share=Share("nas", "exports/b", "pvc-other"))
    work = plan_share(request(wanted(), origin))
    assert work.directory is None
    assert work.before.actions[-1].report.message.endswith("the source is on another share, nas:/exports/b")


def provisioned(handle=f"nas#exports/a#{PV}##", **more):
    marks = {"pv.kubernetes.io/provisioned-by": shares.DRIVER}
    more = {"phase": "Released", "policy": "Delete", "claim_ref": reference("data"), **more}
    made = volume(PV, annotations=marks, mountOptions=["port=1"], **more)
    del made["spec"]["hostPath"]
    made["spec"]["csi"] = {"driver": shares.DRIVER, "volumeHandle": handle}
    return made


@pytest.mark.parametrize(
    ("handle", "operation", "arguments"),
    [
        (f"nas#exports/a#{PV}##", "remove", (PV,)),
        (f"nas#exports/a#x/y#{PV}#archive", "archive", ("x/y", "archived-x/y")),
        (f"nas#exports/a#x#{PV}#retain", None, ()),
    ],
)
def test_v97_v53_the_handle_alone_says_what_becomes_of_the_directory(handle, operation, arguments):
    work = plan_reclaim(ObservedRelease(provisioned(handle), (), NOW, "/volumes"))
    if operation is None:
        assert work.directory is None
        assert len(work.before.actions) == 1
        return
    assert (work.directory.operation, work.directory.arguments) == (operation, arguments)
    assert work.directory.options == ("port=1",)
    assert work.directory.done == plan_reclaim(ObservedRelease(provisioned(f"n#a#x#{PV}#retain"), (), NOW)).before
    assert work.directory.failed("Stale").actions[0].report.reason == "VolumeFailedDelete"


def test_v97_v134_no_directory_is_removed_under_a_pod():
    work = plan_reclaim(ObservedRelease(provisioned(), ["default/web-0"], NOW, "/volumes"))
    assert work.directory is None
    assert work.before.actions[0].report.message == "Volume is used by pods: default/web-0"


@pytest.mark.parametrize(("handle", "operation"), [(f"nas#a#{PV}##", "remove"), (f"nas#a#x#{PV}#", "discard")])
def test_v97_v40_what_was_begun_for_nobody_is_taken_away_if_it_is_nobody_elses(handle, operation):
    remains = json.dumps({"handle": handle, "options": ["port=1"]})
    work = plan_abandoned(ObservedMark(f"/volumes/{PV}", False, remains=remains)).directory
    assert (work.operation, work.options, work.settles) == (operation, ("port=1",), f"/volumes/{PV}")
    assert plan_abandoned(ObservedMark("/volumes/x", True, remains=remains)).directory is None


def test_v97_growth_is_written_down_and_nothing_else():
    made = provisioned(phase="Bound")
    of = claim(size="3Gi", volume=PV, phase="Bound")
    of["status"]["capacity"] = {"storage": "1Gi"}
    work = plan_growth(ObservedGrowth(of, made, "/volumes", NOW))
    assert work.directory is None
    assert [action.resource.kind for action in work.before.actions] == ["PersistentVolume", "PersistentVolumeClaim"]


def content(**spec):
    spec = {"driver": shares.DRIVER, "volumeSnapshotRef": {"uid": "s"}, "source": {}, **spec}
    marks = {"volume.beta.kubernetes.io/mount-options": "port=1"}
    return {"metadata": {"name": "c", "annotations": marks}, "spec": spec}


def test_v97_v117_a_snapshot_is_packed_beside_its_volume():
    place, of = place_of(content(), "/volumes"), content(source={"volumeHandle": f"nas#exports/a#{PV}##"})
    assert isinstance(place, OnShare)
    handle = place.handle(of)
    assert handle == f"nas#exports/a#snapshot-s#snapshot-s#{PV}"
    taken = []
    work = place.cut(handle, of, provisioned(), lambda cut: taken.append(cut), str)
    assert (work.operation, work.arguments) == ("cut", (f"snapshot-s/{PV}.tar.gz", PV))
    assert work.options == ("port=1",)
    work.done_by({"size_bytes": 184, "created_ns": 7})
    assert taken == [Cut(184, 7)]
    gone = place.remove(handle, of, "gone", str)
    assert (gone.operation, gone.arguments, gone.done) == ("remove", ("snapshot-s",), "gone")
    assert place.look(handle, of, taken.append, str).operation == "look"


def test_v97_v119_only_snapshots_of_the_driver_are_restored():
    handle = f"nas#exports/a#snapshot-s#snapshot-s#{PV}"
    ready = {**content(), "status": {"snapshotHandle": handle}}
    assert ShareSources().of_content(ready, "/volumes") == Origin(
        f"snapshot-s/{PV}.tar.gz", share=Share("nas", "exports/a", "snapshot-s")
    )
    other = {**content(driver="local.holdfast.dev"), "status": {"snapshotHandle": "h"}}
    assert ShareSources().of_content(other, "/volumes") is None
    assert ShareSources().of_volume(volume("v"), "/volumes") is None


def test_v97_the_time_to_copy_grows_with_the_volume():
    assert (copied_within_s("1Gi"), copied_within_s("100Gi")) == (300, 3000)


@pytest.mark.parametrize(
    ("source", "mount"),
    [
        (
            {"driver": shares.DRIVER, "volumeAttributes": {**NFS, "subDir": "x"}},
            {"server": "nas", "path": "/exports/a/x"},
        ),
        (
            {"driver": shares.DRIVER, "volumeAttributes": {"server": "nas", "share": "/"}},
            {"server": "nas", "path": "/"},
        ),
        ({"driver": shares.DRIVER, "volumeAttributes": {"server": "nas"}}, None),
        ({"driver": "other", "volumeAttributes": NFS}, None),
    ],
)
def test_v97_how_a_node_mounts_it(source, mount):
    assert shares.mount_of(source) == mount
