"""Claims that ask for more: V65 to V69."""

import pytest

from holdfast.api.core.event import EVENTS
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.errors import ApiError
from holdfast.controllers.actions import Emit, Patch
from holdfast.controllers.volumes.expansion import ObservedGrowth, plan_growth
from holdfast.simulation.cluster import simulate

from .builders import NOW, claim, reference, storage_class, volume

PROVISIONED = {"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"}
IMAGE = {
    "driver": "local.holdfast.dev",
    "volumeHandle": "pvc-1",
    "volumeAttributes": {"holdfast.dev/backing": "image"},
}
AT = "2026-01-02T03:04:05Z"
PENDING = {
    "type": "FileSystemResizePending",
    "status": "True",
    "lastTransitionTime": AT,
    "message": "Waiting for user to (re-)start a pod to finish file system resize of volume on node.",
}


def observed(*, asks="2Gi", has="1Gi", volume_has="1Gi", image=True, marks=PROVISIONED, uid=None, **status):
    made = claim(size=asks, phase="Bound", volume="pvc-1")
    made["status"].update(capacity={"storage": has}, **status)
    backing = volume("pvc-1", size=volume_has, phase="Bound", claim_ref=reference("data", uid), annotations=marks)
    if image:
        del backing["spec"]["hostPath"]
        backing["spec"]["csi"] = IMAGE
    return ObservedGrowth(made, backing, "/var/volumes", NOW)


def patches(actions):
    return [(each.resource.kind, each.patch) for each in actions if isinstance(each, Patch)]


def told(actions):
    return [(each.on_success.reason, each.on_success.message) for each in actions if each.on_success]


def test_v66_growth_is_announced_before_the_image_grows():
    work = plan_growth(observed())
    ((kind, patch),) = patches(work.before.actions)
    assert kind == "PersistentVolumeClaim"
    assert patch["status"] == {
        "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
        "conditions": [{"type": "Resizing", "status": "True", "lastTransitionTime": AT}],
    }
    assert told(work.before.actions) == [("Resizing", "External resizer is resizing volume pvc-1")]
    directory = work.directory
    assert (directory.operation, directory.path, directory.arguments) == ("grow", "/var/volumes/pvc-1", (2 << 30,))


def test_v68_the_volume_is_written_before_the_claim_and_nothing_is_left_of_the_growth():
    plan = plan_growth(observed(conditions=[{"type": "Resizing", "status": "True"}])).directory.done_by(True)
    (first, patch), (second, status) = patches(plan.actions)
    assert (first, second) == ("PersistentVolume", "PersistentVolumeClaim")
    assert patch["spec"] == {"capacity": {"storage": "2Gi"}}
    assert status["status"] == {
        "capacity": {"storage": "2Gi"},
        "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": None,
        "conditions": None,
    }
    assert told(plan.actions) == [("VolumeResizeSuccessful", "Resize volume succeeded")]


def test_v66_what_is_mounted_waits_for_its_node():
    plan = plan_growth(observed()).directory.done_by(False)
    (first, patch), (_, status) = patches(plan.actions)
    assert (first, patch["spec"]) == ("PersistentVolume", {"capacity": {"storage": "2Gi"}})
    assert status["status"] == {
        "allocatedResources": {"storage": "2Gi"},
        "allocatedResourceStatuses": {"storage": "NodeResizePending"},
        "conditions": [PENDING],
    }
    assert told(plan.actions) == [("FileSystemResizeRequired", "Require file system resize of volume on node")]


def test_conditions_of_others_are_kept():
    plan = plan_growth(observed(conditions=[{"type": "Other", "status": "True"}])).directory.done_by(True)
    assert patches(plan.actions)[1][1]["status"]["conditions"] == [{"type": "Other", "status": "True"}]


WAITING = {"allocatedResourceStatuses": {"storage": "NodeResizePending"}, "conditions": [PENDING]}


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        pytest.param(observed(asks="1Gi"), "it has what it asks for", id="equal"),
        pytest.param(observed(asks="1024Mi"), "it has what it asks for", id="V131"),
        pytest.param(observed(asks="1Gi", has="5Gi"), "it has what it asks for", id="V19"),
        pytest.param(observed(uid="other"), "not bound to that volume", id="foreign"),
        pytest.param(
            observed(volume_has="2Gi", **WAITING), "its node makes the file system grow", id="the node's turn"
        ),
    ],
)
def test_nothing_is_to_be_done(seen, reason):
    work = plan_growth(seen)
    assert (work.before.reason, work.before.actions, work.directory) == (reason, (), None)


