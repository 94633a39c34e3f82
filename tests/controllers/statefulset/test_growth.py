"""Claims that grow with the size in their template, where the set asks for it (KEP-4650, docs/beyond.md)."""

import pytest

from .asking import BATCHES, annotate, does, images, reason, template
from .builders import claim, obey, plan, running, settle


def growing(replicas=3, policy="InPlace", **options):
    """A set with claims of 1Gi that are bound, and a template that has just been changed to ask for 2Gi."""
    cluster = running(replicas, claims=("data",), **options)
    annotate(cluster, volume_claim_update_policy=policy)
    for name in cluster.claims:
        cluster.claims[name] = sized(cluster.claims[name], "1Gi", "1Gi")
    ask(cluster, "2Gi")
    return cluster


def sized(one, asks, has, phase="Bound", **status):
    return {
        **one,
        "spec": {"resources": {"requests": {"storage": asks}}},
        "status": {"phase": phase, "capacity": {"storage": has}, **status},
    }


def ask(cluster, size):
    made = cluster.set["spec"]["volumeClaimTemplates"][0]
    spec = {**made["spec"], "resources": {"requests": {"storage": size}}}
    cluster.change(volumeClaimTemplates=[{**made, "spec": spec}])


def asked(cluster):
    return {name: one["spec"]["resources"]["requests"]["storage"] for name, one in sorted(cluster.claims.items())}


def expand(cluster):
    """What grows volumes: every claim gets what it asks for."""
    obey(cluster)
    for name, one in cluster.claims.items():
        size = one["spec"]["resources"]["requests"]["storage"]
        if size != one.get("status", {}).get("capacity", {}).get("storage"):
            cluster.claims[name] = sized(one, size, size)


@pytest.mark.parametrize("policy", [None, "OnClaimDelete"])
def test_l1_unasked_claims_that_exist_are_never_touched(policy):
    cluster = growing(policy=policy)
    settle(cluster)
    assert set(asked(cluster).values()) == {"1Gi"}


@pytest.mark.parametrize("parallel", [False, True])
def test_claims_grow_one_pod_after_the_other_from_the_top(parallel):
    cluster = growing(parallel=parallel)
    assert does(cluster) == ["patch persistentvolumeclaim data-web-2"]
    cluster.step()
    assert asked(cluster) == {"data-web-0": "1Gi", "data-web-1": "1Gi", "data-web-2": "2Gi"}
    assert does(cluster) == []
    assert reason(cluster) == "waiting for claim data-web-2 to grow to 2Gi"
    cluster.claims["data-web-2"] = sized(cluster.claims["data-web-2"], "2Gi", "2Gi")
    assert does(cluster) == ["patch persistentvolumeclaim data-web-1"]
    settle(cluster, environment=expand)
    assert set(asked(cluster).values()) == {"2Gi"}
    assert "Normal SuccessfulUpdate Update Claim data-web-0 Pod web-0 in StatefulSet web success" in cluster.events
    assert not [text for text in cluster.writes if "pod" in text.split()]


def test_a_pod_is_updated_once_its_claims_have_grown():
    cluster = growing()
    template(cluster, "app:2", 2)
    settle(cluster, environment=expand)
    order = [text for text in cluster.writes if text.startswith(("patch", "delete"))]
    assert order == [
        f"{text}-{ordinal}"
        for ordinal in (2, 1, 0)
        for text in ("patch persistentvolumeclaim data-web", "delete pod web")
    ]


def test_a_claim_of_which_only_the_file_system_is_left_to_grow_holds_nobody_up():
    cluster = growing(2)
    pending = [{"type": "FileSystemResizePending", "status": "True"}]
    cluster.claims["data-web-1"] = sized(cluster.claims["data-web-1"], "2Gi", "1Gi", conditions=pending)
    assert does(cluster) == ["patch persistentvolumeclaim data-web-0"]


