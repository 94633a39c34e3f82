"""The simulation itself: it repeats itself exactly, and its checkers see what is broken."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.batch.job import JOBS
from holdfast.api.conditions import is_true
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.client import Unreachable
from holdfast.simulation import scenarios
from holdfast.simulation.checkers.identity import OneRunningPodPerIdentity
from holdfast.simulation.checkers.moments import CONTROLLER
from holdfast.simulation.cluster import NeverHappened, simulate
from holdfast.simulation.faults import Faults, FaultyClient
from holdfast.simulation.loop import Deadlock, Livelock, SimulatedLoop
from holdfast.simulation.observation import Facts, InvariantBroken, Observation
from holdfast.simulation.scenarios import Scenario, play, web
from holdfast.simulation.tasks import every_minute, task


def test_one_seed_is_one_history_and_another_seed_another():
    assert play("lifecycle", 7) == play("lifecycle", 7) != play("lifecycle", 8)


def test_a_history_is_the_same_in_every_process():
    """Python orders sets of strings anew in each process: a decision that followed them could not be replayed."""
    command = [sys.executable, "-m", "holdfast.simulation", "farewell", "--seed", "3"]
    outputs = {
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert play("farewell", 3) in outputs.pop()


def test_a_failure_names_the_command_that_replays_it(monkeypatch):
    def fail(cluster, chance):
        cluster.run_until(lambda: False, within_s=1)

    monkeypatch.setitem(scenarios.SCENARIOS, "broken", Scenario(fail))
    with pytest.raises(NeverHappened) as failure:
        play("broken", 12)
    assert "replay: python -m holdfast.simulation broken --seed 12" in failure.value.__notes__


def test_an_hour_passes_at_once_and_nothing_but_heartbeats_is_written():
    with simulate(0) as cluster:
        cluster.apply(web(3))
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=60)
        cluster.run_for(30)
        last = cluster.trace[-1]
        cluster.run_for(3600)
        assert cluster.trace[-1] == last


def test_a_year_between_two_jobs_passes_without_a_write():
    with simulate(0) as cluster:
        cluster.apply({**every_minute("Allow"), "metadata": {"name": "yearly", "namespace": "default"}})
        cluster.run_until(lambda: cluster.objects(JOBS), within_s=90)
        cluster.patch(CRON_JOBS, "yearly", {"spec": {"schedule": "0 0 1 1 *"}})
        cluster.run_until(lambda: is_true(cluster.objects(JOBS)[0], "Complete"), within_s=1800)
        cluster.run_for(4000)  # events live for an hour
        last = cluster.trace[-1]
        cluster.run_for(3600)
        assert cluster.trace[-1] == last


def test_pods_start_in_order_and_each_has_its_claim():
    with simulate(0, Faults(slow_start_s=5)) as cluster:
        cluster.apply(web(3))
        cluster.run_until(lambda: cluster.ready_replicas("web") == 3)
        created = [pod["metadata"]["creationTimestamp"] for pod in _by_name(cluster)]
        assert created == sorted(created)
        claims = {claim["spec"]["volumeName"] for claim in cluster.objects(PERSISTENT_VOLUME_CLAIMS, "default")}
        assert len(claims) == 3
        assert {f"/volumes/{name}" for name in claims} == cluster.directories.present


def test_a_pod_comes_back_with_its_name_and_its_claim():
    with simulate(0) as cluster:
        cluster.apply(web(2))
        cluster.run_until(lambda: cluster.is_settled("web"))
        before = cluster.get(PODS, "web-0")["metadata"]["uid"]
        volume = cluster.get(PERSISTENT_VOLUME_CLAIMS, "www-web-0")["spec"]["volumeName"]
        cluster.delete(PODS, "web-0")
        cluster.run_until(lambda: before not in [pod["metadata"]["uid"] for pod in _by_name(cluster)])
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert cluster.get(PERSISTENT_VOLUME_CLAIMS, "www-web-0")["spec"]["volumeName"] == volume


def test_containers_outlive_their_agent():
    with simulate(0) as cluster:
        cluster.apply(web(1))
        cluster.run_until(lambda: cluster.is_settled("web"))
        (node,) = cluster.nodes
        before = node.running_containers()
        cluster.kill(node.process)
        cluster.run_for(5)
        cluster.start(node.process)
        cluster.run_for(30)
        assert node.running_containers() == before
        assert cluster.is_settled("web")


def _by_name(cluster):
    return sorted(cluster.objects(PODS, "default"), key=lambda pod: pod["metadata"]["name"])


# What a saboteur does behind everybody's back


def test_two_pods_of_one_identity_are_seen():
    with simulate(0, nodes=2) as cluster:
        cluster.apply(web(1))
        cluster.run_until(lambda: cluster.is_settled("web"))
        pod = cluster.get(PODS, "web-0")
        (host,) = [node for node in cluster.nodes if node.name == pod["spec"]["nodeName"]]
        (other,) = [node for node in cluster.nodes if node is not host]
        cluster.kill(host.process)  # partitioned: nobody tells its containers to stop
        cluster.patch(NODES, host.name, {"spec": {"unschedulable": True}}, "")
        cluster.do(cluster.client.delete(PODS, "web-0", "default", grace_period_s=0))
        with pytest.raises(InvariantBroken, match="default/web-0 runs twice"):
            cluster.run_until(lambda: other.running_containers() and not cluster.ready_replicas("web"), within_s=60)


def _pod_of(cluster, name):
    """As the controller would make it."""
    found = cluster.get(PODS, "web-0")
    metadata = {"name": name, "namespace": "default"}
    metadata |= {key: found["metadata"][key] for key in ("labels", "ownerReferences")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "a", "image": "b"}]},
    }


def test_an_ordinal_that_starts_before_its_predecessor_is_ready_is_seen():
    with simulate(0) as cluster:
        cluster.apply(web(1))
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.kill(cluster.control_plane)
        cluster.scale("web", 3)
        with pytest.raises(InvariantBroken, match="default/web-2 was created before web-1 was available"):
            cluster.do(cluster.client.create(PODS, _pod_of(cluster, "web-2")), by=CONTROLLER)


def test_an_ordinal_that_stops_before_higher_ones_are_gone_is_seen():
    with simulate(0) as cluster:
        cluster.apply(web(3))
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.run_for(10)
        cluster.kill(cluster.control_plane)
        cluster.scale("web", 0)
        cluster.run_for(10)
        with pytest.raises(InvariantBroken, match="default/web-0 was deleted before web-2 was gone"):
            cluster.do(cluster.client.delete(PODS, "web-0", "default"), by=CONTROLLER)


def test_a_claim_that_is_deleted_by_nobody_who_may_is_seen():
    with simulate(0) as cluster:
        cluster.apply(web(1))
        cluster.run_until(lambda: cluster.is_settled("web"))
        with pytest.raises(InvariantBroken, match="claim default/www-web-0 was deleted by nobody who may"):
            cluster.do(cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, "www-web-0", "default"))


def test_a_volume_that_changes_its_claim_is_seen():
    with simulate(0) as cluster:
        cluster.apply(web(1))
        cluster.run_until(lambda: cluster.is_settled("web"))
        cluster.kill(cluster.control_plane)
        (volume,) = cluster.objects(PERSISTENT_VOLUMES)
        with pytest.raises(InvariantBroken, match="went from claim"):
            cluster.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], {"spec": {"claimRef": {"uid": "another"}}})


def _with_an_ended_pod(cluster):
    """A job of which one pod has ended while its controller was away. Returns the pod."""
    cluster.apply(task("any", 1, backoffLimit=0))
    cluster.run_until(lambda: cluster.objects(PODS))
    cluster.kill(cluster.control_plane)
    cluster.run_until(lambda: cluster.objects(PODS)[0]["status"]["phase"] in ("Succeeded", "Failed"))
    return cluster.objects(PODS)[0]


def test_a_pod_that_is_let_go_uncounted_is_seen():
    with simulate(0) as cluster:
        pod = _with_an_ended_pod(cluster)
        with pytest.raises(InvariantBroken, match=f"any lets go of pod default/{pod['metadata']['name']}, which"):
            cluster.patch(PODS, pod["metadata"]["name"], {"metadata": {"finalizers": None}})


def test_a_pod_that_is_counted_twice_is_seen():
    with simulate(0) as cluster:
        pod = _with_an_ended_pod(cluster)
        outcome = pod["status"]["phase"].lower()
        noted = {"uncountedTerminatedPods": {outcome: [pod["metadata"]["uid"]]}}
        counted = {"uncountedTerminatedPods": None, outcome: 1}
        _write_status(cluster, noted)
        _write_status(cluster, counted)
        with pytest.raises(InvariantBroken, match=r"counts pod .* twice"):
            _write_status(cluster, noted)


def test_a_job_that_counts_a_pod_that_has_not_ended_is_seen():
    with simulate(0) as cluster:
        cluster.apply(task("any", 1))
        cluster.run_until(lambda: cluster.objects(PODS))
        uid = cluster.objects(PODS)[0]["metadata"]["uid"]
        with pytest.raises(InvariantBroken, match="failed, and it did not"):
            _write_status(cluster, {"uncountedTerminatedPods": {"failed": [uid]}})
    with simulate(0) as cluster:
        cluster.apply(task("any", 1))
        with pytest.raises(InvariantBroken, match="adds 3 to failed for 0 pods"):
            _write_status(cluster, {"failed": 3})


def test_a_second_job_for_one_time_is_seen():
    with simulate(0) as cluster:
        cluster.apply(every_minute("Allow"))
        cluster.run_until(lambda: cluster.objects(JOBS), within_s=90)
        cluster.kill(cluster.control_plane)
        (job,) = cluster.objects(JOBS)
        name, annotations = job["metadata"]["name"], job["metadata"]["annotations"]
        cluster.delete(JOBS, name, propagation="Background")
        again = task(name, 1)
        with pytest.raises(InvariantBroken, match="was made again for"):
            cluster.apply({**again, "metadata": {**again["metadata"], "annotations": annotations}})


def _write_status(cluster, status):
    cluster.do(cluster.client.patch(JOBS, "any", {"status": status}, "default", subresource="status"))


def test_a_process_that_ends_by_itself_is_seen(monkeypatch):
    async def fail(client_for):
        raise RuntimeError("out of order")

    with simulate(0) as cluster:
        process = cluster.nodes[0].process
        cluster.kill(process)
        monkeypatch.setattr(process, "_run", fail)
        with pytest.raises(RuntimeError, match="out of order"):
            cluster.start(process)


def test_what_never_happens_is_told_with_the_last_changes():
    with simulate(0) as cluster:
        cluster.apply(web(1))
        with pytest.raises(NeverHappened, match="/pods/"):
            cluster.run_until(lambda: cluster.ready_replicas("web") == 7, within_s=60)


# Faults


class Server:
    """Counts what it is asked."""

    def __init__(self):
        self.gets = 0

    async def get(self, resource, name, namespace="", **options):
        self.gets += 1
        return {"n": self.gets}


def client_with(faults):
    from random import Random

    server = Server()
    return server, FaultyClient(lambda: server, lambda: faults, Random(0))


def run(call):
    loop = SimulatedLoop()
    try:
        return loop.run_until_complete(call), loop.time()
    finally:
        loop.close()


@pytest.mark.parametrize(("faults", "gets"), [(Faults(lost_request=1), 0), (Faults(lost_reply=1), 1)])
def test_a_lost_request_has_no_effect_and_a_lost_reply_has(faults, gets):
    server, client = client_with(faults)
    with pytest.raises(Unreachable):
        run(client.get(PODS, "a"))
    assert server.gets == gets


def test_calls_take_their_time():
    server, client = client_with(Faults(request_delay_s=10))
    _, took_s = run(client.get(PODS, "a"))
    assert 0 < took_s <= 20
    assert server.gets == 1


def test_a_dead_process_calls_nobody():
    server, client = client_with(Faults())
    client.kill()
    with pytest.raises(Unreachable):
        run(client.get(PODS, "a"))
    assert server.gets == 0


def test_time_jumps_and_a_standstill_is_an_error():
    async def wait():
        await asyncio.sleep(3600)

    assert run(wait()) == (None, 3600)
    with pytest.raises(Deadlock):
        run(asyncio.Event().wait())


def test_a_timer_that_fires_for_ever_at_one_moment_is_an_error(monkeypatch):
    monkeypatch.setattr("holdfast.simulation.loop.MOST_TURNS", 1000)

    async def spin():
        await asyncio.sleep(50)
        for _ in range(10_000):
            await asyncio.sleep(1e-15)  # what rounding leaves of a wait

    with pytest.raises(Livelock):
        run(spin())


def test_only_running_containers_of_one_pod_may_have_an_identity():
    seen = Observation(0.0, None, {"kind": "Pod", "metadata": {"name": "web-0"}})
    once, twice = Facts(lambda identity: ["a", "a"]), Facts(lambda identity: ["a", "b"])
    assert not OneRunningPodPerIdentity().check(seen, once)
    assert OneRunningPodPerIdentity().check(seen, twice)
