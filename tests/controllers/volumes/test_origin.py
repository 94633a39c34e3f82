"""What a claim is filled from: V43, V121 to V125."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.api.core.event import EVENTS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from holdfast.api.snapshots.volume_snapshot_class import VOLUME_SNAPSHOT_CLASSES
from holdfast.api.snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS
from holdfast.controllers.volumes.effects import Backing
from holdfast.controllers.volumes.origin import Lookups, Origin, find_origin, source_key
from holdfast.controllers.volumes.provision import ObservedRequest, plan_provision
from holdfast.simulation.cluster import simulate

from .builders import claim, reference, storage_class, volume

GROUP = "snapshot.storage.k8s.io"
GI = 1 << 30
PROVISIONED = {"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"}
SNAPSHOT = {
    "metadata": {"name": "snap", "namespace": "default", "uid": "uid-snap"},
    "status": {"readyToUse": True, "boundVolumeSnapshotContentName": "c"},
}
CONTENT = {
    "metadata": {"name": "c"},
    "spec": {
        "driver": "local.holdfast.dev",
        "volumeSnapshotRef": {"uid": "uid-snap"},
        "sourceVolumeMode": "Filesystem",
    },
    "status": {"snapshotHandle": "h", "restoreSize": GI},
}


def of_snapshot(**more):
    return claim(dataSource={"kind": "VolumeSnapshot", "name": "snap", "apiGroup": GROUP}, **more)


def of_claim(**more):
    return claim("copy", dataSource={"kind": "PersistentVolumeClaim", "name": "data"}, **more)


def bound(**more):
    return claim(phase="Bound", volume="v", **more)


def backing(size="1Gi", **more):
    more = {"annotations": PROVISIONED, "claim_ref": reference("data"), "path": "/volumes/v", **more}
    return volume("v", size=size, phase="Bound", **more)


def origin(of, *, snapshot=SNAPSHOT, content=CONTENT, source=None, pv=None):
    find = Lookups(
        claim=lambda key: source if key == "default/data" else None,
        volume=lambda name: pv if name == "v" else None,
        snapshot=lambda key: snapshot if key == "default/snap" else None,
        content=lambda name: content if name == "c" else None,
    )
    return find_origin(of, find, "/volumes")


def test_a_claim_without_a_source_is_empty():
    assert origin(claim()) is None
    assert source_key(claim()) == ""


def test_v121_a_snapshot_is_found_by_its_handle():
    assert origin(of_snapshot()) == Origin("/volumes/.snapshots/h")
    assert source_key(of_snapshot()) == "VolumeSnapshot/default/snap"


def test_v122_a_claims_volume_is_found_by_the_claim():
    assert origin(of_claim(), source=bound(), pv=backing()) == Origin("/volumes/v")
    assert origin(of_claim(size="5Gi"), source=bound(), pv=backing()) == Origin("/volumes/v")  # V123


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"snapshot": None}, 'volumesnapshots.snapshot.storage.k8s.io "snap" not found'),
        ({"snapshot": {**SNAPSHOT, "status": {}}}, "snapshot snap not bound"),
        ({"snapshot": {**SNAPSHOT, "status": {"boundVolumeSnapshotContentName": "c"}}}, "snapshot snap is not Ready"),
        ({"content": None}, "snapshot snap not bound"),
        (
            {"content": {**CONTENT, "spec": {**CONTENT["spec"], "volumeSnapshotRef": {"uid": "x"}}}},
            "snapshotContent c is bound to a different snapshot",
        ),
        ({"content": {**CONTENT, "spec": {**CONTENT["spec"], "driver": "csi.example.com"}}}, "not of this provisioner"),
        (
            {"content": {**CONTENT, "status": {"snapshotHandle": "h", "restoreSize": 2 * GI}}},
            f"requested volume size {GI} is less than the size {2 * GI} for the source snapshot snap",
        ),
        ({"content": {**CONTENT, "spec": {**CONTENT["spec"], "sourceVolumeMode": "Block"}}}, "modifies the mode"),
        (
            {"snapshot": {**SNAPSHOT, "metadata": {**SNAPSHOT["metadata"], "deletionTimestamp": "x"}}},
            "snapshot snap is currently being deleted",
        ),
    ],
)
def test_v121_a_snapshot_that_cannot_be_restored(more, text):
    found = origin(of_snapshot(), **more)
    assert found.path == ""
    assert found.refusal.startswith("error getting handle for DataSource Type VolumeSnapshot by Name snap: ")
    assert text in found.refusal


@pytest.mark.parametrize(("annotation", "is_allowed"), [("true", True), ("false", False)])
def test_v121_the_mode_may_change_where_whoever_made_the_content_says_so(annotation, is_allowed):
    content = {**CONTENT, "spec": {**CONTENT["spec"], "sourceVolumeMode": "Block"}}
    marks = {"snapshot.storage.kubernetes.io/allow-volume-mode-change": annotation}
    content["metadata"] = {**CONTENT["metadata"], "annotations": marks}
    assert bool(origin(of_snapshot(), content=content).path) == is_allowed


@pytest.mark.parametrize(
    ("source", "pv", "text"),
    [
        (None, None, 'persistentvolumeclaims "data" not found'),
        (claim(), None, "the PVC DataSource data must have a status of Bound. Got Pending"),
        (bound(), None, "error getting PV v from api server"),
        (bound(), backing(annotations={}), "is not a volume of this provisioner"),
        (bound(), backing(claim_ref=reference("data", "x")), "claim in dataSource not bound or invalid"),
        (bound(), backing("2Gi"), f"requested {GI} but source is {2 * GI}"),
        (bound(), backing(volumeMode="Block"), "must have the same volume mode for cloning"),
    ],
)
def test_v122_a_claim_that_cannot_be_cloned(source, pv, text):
    found = origin(of_claim(), source=source, pv=pv)
    assert found.path == ""
    assert text in found.refusal


def test_a_source_in_another_namespace_is_refused():
    other = {"kind": "VolumeSnapshot", "name": "snap", "apiGroup": GROUP, "namespace": "other"}
    assert "CrossNamespaceVolumeDataSource" in origin(claim(dataSourceRef=other)).refusal


def test_v125_a_source_of_another_kind_is_left_to_a_populator():
    found = origin(claim(dataSourceRef={"kind": "Backup", "name": "b", "apiGroup": "example.com"}))
    assert found == Origin(is_for_others=True)


def request(of, found, backing=None):
    of["metadata"]["annotations"] = {"volume.kubernetes.io/storage-provisioner": "holdfast.dev/local"}
    of["spec"]["storageClassName"] = "s"
    return ObservedRequest(of, storage_class("s"), False, "/volumes", backing or Backing(), found)


def test_the_volume_is_filled_and_is_what_its_source_is():
    work = plan_provision(request(of_snapshot(size="2Gi"), Origin("/volumes/.snapshots/h"), Backing(is_sized=True)))
    assert (work.directory.operation, work.directory.arguments) == ("fill", ("/volumes/.snapshots/h", 2 * GI))
    assert "csi" in work.directory.done.actions[0].manifest["spec"]
    assert work.directory.settles


@pytest.mark.parametrize(("found", "again"), [(None, False), (Origin(refusal="not yet"), True)])
def test_v43_never_an_empty_volume_instead(found, again):
    work = plan_provision(request(of_snapshot(), found))
    assert work.directory is None
    assert work.before.actions[0].report.reason == "ProvisioningFailed"
    assert (work.before.again_after_s is not None) is again


def test_v125_nothing_is_said_of_what_others_fill():
    work = plan_provision(request(of_snapshot(), Origin(is_for_others=True)))
    assert (work.directory, work.before.actions) == (None, ())


# On a whole cluster, in simulated time


def wanted(name, source=None, size="1Gi"):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": "s"}
    if source:
        spec["dataSource"] = source
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def a_snapshot(name, of="data"):
    spec = {"source": {"persistentVolumeClaimName": of}, "volumeSnapshotClassName": "fast"}
    return {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "metadata": {"name": name}, "spec": spec}


FAST = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "VolumeSnapshotClass",
    "metadata": {"name": "fast"},
    "driver": "holdfast.dev/local",
    "deletionPolicy": "Delete",
}
FROM_SNAPSHOT = {"kind": "VolumeSnapshot", "name": "snap", "apiGroup": GROUP}


def phase(cluster, name):
    return cluster.get(PERSISTENT_VOLUME_CLAIMS, name)["status"]["phase"]


def test_v117_v118_v121_the_life_of_a_snapshot():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(storage_class("s"), FAST, wanted("data"), wanted("restored", FROM_SNAPSHOT))
        cluster.run_for(5)
        assert phase(cluster, "restored") == "Pending"
        cluster.apply(a_snapshot("snap"))
        cluster.run_for(30)
        assert phase(cluster, "restored") == "Bound"
        status = cluster.get(VOLUME_SNAPSHOTS, "snap")["status"]
        assert (status["readyToUse"], status["restoreSize"]) == (True, "1Gi")
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["metadata"]["finalizers"] == [
            "kubernetes.io/pvc-protection"
        ]
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.delete(VOLUME_SNAPSHOTS, "snap")
        cluster.run_for(5)
        assert cluster.objects(VOLUME_SNAPSHOTS) == cluster.objects(VOLUME_SNAPSHOT_CONTENTS) == []
        (left,) = cluster.directories.present
        assert left.endswith(cluster.get(PERSISTENT_VOLUME_CLAIMS, "restored")["spec"]["volumeName"])


def test_v118_a_snapshot_stays_while_a_claim_waits_to_be_filled_from_it():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(storage_class("s"), storage_class("slow", delayed=True), FAST, wanted("data"), a_snapshot("snap"))
        cluster.run_for(5)
        late = wanted("late", FROM_SNAPSHOT)
        late["spec"]["storageClassName"] = "slow"
        cluster.apply(late)
        cluster.run_for(1)
        cluster.delete(VOLUME_SNAPSHOTS, "snap")
        cluster.run_for(60)
        assert cluster.get(VOLUME_SNAPSHOTS, "snap")["status"]["readyToUse"]
        assert "SnapshotDeletePending" in {event["reason"] for event in cluster.objects(EVENTS)}
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "late")
        cluster.run_for(30)
        assert cluster.objects(VOLUME_SNAPSHOTS) == []


def test_v59_a_namespace_takes_its_snapshots_and_their_data_along():
    with simulate(0, nodes=0) as cluster:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}}
        inside = [wanted("data"), a_snapshot("snap"), wanted("restored", FROM_SNAPSHOT)]
        for each in inside:
            each["metadata"]["namespace"] = "gone"
        cluster.apply(namespace, storage_class("s"), FAST, *inside)
        cluster.run_for(30)
        assert len(cluster.directories.present) == 3
        for each in cluster.objects(PERSISTENT_VOLUME_CLAIMS, "gone"):
            cluster.permit(each["metadata"]["uid"])
        cluster.delete(NAMESPACES, "gone")
        cluster.run_for(60)
        assert cluster.get(NAMESPACES, "gone") is None
        assert cluster.objects(VOLUME_SNAPSHOT_CONTENTS) == []
        assert cluster.directories.present == set()


def crash(cluster, chance):
    """The control plane, in the midst of whatever it does."""
    cluster.run_for(chance.uniform(0, 0.3))
    cluster.kill(cluster.control_plane)
    cluster.run_for(0.1)
    cluster.restart(cluster.control_plane, 0.1)
    cluster.run_for(chance.uniform(0.2, 2))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_crashes_snapshots_are_taken_restored_and_leave_nothing(seed):
    chance = Random(seed)
    with simulate(seed, nodes=0) as cluster:
        cluster.apply(storage_class("s"), FAST, wanted("data"))
        cluster.run_for(3)
        for number in range(3):
            cluster.apply(a_snapshot(f"snap-{number}"))
            cluster.apply(wanted(f"restored-{number}", {**FROM_SNAPSHOT, "name": f"snap-{number}"}))
            crash(cluster, chance)
        cluster.run_until(lambda: all(phase(cluster, f"restored-{number}") == "Bound" for number in range(3)), 120)
        for number in range(3):
            cluster.delete(VOLUME_SNAPSHOTS, f"snap-{number}")
        for name in ("data", *(f"restored-{number}" for number in range(3))):
            cluster.delete(PERSISTENT_VOLUME_CLAIMS, name)
            crash(cluster, chance)
        cluster.run_until(lambda: not cluster.objects(VOLUME_SNAPSHOT_CONTENTS), 120)
        cluster.run_until_quiet()
        assert cluster.objects(VOLUME_SNAPSHOTS) == []
        assert cluster.directories.present == set()
        assert cluster.directories.unsettled("/volumes") == []
        assert len(cluster.objects(VOLUME_SNAPSHOT_CLASSES)) >= 1
