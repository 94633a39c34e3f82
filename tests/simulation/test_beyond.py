"""What a set may ask for beyond upstream, in a whole cluster (docs/beyond.md); and what befalls one that does not."""

from __future__ import annotations

import asyncio
import json
from random import Random

import pytest

from holdfast.api import feature_gates
from holdfast.api.apps import stateful_set_beyond as beyond
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import Invalid
from holdfast.api.feature_gates import MAX_UNAVAILABLE_STATEFUL_SET, STATEFUL_SET_RECREATE_STRATEGY
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.simulation.cluster import simulate
from holdfast.simulation.faults import Faults
from holdfast.simulation.scenarios import web

SCRIPT = "simulated.holdfast.dev/main"
NEVER_READY = json.dumps({"ready_after_s": 1e9})
SLOW = json.dumps({"ready_after_s": 5})
FAULTS = Faults(
    crash_every_s=60,
    agent_crash_every_s=60,
    request_delay_s=0.2,
    watch_delay_s=0.5,
    lost_request=0.03,
    lost_reply=0.03,
    broken_watch=0.01,
    slow_start_s=5,
)


def asking(annotations, replicas=3, policy="OrderedReady", **spec):
    made = web(replicas, policy)
    return {
        **made,
        "metadata": {**made["metadata"], "annotations": annotations},
        "spec": {**made["spec"], **spec},
    }


def up(cluster, annotations, **options):
    cluster.apply(asking(annotations, **options))
    cluster.run_until(lambda: cluster.is_settled("web"))


def annotate(cluster, **annotations):
    named = {beyond.PREFIX + name.replace("_", "-"): value for name, value in annotations.items()}
    cluster.patch(STATEFUL_SETS, "web", {"metadata": {"annotations": named}})


def roll(cluster, version, script=None):
    """Another template; with `script` its pods do as that says."""
    metadata = {"labels": {"app": "nginx"}, "annotations": {"version": version, SCRIPT: script}}
    cluster.patch(STATEFUL_SETS, "web", {"spec": {"template": {"metadata": metadata}}})


def versions(cluster):
    """Of the pods that stay."""
    pods = [pod for pod in cluster.objects(PODS, "default") if "deletionTimestamp" not in pod["metadata"]]
    return {pod["metadata"]["name"]: pod["metadata"].get("annotations", {}).get("version") for pod in pods}


def the_set(cluster):
    return cluster.get(STATEFUL_SETS, "web")


def conditions(cluster):
    found = the_set(cluster)["status"].get("conditions", [])
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def break_and_mend(cluster):
    """A rollout whose first pod never becomes ready; then the template is mended."""
    roll(cluster, "2", NEVER_READY)
    cluster.run_until(lambda: versions(cluster).get("web-2") == "2")
    cluster.run_for(30)
    roll(cluster, "3")


@pytest.mark.parametrize("annotations", [{}, {beyond.UNSTICK: "false"}])
def test_67250_unasked_a_mended_rollout_stays_stuck_until_somebody_deletes_the_pod(annotations):
    with simulate(1) as cluster:
        up(cluster, annotations)
        break_and_mend(cluster)
        cluster.run_for(3600)
        assert versions(cluster) == {"web-0": None, "web-1": None, "web-2": "2"}
        assert "conditions" not in the_set(cluster)["status"]
        cluster.delete(PODS, "web-2")
        cluster.run_until(lambda: cluster.is_settled("web"))


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_67250_asked_to_a_mended_rollout_unsticks_itself(policy):
    with simulate(2) as cluster:
        up(cluster, {beyond.UNSTICK: "true"}, policy=policy)
        break_and_mend(cluster)
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert set(versions(cluster).values()) == {"3"}
        cluster.run_until_quiet()


def test_67250_asked_to_a_rollout_that_is_taken_back_unsticks_itself():
    with simulate(3) as cluster:
        up(cluster, {beyond.UNSTICK: "true"})
        roll(cluster, "2", NEVER_READY)
        cluster.run_until(lambda: versions(cluster).get("web-2") == "2")
        roll(cluster, None)
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert set(versions(cluster).values()) == {None}


