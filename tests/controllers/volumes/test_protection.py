"""Finalizers of claims and volumes: V50 to V52."""

import pytest

from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.storage import binding
from holdfast.api.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES, of_claim, of_volume
from holdfast.controllers.volumes.protection import (
    ProtectedClaim,
    ProtectedClass,
    plan_claim_protection,
    plan_class_protection,
    plan_volume_protection,
)
from holdfast.simulation.cluster import simulate

from .builders import claim, volume


def going(manifest):
    metadata = {**manifest["metadata"], "deletionTimestamp": "2026-01-02T03:04:00Z"}
    return {**manifest, "metadata": metadata}


def bare(manifest):
    return {**manifest, "metadata": {**manifest["metadata"], "finalizers": []}}


def finalizers(plan):
    return [action.patch["metadata"]["finalizers"] for action in plan.actions]


@pytest.mark.parametrize(
    ("observed", "written"),
    [
        pytest.param(ProtectedClaim(claim(), False), [], id="protected"),
        pytest.param(ProtectedClaim(bare(claim()), False), [["kubernetes.io/pvc-protection"]], id="protected anew"),
        pytest.param(ProtectedClaim(going(claim()), True), [], id="in use"),
        pytest.param(ProtectedClaim(going(claim()), False), [None], id="let go"),
    ],
)
def test_v50_a_claim_stays_while_a_pod_uses_it(observed, written):
    assert finalizers(plan_claim_protection(observed)) == written


def test_others_finalizers_are_kept():
    guarded = going(claim())
    guarded["metadata"]["finalizers"] = ["a.example/x", "kubernetes.io/pvc-protection"]
    assert finalizers(plan_claim_protection(ProtectedClaim(guarded, False))) == [["a.example/x"]]


@pytest.mark.parametrize(("phase", "written"), [("Bound", []), ("Released", [None]), ("Available", [None])])
def test_v52_a_volume_stays_while_it_is_bound(phase, written):
    assert finalizers(plan_volume_protection(going(volume("v", phase=phase)))) == written


def attributes_class(*finalizers, **metadata):
    metadata = {"name": "fast", "uid": "u", "resourceVersion": "3", "finalizers": list(finalizers), **metadata}
    return {"metadata": metadata, "driverName": "a.example", "parameters": {"iops": "100"}}


FINALIZER = "kubernetes.io/vac-protection"


@pytest.mark.parametrize(
    ("observed", "written"),
    [
        pytest.param(ProtectedClass(attributes_class(FINALIZER), False), [], id="protected"),
        pytest.param(ProtectedClass(attributes_class(), False), [[FINALIZER]], id="protected anew"),
        pytest.param(ProtectedClass(going(attributes_class(FINALIZER)), True), [], id="in use"),
        pytest.param(ProtectedClass(going(attributes_class(FINALIZER)), False), [None], id="let go"),
    ],
)
def test_a_class_of_attributes_stays_while_claims_or_volumes_name_it(observed, written):
    assert finalizers(plan_class_protection(observed)) == written


def test_a_claim_names_the_classes_that_it_asks_for_has_and_is_given():
    changing = claim(volumeAttributesClassName="new")
    changing["status"] |= {
        "currentVolumeAttributesClassName": "old",
        "modifyVolumeStatus": {"targetVolumeAttributesClassName": "between", "status": "Pending"},
    }
    assert set(of_claim(changing)) == {"new", "old", "between"}
    assert set(of_claim(claim())) == set()
    assert set(of_volume(volume("v", volumeAttributesClassName="old"))) == {"old"}
    assert set(of_volume(volume("v"))) == set()


def test_a_class_of_attributes_goes_with_the_last_claim_that_names_it():
    fast = {"kind": "VolumeAttributesClass", "apiVersion": "storage.k8s.io/v1", "metadata": {"name": "fast"}}
    fast |= {"driverName": "a.example", "parameters": {"iops": "100"}}
    with simulate(0) as cluster:
        data = claim(storage_class="none", volumeAttributesClassName="fast")
        cluster.apply(fast, {**data, "metadata": {"name": "data"}})
        cluster.delete(VOLUME_ATTRIBUTES_CLASSES, "fast")
        cluster.run_for(5)
        assert cluster.get(VOLUME_ATTRIBUTES_CLASSES, "fast")["metadata"]["deletionTimestamp"]
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        cluster.run_until(lambda: not cluster.objects(VOLUME_ATTRIBUTES_CLASSES))


def test_the_claims_of_a_pod_include_those_of_ephemeral_volumes():
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "b", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "c", "emptyDir": {}},
    ]
    pod = {"metadata": {"name": "web-0", "namespace": "default"}, "spec": {"volumes": volumes}}
    assert binding.claims_of(pod) == [("data", False), ("web-0-b", True)]
    assert binding.claim_keys(pod) == ["default/data", "default/web-0-b"]