def test_a_crash_between_the_volume_and_the_claim_is_made_good():
    """The volume's object has the new size, and the claim does not say what it waits for."""
    work = plan_growth(
        observed(
            volume_has="2Gi",
            allocatedResources={"storage": "2Gi"},
            allocatedResourceStatuses={"storage": "ControllerResizeInProgress"},
        )
    )
    assert work.before.actions == ()
    assert [kind for kind, _ in patches(work.directory.done_by(False).actions)] == ["PersistentVolumeClaim"]
    assert [kind for kind, _ in patches(work.directory.done_by(True).actions)] == ["PersistentVolumeClaim"]


def test_more_is_asked_for_while_the_node_is_at_work():
    work = plan_growth(observed(asks="3Gi", volume_has="2Gi", **WAITING))
    assert work.directory.arguments == (3 << 30,)


def test_v69_a_directory_grows_in_one_write():
    work = plan_growth(observed(image=False))
    assert work.directory is None
    assert [kind for kind, _ in patches(work.before.actions)] == ["PersistentVolume", "PersistentVolumeClaim"]
    assert patches(work.before.actions)[1][1]["status"]["capacity"] == {"storage": "2Gi"}


def test_v67_what_nobody_here_can_grow_waits_for_somebody_else():
    work = plan_growth(observed(image=False, marks={}))
    (emitted,) = work.before.actions
    assert isinstance(emitted, Emit)
    assert (emitted.report.type, emitted.report.reason, emitted.report.message) == (
        "Normal",
        "ExternalExpanding",
        "waiting for an external controller to expand this PVC",
    )
    assert plan_growth(observed(image=False, marks={}, volume_has="2Gi")).before.actions == ()


def test_v67_a_failure_is_told_and_tried_again():
    message = 'resize volume "pvc-1" failed: No space left on device'
    plan = plan_growth(observed()).directory.failed("No space left on device")
    mark, emitted = plan.actions
    assert mark.patch["status"]["conditions"] == [
        {"type": "Resizing", "status": "True", "lastTransitionTime": AT},
        {
            "type": "ControllerResizeError",
            "status": "True",
            "lastTransitionTime": AT,
            "message": f"failed to expand pvc with {message}",
        },
    ]
    assert (emitted.report.reason, emitted.report.message) == ("VolumeResizeFailed", message)
    assert plan.again_after_s
    marked = observed(conditions=mark.patch["status"]["conditions"])
    assert len(plan_growth(marked).directory.failed("No space left on device").actions) == 1
    *_, claim_side = plan_growth(marked).directory.done_by(True).actions
    assert claim_side.patch["status"]["conditions"] is None


def test_v65_v69_a_claim_grows_and_never_shrinks():
    with simulate(0, nodes=0) as cluster:
        cluster.apply({**storage_class("s"), "allowVolumeExpansion": True}, wanted("data", "s"))
        cluster.run_for(2)
        assert status(cluster)["phase"] == "Bound"
        ask(cluster, "2Gi")
        cluster.run_for(2)
        grown = status(cluster)
        assert grown["capacity"] == grown["allocatedResources"] == {"storage": "2Gi"}
        assert not grown.keys() & {"conditions", "allocatedResourceStatuses"}
        name = cluster.get(PERSISTENT_VOLUME_CLAIMS, "data")["spec"]["volumeName"]
        assert cluster.get(PERSISTENT_VOLUMES, name)["spec"]["capacity"] == {"storage": "2Gi"}
        with pytest.raises(ApiError, match=r"field can not be less than status\.capacity"):
            ask(cluster, "1Gi")
        assert "VolumeResizeSuccessful" in {event["reason"] for event in cluster.objects(EVENTS)}


def wanted(name, of_class):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name}
    spec["storageClassName"] = of_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def status(cluster):
    return cluster.get(PERSISTENT_VOLUME_CLAIMS, "data").get("status", {})


def ask(cluster, size):
    cluster.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"spec": {"resources": {"requests": {"storage": size}}}})