def test_60164_asked_to_a_set_that_never_worked_can_be_mended():
    with simulate(4) as cluster:
        made = asking({beyond.UNSTICK: "true"})
        made["spec"]["template"]["metadata"]["annotations"] = {SCRIPT: NEVER_READY}
        cluster.apply(made)
        cluster.run_for(60)
        assert set(versions(cluster)) == {"web-0"}
        roll(cluster, "2")
        cluster.run_until(lambda: cluster.is_settled("web"))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_fails_a_rollout_that_was_broken_and_mended_ends(seed):
    """The checkers look on: never two pods of one identity, none starts before those below it are ready."""
    with simulate(seed, FAULTS, nodes=2) as cluster:
        chance = Random(seed)
        up(cluster, {beyond.UNSTICK: "true"}, policy=chance.choice(["OrderedReady", "Parallel"]))
        for version in ("2", "3", "4"):
            roll(cluster, version, NEVER_READY if version != "4" else None)
            cluster.run_for(chance.uniform(0, 60))
        cluster.heal()
        cluster.run_until(lambda: cluster.is_settled("web"), 1800)
        assert set(versions(cluster).values()) == {"4"}
        cluster.run_until_quiet()


# Claims


def let_grow(cluster, may):
    (standard,) = cluster.objects(STORAGE_CLASSES)
    cluster.patch(STORAGE_CLASSES, standard["metadata"]["name"], {"allowVolumeExpansion": may})


def give_away(cluster):
    """The volumes are another provisioner's: they grow when the test says so (`expand`)."""
    for volume in cluster.objects(PERSISTENT_VOLUMES):
        annotations = {"pv.kubernetes.io/provisioned-by": "example.com/slow"}
        cluster.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], {"metadata": {"annotations": annotations}})


def ask(cluster, size):
    claim = the_set(cluster)["spec"]["volumeClaimTemplates"][0]
    spec = {**claim["spec"], "resources": {"requests": {"storage": size}}}
    cluster.patch(STATEFUL_SETS, "web", {"spec": {"volumeClaimTemplates": [{**claim, "spec": spec}]}})


def asked(cluster):
    claims = cluster.objects(PERSISTENT_VOLUME_CLAIMS, "default")
    return {one["metadata"]["name"]: one["spec"]["resources"]["requests"]["storage"] for one in claims}


def expand(cluster, name):
    """What grows a volume, once it has done so."""
    status = {"status": {"capacity": {"storage": asked(cluster)[name]}}}
    call = cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, name, status, "default", subresource="status")
    cluster.do(call)


def messages(cluster):
    return {event["message"] for event in cluster.objects(EVENTS, "default")}


def test_68737_unasked_the_size_of_a_claim_template_cannot_be_changed():
    with simulate(5) as cluster:
        up(cluster, {})
        with pytest.raises(Invalid, match="updates to statefulset spec for fields other than 'replicas'"):
            ask(cluster, "2Gi")


def test_68737_asked_to_claims_grow_one_pod_after_the_other_and_new_ones_are_larger():
    with simulate(6) as cluster:
        up(cluster, {beyond.CLAIM_UPDATE_POLICY: "InPlace"})
        give_away(cluster)
        ask(cluster, "2Gi")
        for ordinal in (2, 1, 0):
            sizes = {f"www-web-{other}": "2Gi" if other >= ordinal else "1Gi" for other in range(3)}
            cluster.run_until(lambda sizes=sizes: asked(cluster) == sizes, 30)
            cluster.run_for(60)
            assert asked(cluster) == sizes
            expand(cluster, f"www-web-{ordinal}")
        cluster.run_until_quiet()
        cluster.scale("web", 4)
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert asked(cluster)["www-web-3"] == "2Gi"


def test_68737_asked_to_claims_of_the_standard_class_grow_from_end_to_end():
    with simulate(6) as cluster:
        up(cluster, {beyond.CLAIM_UPDATE_POLICY: "InPlace"})
        ask(cluster, "2Gi")
        cluster.run_until(lambda: set(asked(cluster).values()) == {"2Gi"}, 30)
        cluster.run_until_quiet()
        claims = cluster.objects(PERSISTENT_VOLUME_CLAIMS, "default")
        assert [claim["status"]["capacity"]["storage"] for claim in claims] == ["2Gi"] * 3
        assert {one["spec"]["capacity"]["storage"] for one in cluster.objects(PERSISTENT_VOLUMES)} == {"2Gi"}


