"""Binding a claim and a volume to each other, step by step: V15 to V42."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.controllers.actions import Emit, Patch
from holdfast.controllers.volumes.plan import ObservedClaim, ObservedVolume, plan_claim, plan_volume

from .builders import BIND_COMPLETED, BOUND_BY_CONTROLLER, NOW, claim, reference, storage_class, volume

SELECTED = {"volume.kubernetes.io/selected-node": "n1"}


def seen(wanted, *volumes, of_class=None, default="", pods=(), consumer=""):
    return ObservedClaim(wanted, volumes, of_class, default, pods, consumer, NOW)


def reports(plan):
    return [
        (report.type, report.reason, report.message)
        for action in plan.actions
        if (report := action.report if isinstance(action, Emit) else action.on_success)
    ]


def merged(target, patch):
    """A merge patch as the server applies it."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


def test_v18_v19_binding_writes_volume_then_phase_then_claim_then_status():
    plan = plan_claim(seen(claim(), volume("v", size="5Gi")))
    assert [(write.resource.kind, write.subresource) for write in plan.actions] == [
        ("PersistentVolume", ""),
        ("PersistentVolume", "status"),
        ("PersistentVolumeClaim", ""),
        ("PersistentVolumeClaim", "status"),
    ]
    of_volume, phase, of_claim, status = (write.patch for write in plan.actions)
    assert of_volume["spec"]["claimRef"] == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": "default",
        "name": "data",
        "uid": "uid-data",
        "resourceVersion": "7",
    }
    assert of_volume["metadata"] == {
        "annotations": {BOUND_BY_CONTROLLER: "yes"},
        "uid": "uid-v",
        "resourceVersion": "9",
    }
    assert phase["status"]["phase"] == "Bound"
    assert of_claim["spec"] == {"volumeName": "v"}
    assert of_claim["metadata"]["annotations"] == {BOUND_BY_CONTROLLER: "yes", BIND_COMPLETED: "yes"}
    # V19: what the volume has, not what the claim asked for
    assert status["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"}}


@given(st.integers(0, 4), st.integers(0, 4))
def test_v18_a_binding_that_was_interrupted_anywhere_is_finished(first, second):
    state = {"PersistentVolumeClaim": claim(), "PersistentVolume": volume("v")}

    def step(stop_after):
        plan = plan_claim(seen(state["PersistentVolumeClaim"], state["PersistentVolume"]))
        for write in plan.actions[:stop_after]:
            assert isinstance(write, Patch)
            state[write.resource.kind] = merged(state[write.resource.kind], write.patch)
        return plan

    step(first)
    step(second)
    step(4)
    assert step(4).actions == ()
    bound, of = state["PersistentVolumeClaim"], state["PersistentVolume"]
    assert (bound["status"]["phase"], of["status"]["phase"]) == ("Bound", "Bound")
    assert (bound["spec"]["volumeName"], of["spec"]["claimRef"]["uid"]) == ("v", "uid-data")


