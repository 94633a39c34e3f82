"""Finalizers of claims and volumes: V50 to V52."""

import pytest

from holdfast.api.storage import binding
from holdfast.controllers.volumes.protection import (
    ProtectedClaim,
    plan_claim_protection,
    plan_volume_protection,
)

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


def test_the_claims_of_a_pod_include_those_of_ephemeral_volumes():
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "b", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "c", "emptyDir": {}},
    ]
    pod = {"metadata": {"name": "web-0", "namespace": "default"}, "spec": {"volumes": volumes}}
    assert binding.claims_of(pod) == [("data", False), ("web-0-b", True)]
    assert binding.claim_keys(pod) == ["default/data", "default/web-0-b"]