def test_a_claim_is_asked_to_grow_only_once_it_is_bound():
    cluster = growing(1)
    cluster.claims["data-web-0"] = sized(cluster.claims["data-web-0"], "1Gi", "0", phase="Pending")
    assert (does(cluster), reason(cluster)) == ([], "waiting for claim data-web-0 to be bound, to grow")


def test_a_claim_that_is_larger_already_is_left_alone():
    cluster = growing(1)
    cluster.claims["data-web-0"] = sized(cluster.claims["data-web-0"], "5Gi", "2Gi")
    assert does(cluster) == []


def test_a_claim_that_grows_by_another_hand_meanwhile_is_not_overruled():
    cluster = growing(1)
    action = plan(cluster.observed()).actions[0].actions[0]
    assert action.patch["metadata"] == {"resourceVersion": "1"}


def test_claims_below_the_partition_stay():
    cluster = growing(3, partition=2)
    settle(cluster, environment=expand)
    assert asked(cluster) == {"data-web-0": "1Gi", "data-web-1": "1Gi", "data-web-2": "2Gi"}


def test_a_claim_that_cannot_grow_is_told_of_and_holds_up_the_update():
    cluster = growing(2)
    template(cluster, "app:2", 2)
    cluster.refuse = lambda text: "no expansion" if text.startswith("patch") else ""
    for _ in range(5):
        cluster.step()
        obey(cluster)
    failed = "Update Claim data-web-1 for Pod web-1 in StatefulSet web failed error: no expansion"
    assert set(cluster.events) == {f"Warning FailedUpdate {failed}"}
    assert set(images(cluster).values()) == {"app:1"}


def test_a_pod_that_dies_comes_back_although_its_claim_cannot_grow():
    cluster = growing(2)
    cluster.refuse = lambda text: "no expansion" if text.startswith("patch") else ""
    cluster.gone(1)
    cluster.step()
    assert "web-1" in cluster.pods


def test_on_delete_a_claim_grows_as_its_pod_is_made_anew():
    cluster = growing(2, strategy="OnDelete")
    assert does(cluster) == []
    cluster.gone(1)
    assert does(cluster) == ["create pod web-1", "patch persistentvolumeclaim data-web-1"]
    settle(cluster, environment=expand)
    assert asked(cluster) == {"data-web-0": "1Gi", "data-web-1": "2Gi"}


def test_while_paused_no_claim_grows():
    cluster = growing(2)
    annotate(cluster, paused="true")
    settle(cluster, environment=expand)
    assert set(asked(cluster).values()) == {"1Gi"}


def test_new_claims_are_of_the_new_size():
    cluster = growing(2, policy="OnClaimDelete")
    cluster.change(replicas=3)
    settle(cluster)
    assert cluster.claims["data-web-2"]["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_claims_at_rest_cause_no_writes():
    cluster = growing(2)
    settle(cluster, environment=expand)
    cluster.writes.clear()
    cluster.step()
    assert cluster.writes == []


def test_a_claim_without_a_word_on_its_size_is_none_of_our_business():
    cluster = running(1, claims=("data",))
    annotate(cluster, volume_claim_update_policy="InPlace")
    cluster.claims["data-web-0"] = claim("data-web-0")
    assert does(cluster) == []


def test_a_claim_that_is_on_its_way_out_need_not_grow():
    cluster = growing(1)
    one = cluster.claims["data-web-0"]
    cluster.claims["data-web-0"] = {**one, "metadata": {**one["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert does(cluster) == []


def test_in_batches_pods_wait_for_their_claims_to_grow():
    cluster = growing(3, parallel=True)
    cluster.gates = BATCHES
    cluster.change(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 3}})
    template(cluster, "app:2", 2)
    cluster.claims["data-web-2"] = sized(cluster.claims["data-web-2"], "2Gi", "2Gi")
    assert does(cluster) == ["delete pod web-2"]