def test_v18_a_volume_its_admin_reserved_is_not_marked_as_bound_by_the_controller():
    writes = plan_claim(seen(claim(), volume("v", claim_ref=reference("data", "")))).actions
    assert "annotations" not in writes[0].patch["metadata"]
    assert BOUND_BY_CONTROLLER in writes[2].patch["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(
            seen(claim()),
            (
                "Normal",
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set",
            ),
            id="V25",
        ),
        pytest.param(
            seen(claim(storage_class="s"), of_class=storage_class("s", delayed=True)),
            ("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
            id="V36: no pod",
        ),
        pytest.param(
            seen(claim(storage_class="s"), of_class=storage_class("s", delayed=True), pods=["web-0"]),
            ("Normal", "WaitForPodScheduled", "waiting for pod web-0 to be scheduled"),
            id="V36: a pod",
        ),
        pytest.param(
            seen(claim(storage_class="s"), of_class=storage_class("s", delayed=True), pods=["b", "a"]),
            ("Normal", "WaitForPodScheduled", "waiting for pods a,b to be scheduled"),
            id="V36: pods",
        ),
        pytest.param(
            seen(claim(storage_class="s")),
            ("Warning", "ProvisioningFailed", 'storageclass.storage.k8s.io "s" not found'),
            id="V42",
        ),
        pytest.param(
            seen(claim(volume="v", size="2Gi"), volume("v")),
            ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "v": requested PV is too small'),
            id="V24: too small",
        ),
        pytest.param(
            seen(claim(volume="v"), volume("v", storage_class="x")),
            ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "v": storageClassName does not match'),
            id="V24: class",
        ),
        pytest.param(
            seen(claim(volume="v", modes=("ReadWriteMany",)), volume("v")),
            ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "v": incompatible accessMode'),
            id="V24: modes",
        ),
        pytest.param(
            seen(claim(volume="v"), volume("v", volumeMode="Block")),
            ("Warning", "VolumeMismatch", 'Cannot bind to requested volume "v": incompatible volumeMode'),
            id="V24: volume mode",
        ),
        pytest.param(
            seen(claim(volume="v"), volume("v", deleting=True)),
            (
                "Warning",
                "VolumeMismatch",
                'Cannot bind to requested volume "v": the volume is marked for deletion "v"',
            ),
            id="V24: going",
        ),
        pytest.param(
            seen(claim(volume="v", volumeAttributesClassName="quick"), volume("v")),
            (
                "Warning",
                "VolumeMismatch",
                'Cannot bind to requested volume "v": volumeAttributesClassName does not match',
            ),
            id="V24: attributes",
        ),
        pytest.param(
            seen(claim(volume="v", selector={"matchLabels": {"a": "b"}}), volume("v", claim_ref=reference("other"))),
            ("Warning", "FailedBinding", 'volume "v" already bound to a different claim.'),
            id="V24: taken, whatever the selector",
        ),
        pytest.param(
            seen(claim(volume="v"), volume("v", claim_ref=reference("other"))),
            ("Warning", "FailedBinding", 'volume "v" already bound to a different claim.'),
            id="V24: taken",
        ),
    ],
)
def test_v24_v25_v36_v42_a_claim_that_waits_says_why_and_is_looked_at_again(observed, expected):
    plan = plan_claim(observed)
    assert reports(plan) == [expected]
    assert plan.again_after_s == 15
    assert plan.subject is observed.claim


def test_v24_a_claim_whose_named_volume_is_missing_waits_silently():
    assert plan_claim(seen(claim(volume="v"))).actions == ()


def test_v9_a_claim_of_no_class_gets_the_default_one_when_nothing_matches():
    (write,) = plan_claim(seen(claim(storage_class=None), default="standard")).actions
    assert write.patch["spec"] == {"storageClassName": "standard"}
    assert len(plan_claim(seen(claim(storage_class=None), volume("v"), default="standard")).actions) == 4


def test_v8_v132_an_explicit_empty_class_is_never_replaced_by_the_default():
    assert reports(plan_claim(seen(claim(storage_class=""), default="standard")))[0][1] == "FailedBinding"


def test_v38_v46_the_provisioner_is_named_on_the_claim_under_its_csi_name():
    observed = seen(claim(storage_class="s"), of_class=storage_class("s", "kubernetes.io/gce-pd"))
    (write,) = plan_claim(observed).actions
    assert write.patch["metadata"]["annotations"] == {
        "volume.beta.kubernetes.io/storage-provisioner": "pd.csi.storage.gke.io",
        "volume.kubernetes.io/storage-provisioner": "pd.csi.storage.gke.io",
    }
    assert write.on_success.reason == "ExternalProvisioning"
    assert write.on_success.message == (
        "Waiting for a volume to be created either by the external provisioner 'pd.csi.storage.gke.io' or manually by"
        " the system administrator. If volume creation is delayed, please verify that the provisioner is running and"
        " correctly registered."
    )


def test_v38_a_provisioner_served_elsewhere_is_waited_for_aloud():
    of_class = storage_class("s", "example.com/x")
    (write,) = plan_claim(seen(claim(storage_class="s"), of_class=of_class)).actions
    assert write.on_success is None
    named = claim(storage_class="s", annotations={"volume.kubernetes.io/storage-provisioner": "example.com/x"})
    assert reports(plan_claim(seen(named, of_class=of_class)))[0][1] == "ExternalProvisioning"


def test_v26_a_volume_of_the_class_is_taken_before_one_is_provisioned():
    observed = seen(claim(storage_class="s"), volume("v", storage_class="s"), of_class=storage_class("s"))
    assert len(plan_claim(observed).actions) == 4


def test_v37_a_delayed_claim_is_provisioned_once_a_node_is_selected():
    wanted = claim(storage_class="s", annotations=SELECTED)
    (write,) = plan_claim(seen(wanted, of_class=storage_class("s", delayed=True))).actions
    assert write.on_success.reason == "ExternalProvisioning"


