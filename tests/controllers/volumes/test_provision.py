"""The local provisioner and what becomes of its volumes: V38 to V57."""

import pytest

from holdfast.controllers.actions import Create, Delete, Emit, Patch
from holdfast.controllers.volumes.provision import ObservedRequest, plan_provision
from holdfast.controllers.volumes.reclaim import ObservedRelease, plan_reclaim

from .builders import NOW, claim, reference, storage_class, volume

PROVISIONER = "volume.kubernetes.io/storage-provisioner"
SELECTED = "volume.kubernetes.io/selected-node"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"


def request(of, of_class, *, exists=False):
    return ObservedRequest(of, of_class, exists, "/var/volumes")


def wanted(provisioner="holdfast.dev/local", **more):
    return claim(storage_class="s", annotations={PROVISIONER: provisioner, **more.pop("marks", {})}, **more)


def test_v38_v40_the_directory_is_made_before_the_volume_and_events_tell_of_it():
    work = plan_provision(request(wanted(size="3Gi"), storage_class("s")))
    (announced,) = work.before.actions
    assert isinstance(announced, Emit)
    assert (announced.report.reason, announced.report.message) == (
        "Provisioning",
        'External provisioner is provisioning volume for claim "default/data"',
    )
    assert (work.directory.operation, work.directory.path) == ("create", "/var/volumes/pvc-uid-data")
    (create,) = work.directory.done.actions
    assert isinstance(create, Create)
    assert create.may_exist
    assert create.on_success.message == "Successfully provisioned volume pvc-uid-data"


def test_v39_v47_v135_v142_the_volume_is_complete_with_claim_class_and_policy():
    (create,) = plan_provision(request(wanted(size="3Gi"), storage_class("s"))).directory.done.actions
    made = create.manifest
    assert made["metadata"] == {
        "name": "pvc-uid-data",
        "annotations": {"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"},
        "finalizers": [FINALIZER],
    }
    assert made["spec"]["capacity"] == {"storage": "3Gi"}
    assert made["spec"]["claimRef"]["uid"] == "uid-data"
    assert made["spec"]["storageClassName"] == "s"
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert "nodeAffinity" not in made["spec"]  # every node of this machine reaches it (X8.3)


def test_v39_a_retained_volume_carries_no_finalizer():
    work = plan_provision(request(wanted(), storage_class("s", policy="Retain")))
    assert "finalizers" not in work.directory.done.actions[0].manifest["metadata"]


@pytest.mark.parametrize("provisioner", ["kubernetes.io/gce-pd", "pd.csi.storage.gke.io"])
def test_v46_a_clouds_class_is_served_with_a_local_volume_that_says_so(provisioner):
    work = plan_provision(request(wanted("pd.csi.storage.gke.io"), storage_class("s", provisioner)))
    assert f"a local volume of this machine stands in for {provisioner}" in work.before.actions[0].report.message
    made = work.directory.done.actions[0].manifest
    assert made["metadata"]["annotations"] == {"pv.kubernetes.io/provisioned-by": "pd.csi.storage.gke.io"}


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        pytest.param(request(claim(), None), "another provisioner's", id="not asked"),
        pytest.param(
            request(wanted("example.com/x"), storage_class("s", "example.com/x")), "another provisioner's", id="foreign"
        ),
        pytest.param(request(wanted(volume="v"), storage_class("s")), "the claim needs no volume", id="bound"),
        pytest.param(request(wanted(), storage_class("s"), exists=True), "the volume exists", id="V135"),
        pytest.param(request(wanted(), None), "the class is gone or has changed", id="no class"),
        pytest.param(request(wanted(), storage_class("s", delayed=True)), "no node has been selected", id="V139"),
    ],
)
def test_v135_v139_nothing_is_provisioned(observed, reason):
    work = plan_provision(observed)
    assert (work.before.reason, work.before.actions, work.directory) == (reason, (), None)


def test_v37_a_delayed_claim_is_served_once_a_node_is_selected():
    assert plan_provision(request(wanted(marks={SELECTED: "n1"}), storage_class("s", delayed=True))).directory


@pytest.mark.parametrize(
    "more", [{"dataSource": {"kind": "VolumeSnapshot", "name": "s"}}, {"volumeMode": "Block"}, {"selector": {}}]
)
def test_v43_what_cannot_be_honoured_is_refused_and_never_an_empty_volume(more):
    if "selector" in more:
        more = {"selector": {"matchLabels": {"a": "b"}}}
    work = plan_provision(request(wanted(**more), storage_class("s")))
    assert work.directory is None
    report = work.before.actions[0].report
    assert (report.type, report.reason) == ("Warning", "ProvisioningFailed")
    assert report.message.startswith('failed to provision volume with StorageClass "s": ')


