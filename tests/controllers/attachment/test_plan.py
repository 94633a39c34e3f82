"""To which nodes volumes are attached: V48."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.storage.attaching import attachment_name, unique_name
from holdfast.controllers.actions import Create, Delete, Emit, Patch
from holdfast.controllers.attachment.plan import ObservedNode, ObservedVolume, Place, plan_attachments, plan_node

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EBS = "ebs.csi.aws.com"
RWO, RWX = "ReadWriteOnce", "ReadWriteMany"
UNWANTED = Place(unwanted_since=NOW)


def volume(*modes, name="v"):
    metadata = {"name": name, "uid": f"uid-{name}", "annotations": {"pv.kubernetes.io/provisioned-by": EBS}}
    return {"metadata": metadata, "spec": {"accessModes": list(modes or (RWO,))}, "status": {"phase": "Bound"}}


def pod(name, node, namespace="default"):
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}"}
    return {"metadata": metadata, "spec": {"nodeName": node}}


def attachment(node, attached=True, name="v"):
    return {
        "metadata": {"name": attachment_name(EBS, name, node), "uid": f"uid-{node}"},
        "spec": {"attacher": EBS, "nodeName": node, "source": {"persistentVolumeName": name}},
        "status": {"attached": attached},
    }


def plan(attachments=(), pods=(), of=None, **places):
    places = {at["spec"]["nodeName"]: Place() for at in attachments} | places
    return plan_attachments(ObservedVolume(of or volume(), attachments, pods, places, NOW))


def told(found):
    reports = [action.report for action in found.actions if isinstance(action, Emit)]
    return [(each.type, each.reason, each.message, each.subject["metadata"]["name"]) for each in reports]


def test_v48_a_volume_is_attached_where_its_pod_is():
    found = plan(pods=[pod("a", "n1")])
    (create,) = found.actions
    assert isinstance(create, Create)
    assert create.manifest["spec"] == {"attacher": EBS, "nodeName": "n1", "source": {"persistentVolumeName": "v"}}
    assert create.manifest["metadata"]["name"].startswith("csi-")
    assert found.again_after_s == 0


def test_v48_it_is_told_when_it_is_attached():
    found = plan([attachment("n1", attached=False)], [pod("a", "n1")])
    assert isinstance(found.actions[0], Patch)
    assert found.actions[0].patch["status"] == {"attached": True}
    succeeded = 'AttachVolume.Attach succeeded for volume "v" '
    assert told(found) == [("Normal", "SuccessfulAttachVolume", succeeded, "a")]
    assert plan([attachment("n1")], [pod("a", "n1"), pod("b", "n1")]).actions == []


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([pod("a", "n1")], "Volume is already used by pod(s) a"),
        ([pod("c", "n1"), pod("a", "n1")], "Volume is already used by pod(s) a, c"),
        (
            [pod("a", "n1"), pod("x", "n1", "other")],
            "Volume is already used by pod(s) a and 1 pod(s) in different namespaces",
        ),
        ([pod("x", "n1", "other")], "Volume is already used by 1 pod(s) in different namespaces"),
    ],
)
def test_v48_a_pod_on_a_second_node_waits_and_is_told_for_whom(users, message):
    found = plan([attachment("n1")], [*users, pod("b", "n2")])
    refusal = f'Multi-Attach error for volume "v" {message}'
    assert told(found) == [("Warning", "FailedAttachVolume", refusal, "b")]
    assert len(found.actions) == 1


def test_v48_a_volume_that_a_node_has_not_let_go_of_is_told_of_without_names():
    found = plan([attachment("n1")], [pod("b", "n2")], n1=Place(has_it_mounted=True, unwanted_since=NOW))
    refusal = "Volume is already exclusively attached to one node and can't be attached to another"
    assert told(found) == [("Warning", "FailedAttachVolume", f'Multi-Attach error for volume "v" {refusal}', "b")]


def test_v48_of_two_nodes_that_want_it_at_once_one_gets_it():
    (create, refusal) = plan(pods=[pod("a", "n1"), pod("b", "n2")]).actions
    assert create.manifest["spec"]["nodeName"] == "n1"
    assert refusal.report.subject["metadata"]["name"] == "b"


@pytest.mark.parametrize("modes", [(RWX,), (RWO, RWX), ("ReadOnlyMany",)])
def test_v48_a_volume_for_many_is_attached_to_all(modes):
    found = plan([attachment("n1")], [pod("a", "n1"), pod("b", "n2")], volume(*modes))
    assert [type(action) for action in found.actions] == [Create]


def test_v48_it_is_detached_before_it_is_attached_elsewhere():
    found = plan([attachment("n1")], [pod("b", "n2")], n1=UNWANTED)
    (delete,) = found.actions
    assert isinstance(delete, Delete)
    assert delete.uid == "uid-n1"
    assert found.again_after_s == 0


@pytest.mark.parametrize(
    ("place", "is_detached"),
    [
        pytest.param(UNWANTED, True, id="let go of"),
        pytest.param(Place(has_it_mounted=True, unwanted_since=NOW), False, id="still mounted"),
        pytest.param(Place(is_there=False, has_it_mounted=True, unwanted_since=NOW), True, id="no such node"),
        pytest.param(
            Place(is_healthy=False, is_out_of_service=True, has_it_mounted=True, unwanted_since=NOW),
            True,
            id="out of service",
        ),
        pytest.param(
            Place(is_healthy=False, has_it_mounted=True, unwanted_since=NOW - timedelta(minutes=5)), False, id="away"
        ),
        pytest.param(
            Place(is_healthy=False, has_it_mounted=True, unwanted_since=NOW - timedelta(minutes=6)),
            True,
            id="away for long",
        ),
        pytest.param(
            Place(has_it_mounted=True, unwanted_since=NOW - timedelta(minutes=60)), False, id="healthy and mounted"
        ),
    ],
)
def test_v48_when_a_volume_is_detached(place, is_detached):
    found = plan([attachment("n1")], n1=place)
    assert [type(action) for action in found.actions] == ([Delete] if is_detached else [])
    if not is_detached and not place.is_healthy:
        assert found.again_after_s == 60


def test_v48_what_is_left_of_a_volume_that_is_gone_is_detached():
    observed = ObservedVolume(None, [attachment("n1")], (), {"n1": UNWANTED}, NOW)
    assert [type(action) for action in plan_attachments(observed).actions] == [Delete]


def test_v48_a_node_tells_what_is_attached_to_it():
    node = {"metadata": {"name": "n1", "uid": "u"}, "status": {}}
    (patch,) = plan_node(ObservedNode(node, [attachment("n1"), attachment("n1", attached=False, name="w")])).actions
    attached = [{"name": unique_name(EBS, "v"), "devicePath": ""}]
    assert patch.patch["status"] == {"volumesAttached": attached}
    assert unique_name(EBS, "v") == "kubernetes.io/csi/ebs.csi.aws.com^v"
    has = {**node, "status": {"volumesAttached": attached}}
    assert plan_node(ObservedNode(has, [attachment("n1")])).actions == ()
    (patch,) = plan_node(ObservedNode(has, [])).actions
    assert patch.patch["status"] == {"volumesAttached": None}