def test_v45_a_pod_that_named_its_node_itself_is_the_first_consumer():
    observed = seen(claim(storage_class="s"), of_class=storage_class("s", delayed=True), consumer="n1")
    (write,) = plan_claim(observed).actions
    assert write.patch["metadata"]["annotations"] == SELECTED
    elsewhere = storage_class("s", "kubernetes.io/no-provisioner", delayed=True)
    observed = seen(claim(storage_class="s"), of_class=elsewhere, consumer="n1")
    assert reports(plan_claim(observed))[0][1] == "WaitForFirstConsumer"


def test_v36_v139_a_delayed_claim_is_never_bound_to_a_free_volume_by_the_controller():
    observed = seen(claim(storage_class="s"), volume("v", storage_class="s"), of_class=storage_class("s", delayed=True))
    assert reports(plan_claim(observed))[0][1] == "WaitForFirstConsumer"


def bound(**more):
    marks = {BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"}
    return claim(volume="v", phase="Bound", annotations=marks, **more)


@pytest.mark.parametrize(
    ("observed", "reason", "message"),
    [
        pytest.param(
            seen(bound()),
            "ClaimLost",
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
            id="no volume",
        ),
        pytest.param(
            seen(claim(annotations={BIND_COMPLETED: "yes"}, phase="Bound")),
            "ClaimLost",
            "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            id="no name",
        ),
        pytest.param(
            seen(bound(), volume("v", claim_ref=reference("data", "another"))),
            "ClaimMisbound",
            "Two claims are bound to the same volume, this one is bound incorrectly",
            id="another's",
        ),
    ],
)
def test_v15_a_bound_claim_without_its_volume_is_lost(observed, reason, message):
    (write,) = plan_claim(observed).actions
    assert write.patch["status"] == {"phase": "Lost", "accessModes": None, "capacity": None}
    assert (write.on_success.type, write.on_success.reason, write.on_success.message) == ("Warning", reason, message)
    lost = replace(observed, claim={**observed.claim, "status": {"phase": "Lost"}})
    assert plan_claim(lost).actions == ()


def test_v15_a_lost_claim_is_bound_again_when_its_volume_is_back():
    lost = {**bound(), "status": {"phase": "Lost"}}
    writes = plan_claim(seen(lost, volume("v", phase="Bound", claim_ref=reference("data")))).actions
    assert [write.patch["status"]["phase"] for write in writes] == ["Bound"]


def phase_of(plan):
    return plan.actions[-1].patch["status"]["phase"] if plan.actions else None


@pytest.mark.parametrize(
    ("of", "its_claim", "phase"),
    [
        pytest.param(volume("v", phase="Pending"), None, "Available", id="new"),
        pytest.param(volume("v", phase="Pending", claim_ref=reference("data", "")), None, "Available", id="reserved"),
        pytest.param(volume("v", phase="Bound", claim_ref=reference("data")), None, "Released", id="claim gone"),
        pytest.param(
            volume("v", phase="Bound", claim_ref=reference("data", "old")), claim(), "Released", id="claim replaced"
        ),
        pytest.param(volume("v", phase="Available", claim_ref=reference("data")), claim(), None, id="being bound"),
        pytest.param(
            volume("v", phase="Available", claim_ref=reference("data")), claim(volume="v"), "Bound", id="bound"
        ),
        pytest.param(volume("v", phase="Failed", claim_ref=reference("data")), None, None, id="reclaiming failed"),
        pytest.param(volume("v", phase="Released"), None, "Available", id="freed by hand"),
    ],
)
def test_v16_v17_the_phase_of_a_volume(of, its_claim, phase):
    assert phase_of(plan_volume(ObservedVolume(of, its_claim, NOW))) == phase


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [
        ({BOUND_BY_CONTROLLER: "yes"}, {"claimRef": None}),
        ({}, {"claimRef": {"uid": None, "resourceVersion": None}}),
    ],
)
def test_v28_a_volume_whose_claim_took_another_is_free_again(annotations, spec):
    of = volume("v", phase="Bound", claim_ref=reference("data"), annotations=annotations)
    plan = plan_volume(ObservedVolume(of, claim(volume="other"), NOW))
    assert plan.actions[0].patch["spec"] == spec
    assert phase_of(plan) == "Available"


def test_v28_a_provisioned_volume_whose_claim_took_another_is_released_to_be_deleted():
    marks = {"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"}
    of = volume("v", phase="Bound", claim_ref=reference("data"), annotations=marks, policy="Delete")
    plan = plan_volume(ObservedVolume(of, claim(volume="other"), NOW))
    assert [write.patch.get("status", {}).get("phase") for write in plan.actions] == ["Released"]