def test_v38_a_directory_that_cannot_be_made_is_reported():
    plan = plan_provision(request(wanted(), storage_class("s"))).directory.failed("No space left on device")
    assert plan.actions[0].report.message == (
        'failed to provision volume with StorageClass "s": No space left on device'
    )
    assert plan.again_after_s


def released(*, users=(), provisioner="holdfast.dev/local", **more):
    marks = {"pv.kubernetes.io/provisioned-by": provisioner} if provisioner else {}
    more = {"phase": "Released", "policy": "Delete", "claim_ref": reference("data"), **more}
    return ObservedRelease(volume("v", annotations=marks, **more), users, NOW)


def test_v53_a_retained_volume_stays_released_with_its_data():
    work = plan_reclaim(released(policy="Retain"))
    assert (work.directory, work.before.actions) == (None, ())


def test_v58_v134_a_bound_volume_is_never_reclaimed():
    assert plan_reclaim(released(phase="Bound")).directory is None


def test_v53_the_data_goes_first_then_the_finalizer_then_the_object():
    observed = released()
    observed.volume["metadata"]["finalizers"].append(FINALIZER)
    work = plan_reclaim(observed)
    assert (work.directory.operation, work.directory.path) == ("remove", "/data")
    patch, delete = work.directory.done.actions
    assert isinstance(patch, Patch)
    assert patch.patch["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    assert isinstance(delete, Delete)
    assert delete.uid == "uid-v"


def test_v53_data_that_cannot_be_deleted_is_reported_and_the_phase_stays_released():
    plan = plan_reclaim(released()).directory.failed("still mounted: /data")
    (told,) = plan.actions
    assert (told.report.reason, told.report.message) == ("VolumeFailedDelete", "still mounted: /data")
    assert plan.again_after_s == 15


def test_v134_data_is_not_deleted_below_a_pod_that_still_runs():
    work = plan_reclaim(released(users=["default/web-0"]))
    assert work.directory is None
    assert work.before.actions[0].report.message == "Volume is used by pods: default/web-0"


def test_v53_another_provisioners_volume_is_left_to_it():
    work = plan_reclaim(released(provisioner="example.com/x"))
    assert (work.directory, work.before.actions) == (None, ())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"path": "/srv/data"}, "host_path deleter only supports /tmp/.+ but received provided /srv/data"),
        (
            {"hostPath": None, "nfs": {"server": "s", "path": "/"}},
            'error getting deleter volume plugin for volume "v": no deletable volume plugin matched',
        ),
    ],
)
def test_v54_what_was_made_by_hand_cannot_be_deleted_but_below_tmp(spec, message):
    work = plan_reclaim(released(provisioner="", **spec))
    (write,) = work.before.actions
    assert (write.patch["status"]["phase"], write.patch["status"]["message"]) == ("Failed", message)
    assert write.on_success.reason == "VolumeFailedDelete"


def test_v54_a_hand_made_volume_below_tmp_is_deleted():
    assert plan_reclaim(released(provisioner="", path="/tmp/x")).directory.operation == "remove"


def test_v55_a_recycled_volume_is_emptied_and_available_again():
    work = plan_reclaim(released(provisioner="", policy="Recycle"))
    assert (work.directory.operation, work.directory.arguments) == ("empty", (60,))
    patch, phase = work.directory.done.actions
    assert patch.patch["spec"] == {"claimRef": None}
    assert (patch.on_success.reason, patch.on_success.message) == ("VolumeRecycled", "Volume recycled")
    assert phase.patch["status"]["phase"] == "Available"


def test_v55_a_failed_recycling_is_told_and_tried_again():
    plan = plan_reclaim(released(provisioner="", policy="Recycle")).directory.failed("busy")
    (write,) = plan.actions
    assert (write.patch["status"]["phase"], write.patch["status"]["message"]) == ("Failed", "Recycle failed: busy")
    assert plan.again_after_s == 15


def test_v56_recycling_waits_for_pods_that_use_the_claims_name():
    work = plan_reclaim(released(provisioner="", policy="Recycle", users=["default/web-0"]))
    report = work.before.actions[0].report
    assert (report.type, report.reason) == ("Normal", "VolumeFailedRecycle")