def test_68737_a_class_that_cannot_grow_is_told_of_and_the_rollout_waits():
    with simulate(7) as cluster:
        up(cluster, {beyond.CLAIM_UPDATE_POLICY: "InPlace", beyond.CONDITIONS: "true"})
        let_grow(cluster, False)
        ask(cluster, "2Gi")
        roll(cluster, "2")
        cluster.run_for(120)
        assert set(versions(cluster).values()) == {None}
        failure = "Update Claim www-web-2 for Pod web-2 in StatefulSet web failed error: "
        (message,) = (text for text in messages(cluster) if text.startswith(failure))
        assert "must support resize" in message
        assert "must support resize" in conditions(cluster)["Progressing"][2]
        annotate(cluster, volume_claim_update_policy="OnClaimDelete")
        cluster.run_until(lambda: cluster.is_settled("web"))


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
@pytest.mark.parametrize("seed", range(5))
def test_s58_down_and_up_again_at_once_heals_with_a_claim_of_its_own(seed, policy):
    """By default: the reference permits it, for it changes no rule but the time."""
    with simulate(seed) as cluster:
        retention = {"whenScaled": "Delete", "whenDeleted": "Retain"}
        up(cluster, {}, policy=policy, persistentVolumeClaimRetentionPolicy=retention)
        before = cluster.get(PERSISTENT_VOLUME_CLAIMS, "www-web-2")["metadata"]["uid"]
        cluster.scale("web", 2)
        cluster.run_until(lambda: "web-2" not in versions(cluster), 5)
        cluster.scale("web", 3)
        cluster.run_until(lambda: cluster.is_settled("web"), 60)
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "www-web-2")["metadata"]["uid"] != before
        cluster.run_until_quiet()


# Conditions


def test_l18_asked_to_a_set_says_what_it_waits_for_and_when_it_waited_too_long():
    with simulate(8) as cluster:
        up(cluster, {beyond.PROGRESS_DEADLINE: "300"})
        cluster.run_for(5)
        assert [one[:2] for one in conditions(cluster).values()] == [
            ("True", "AllReplicasAvailable"),
            ("True", "RolloutComplete"),
        ]
        roll(cluster, "2", NEVER_READY)
        cluster.run_for(60)
        assert conditions(cluster) == {
            "Available": ("False", "ReplicasUnavailable", "2 of 3 pods are available: waiting for pod 2 to be ready"),
            "Progressing": ("True", "RolloutProgressing", "waiting for pod 2 to be ready"),
        }
        cluster.run_for(300)
        message = "no progress within 300 s: waiting for pod 2 to be ready"
        assert conditions(cluster)["Progressing"] == ("False", "ProgressDeadlineExceeded", message)
        before = the_set(cluster)["metadata"]["resourceVersion"]
        cluster.run_for(3600)
        assert the_set(cluster)["metadata"]["resourceVersion"] == before
        roll(cluster, "3")
        cluster.delete(PODS, "web-2")
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.run_for(5)
        assert conditions(cluster)["Progressing"][1] == "RolloutComplete"
        annotate(cluster, progress_deadline_seconds=None)
        cluster.run_until(lambda: conditions(cluster) == {}, 5)
        cluster.run_until_quiet()


def test_an_hour_of_a_set_with_conditions_is_quiet():
    with simulate(9) as cluster:
        up(cluster, {beyond.PROGRESS_DEADLINE: "60"})
        cluster.run_until_quiet(3600, 4000)


# Reserved ordinals


def test_l6_one_in_the_middle_is_removed_and_its_claim_stays():
    with simulate(10) as cluster:
        up(cluster, {})
        patch = {"metadata": {"annotations": {beyond.RESERVE_ORDINALS: "1"}}, "spec": {"replicas": 2}}
        cluster.patch(STATEFUL_SETS, "web", patch)
        cluster.run_until(lambda: set(versions(cluster)) == {"web-0", "web-2"})
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.run_until_quiet()
        assert set(asked(cluster)) == {"www-web-0", "www-web-1", "www-web-2"}
        annotate(cluster, reserve_ordinals=None)
        cluster.run_until(lambda: set(versions(cluster)) == {"web-0", "web-1"})


def test_l6_one_is_moved_and_the_new_one_is_up_before_it_goes():
    with simulate(11) as cluster:
        made = asking({})
        made["spec"]["template"]["metadata"]["annotations"] = {SCRIPT: SLOW}
        cluster.apply(made)
        cluster.run_until(lambda: cluster.is_settled("web"))
        annotate(cluster, reserve_ordinals="1")
        cluster.run_until(lambda: "web-3" in versions(cluster))
        assert "web-1" in versions(cluster)
        cluster.run_until(lambda: set(versions(cluster)) == {"web-0", "web-2", "web-3"})
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.run_until_quiet()


# Pause


def test_l4_a_pause_stops_the_update_and_keeps_what_dies_as_it_was():
    with simulate(12) as cluster:
        up(cluster, {}, replicas=4)
        roll(cluster, "2", SLOW)
        cluster.run_until(lambda: [*versions(cluster).values()] == [None, None, "2", "2"])
        annotate(cluster, paused="true")
        cluster.run_for(60)
        cluster.run_until_quiet()
        before = versions(cluster)
        assert [*before.values()] == [None, None, "2", "2"]
        for name in before:
            cluster.delete(PODS, name)
            cluster.run_until(lambda: cluster.ready_replicas("web") == 4 and len(versions(cluster)) == 4)
        cluster.run_until_quiet()
        assert versions(cluster) == before
        annotate(cluster, paused=None)
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert set(versions(cluster).values()) == {"2"}
        assert beyond.PAUSED_REVISIONS not in the_set(cluster)["metadata"].get("annotations", {})


@pytest.mark.parametrize("seed", range(10))
def test_l4_whatever_fails_a_pause_keeps_what_dies_as_it_was(seed):
    with simulate(seed, FAULTS) as cluster:
        chance = Random(seed)
        up(cluster, {}, replicas=4)
        roll(cluster, "2", SLOW)
        cluster.run_for(chance.uniform(5, 30))
        annotate(cluster, paused="true")
        cluster.run_until(lambda: beyond.PAUSED_REVISIONS in the_set(cluster)["metadata"]["annotations"])
        cluster.run_until(lambda: cluster.ready_replicas("web") == 4 and len(versions(cluster)) == 4)
        before = versions(cluster)
        for name in chance.sample(sorted(before), 3):
            cluster.delete(PODS, name)
            cluster.run_for(chance.uniform(0, 20))
        cluster.heal()
        cluster.run_until(lambda: cluster.ready_replicas("web") == 4 and len(versions(cluster)) == 4)
        cluster.run_until_quiet()
        assert versions(cluster) == before


# The gate


def in_batches(most):
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}}


def most_away(cluster, replicas):
    """The largest number of pods that were not ready at once, until the set is settled."""
    seen = [0]

    def look():
        pods = cluster.objects(PODS, "default")
        ready = [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        ]
        seen[0] = max(seen[0], replicas - len(ready))
        return cluster.is_settled("web")

    cluster.run_for(1)
    cluster.run_until(look)
    return seen[0]


def test_s104_without_the_gate_max_unavailable_is_dropped_and_one_pod_goes_at_a_time():
    with simulate(13) as cluster:
        up(cluster, {}, replicas=5, policy="Parallel", updateStrategy=in_batches(3))
        assert the_set(cluster)["spec"]["updateStrategy"]["rollingUpdate"] == {"partition": 0}
        roll(cluster, "2", SLOW)
        assert most_away(cluster, 5) == 1


def test_s103_with_the_gate_a_rollout_goes_in_batches():
    with feature_gates.enabled(MAX_UNAVAILABLE_STATEFUL_SET), simulate(14) as cluster:
        up(cluster, {}, replicas=5, policy="Parallel", updateStrategy=in_batches("60%"))
        assert the_set(cluster)["spec"]["updateStrategy"]["rollingUpdate"] == {"partition": 0, "maxUnavailable": "60%"}
        roll(cluster, "2", SLOW)
        assert most_away(cluster, 5) == 3
        cluster.run_until_quiet()


@pytest.mark.parametrize("unsticks", [False, True])
def test_s103_a_broken_pod_blocks_its_own_replacement_unless_the_set_asks_not_to_be_stuck(unsticks):
    with feature_gates.enabled(MAX_UNAVAILABLE_STATEFUL_SET), simulate(15) as cluster:
        asked_for = {beyond.UNSTICK: "true"} if unsticks else {}
        up(cluster, asked_for, policy="Parallel", updateStrategy=in_batches(1))
        break_and_mend(cluster)
        cluster.run_for(600)
        assert cluster.is_settled("web") == unsticks
        assert versions(cluster)["web-2"] == ("3" if unsticks else "2")


def test_what_cannot_be_understood_is_refused_at_the_door():
    with simulate(16) as cluster:
        with pytest.raises(Invalid, match="must be 'true' or 'false'"):
            cluster.apply(asking({beyond.PAUSED: "yes"}))
        cluster.do(asyncio.sleep(0))


def test_3541_without_the_gate_recreate_is_refused():
    with simulate(17) as cluster, pytest.raises(Invalid, match="must be 'RollingUpdate' or 'OnDelete'"):
        cluster.apply(asking({}, updateStrategy={"type": "Recreate"}))


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_3541_with_the_gate_old_and_new_pods_never_run_together_and_no_rollout_is_stuck(policy):
    with feature_gates.enabled(STATEFUL_SET_RECREATE_STRATEGY), simulate(18) as cluster:
        up(cluster, {}, policy=policy, updateStrategy={"type": "Recreate"})
        seen = []
        for version, script in (("2", NEVER_READY), ("3", SLOW)):
            roll(cluster, version, script)
            for _ in range(200):
                cluster.run_for(0.1)
                seen.append(set(versions(cluster).values()))
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert max(map(len, seen)) == 1
        assert set(versions(cluster).values()) == {"3"}
        cluster.run_until_quiet()
