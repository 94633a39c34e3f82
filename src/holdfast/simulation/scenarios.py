"""Stories that a simulated cluster lives through, each by name; `python -m holdfast.simulation` replays them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.batch.job import JOBS
from holdfast.api.conditions import is_true
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time

from .cluster import TASK, Cluster, simulate
from .daemons import daemons
from .faults import NO_FAULTS, Faults

LONG_S = 1800.0


def web(replicas: int = 3, policy: str = "OrderedReady") -> Manifest:
    """A set with a claim for each pod, as in every tutorial."""
    claim = {
        "metadata": {"name": "www"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    container = {"name": "main", "image": "host", "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 2}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "serviceName": "nginx",
            "replicas": replicas,
            "podManagementPolicy": policy,
            "selector": {"matchLabels": {"app": "nginx"}},
            "template": {
                "metadata": {"labels": {"app": "nginx"}},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [container]},
            },
            "volumeClaimTemplates": [claim],
        },
    }


def task(name: str, completions: int, mode: str = "NonIndexed", **spec: Any) -> Manifest:
    """A Job whose pods end well or not, as chance has it."""
    container = {"name": "main", "image": "host", "command": list(TASK)}
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 10, "containers": [container]}}
    whole = {"completions": completions, "completionMode": mode, "backoffLimit": 1000, "template": template, **spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": whole,
    }


def every_minute(policy: str, **spec: Any) -> Manifest:
    """A CronJob of such Jobs."""
    template = {"spec": task("", 1, **spec)["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "often", "namespace": "default"},
        "spec": {"schedule": "* * * * *", "concurrencyPolicy": policy, "jobTemplate": template},
    }


NGINX: Manifest = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "nginx", "namespace": "default"},
    "spec": {"clusterIP": "None", "selector": {"app": "nginx"}, "ports": [{"name": "web", "port": 80}]},
}


def calm(cluster: Cluster, chance: Random) -> None:
    """Up, and then nothing: for a first look, and for what must be quiet."""
    cluster.apply(NGINX, web())
    cluster.run_until(lambda: cluster.is_settled("web"))
    cluster.run_until_quiet()


def lifecycle(cluster: Cluster, chance: Random) -> None:
    """All that a user does to a set, at moments of chance, while things go wrong; then the cluster must converge."""
    cluster.apply(NGINX, web(chance.randint(1, 4)))
    changes = [_scale, _scale, _lose_a_pod, _lose_a_pod, _roll_out, _kill_a_container]
    chance.shuffle(changes)
    for change in changes:
        cluster.run_for(chance.uniform(0, 25))
        change(cluster, chance)
    cluster.run_for(chance.uniform(0, 10))
    cluster.heal()
    cluster.run_until(lambda: cluster.is_settled("web"), LONG_S)
    cluster.run_until_quiet()
    _has_what_it_needs(cluster)


def parallel(cluster: Cluster, chance: Random) -> None:
    """The same with pods that start and stop all at once."""
    cluster.apply(web(policy="Parallel"))
    for change in (_scale, _lose_a_pod, _roll_out, _scale):
        cluster.run_for(chance.uniform(0, 20))
        change(cluster, chance)
    cluster.heal()
    cluster.run_until(lambda: cluster.is_settled("web"), LONG_S)
    cluster.run_until_quiet()
    _has_what_it_needs(cluster)


def farewell(cluster: Cluster, chance: Random) -> None:
    """A set that is deleted while things go wrong, and its claims after it: nothing is left, no volume either."""
    cluster.apply(NGINX, web(chance.randint(1, 4)))
    cluster.run_for(chance.uniform(0, 40))
    cluster.delete(STATEFUL_SETS, "web", propagation=chance.choice(["Background", "Foreground"]))
    cluster.run_for(chance.uniform(0, 10))
    cluster.heal()
    cluster.run_until_quiet()
    assert not cluster.objects(PODS)
    for claim in cluster.objects(PERSISTENT_VOLUME_CLAIMS, "default"):
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, claim["metadata"]["name"])
    cluster.run_until_quiet()
    assert not cluster.objects(PERSISTENT_VOLUME_CLAIMS)
    assert not cluster.directories.present, cluster.directories.present


def jobs(cluster: Cluster, chance: Random) -> None:
    """Jobs of either mode that are disturbed, suspended and resumed while things go wrong: they complete, and count."""
    policy = chance.choice(["Failed", "TerminatingOrFailed"])
    completions = chance.randint(3, 8)
    cluster.apply(task("any", completions, parallelism=3, podReplacementPolicy=policy))
    cluster.apply(task("each", completions, "Indexed", parallelism=3, podReplacementPolicy=policy))
    changes = [_lose_a_pod, _lose_a_pod, _kill_a_container, _suspend_or_resume, _suspend_or_resume, _be_more_or_fewer]
    chance.shuffle(changes)
    for change in changes:
        cluster.run_for(chance.uniform(0, 25))
        change(cluster, chance)
    cluster.run_for(chance.uniform(0, 10))
    cluster.heal()
    for name in ("any", "each"):
        cluster.patch(JOBS, name, {"spec": {"suspend": False, "parallelism": 3}})
    cluster.run_until(lambda: all(_is_complete(cluster, name) for name in ("any", "each")), 4 * LONG_S)
    cluster.run_until_quiet()
    _are_counted(cluster, completions)
    cluster.delete(JOBS, "any", propagation="Background")
    cluster.delete(JOBS, "each", propagation="Foreground")
    cluster.run_until_quiet()
    assert not cluster.objects(JOBS)
    assert not cluster.objects(PODS)


def cron(cluster: Cluster, chance: Random) -> None:
    """A Job for every minute, whatever goes wrong; then the CronJob is deleted and nothing is left."""
    policy = chance.choice(["Allow", "Forbid", "Replace"])
    cluster.apply(every_minute(policy, ttlSecondsAfterFinished=chance.choice([30, 3600]), parallelism=1))
    cluster.run_for(chance.uniform(500, 900))
    cluster.heal()
    cluster.run_for(61)
    status = _cron_job(cluster)["status"]
    if policy != "Allow":
        assert len(status.get("active", ())) <= 1
    if policy != "Forbid":
        assert _minute(status["lastScheduleTime"]) == cluster.world.clock.now().replace(second=0, microsecond=0)
    cluster.patch(CRON_JOBS, "often", {"spec": {"suspend": True}})
    cluster.run_until(lambda: not _cron_job(cluster)["status"].get("active"), LONG_S)
    cluster.delete(CRON_JOBS, "often", propagation=chance.choice(["Background", "Foreground"]))
    cluster.run_until_quiet()
    assert not cluster.objects(JOBS)
    assert not cluster.objects(PODS)


def _cron_job(cluster: Cluster) -> Manifest:
    found = cluster.get(CRON_JOBS, "often")
    assert found is not None
    return found


def _minute(text: str) -> datetime:
    return parse_time(text).replace(second=0, microsecond=0)


def _suspend_or_resume(cluster: Cluster, chance: Random) -> None:
    cluster.patch(JOBS, chance.choice(["any", "each"]), {"spec": {"suspend": chance.random() < 0.6}})


def _be_more_or_fewer(cluster: Cluster, chance: Random) -> None:
    cluster.patch(JOBS, chance.choice(["any", "each"]), {"spec": {"parallelism": chance.randint(0, 5)}})


def _is_complete(cluster: Cluster, name: str) -> bool:
    found = cluster.get(JOBS, name)
    return found is not None and is_true(found, "Complete")


def _are_counted(cluster: Cluster, completions: int) -> None:
    """No index is missing and no pod is held any more."""
    statuses = {one["metadata"]["name"]: one["status"] for one in cluster.objects(JOBS)}
    assert statuses["each"]["completedIndexes"] == f"0-{completions - 1}", statuses
    assert statuses["each"]["succeeded"] == completions, statuses
    assert statuses["any"]["succeeded"] >= completions, statuses
    for pod in cluster.objects(PODS):
        assert not pod["metadata"].get("finalizers"), pod["metadata"]["name"]


def outage(cluster: Cluster, chance: Random) -> None:
    """Machines that fall silent for minutes, longer than pods tolerate, and come back with containers still at work."""
    cluster.apply(NGINX, web(3))
    for change in (_scale, _lose_a_pod, _roll_out):
        cluster.run_for(chance.uniform(60, 400))
        change(cluster, chance)
    cluster.run_for(chance.uniform(0, 100))
    cluster.heal()
    cluster.run_until(lambda: cluster.is_settled("web"), LONG_S)
    cluster.run_until_quiet()
    _has_what_it_needs(cluster)


def _scale(cluster: Cluster, chance: Random) -> None:
    cluster.scale("web", chance.randint(0, 5))


def _lose_a_pod(cluster: Cluster, chance: Random) -> None:
    if pods := _names(cluster):
        cluster.delete(PODS, chance.choice(pods))


def _roll_out(cluster: Cluster, chance: Random) -> None:
    annotations = {"version": str(chance.randint(1, 1000))}
    cluster.patch(STATEFUL_SETS, "web", {"spec": {"template": {"metadata": {"annotations": annotations}}}})


def _kill_a_container(cluster: Cluster, chance: Random) -> None:
    node = chance.choice(cluster.nodes)
    if running := node.running_containers():
        node.runtime.kill(chance.choice(running))


def _names(cluster: Cluster) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in cluster.objects(PODS, "default"))


def _has_what_it_needs(cluster: Cluster) -> None:
    """Every pod runs, on a bound claim of its own with a directory behind it."""
    found = cluster.get(STATEFUL_SETS, "web")
    assert found is not None
    expected = [f"web-{ordinal}" for ordinal in range(found["spec"]["replicas"])]
    assert _names(cluster) == expected
    assert sorted(cluster.running_pods()) == [f"default/{name}" for name in expected]
    for name in expected:
        claim = cluster.get(PERSISTENT_VOLUME_CLAIMS, f"www-{name}")
        assert claim is not None, name
        assert claim["status"]["phase"] == "Bound", name
        assert f"/volumes/{claim['spec']['volumeName']}" in cluster.directories.present


ROUGH = Faults(
    crash_every_s=25,
    agent_crash_every_s=60,
    request_delay_s=0.2,
    watch_delay_s=1.5,
    lost_request=0.03,
    lost_reply=0.03,
    broken_watch=0.01,
    slow_start_s=4,
)
"""Crashes, slow and broken watches, lost calls: everything at once."""


DARK = Faults(
    crash_every_s=120,
    agent_crash_every_s=200,
    down_s=450,
    request_delay_s=0.1,
    watch_delay_s=0.5,
    lost_reply=0.01,
)
"""Little is lost, but who goes stays away for long."""


@dataclass(frozen=True, slots=True)
class Scenario:
    run: Callable[[Cluster, Random], None]
    faults: Faults = NO_FAULTS
    nodes: int = 1


SCENARIOS = {
    "calm": Scenario(calm),
    "lifecycle": Scenario(lifecycle, ROUGH, nodes=2),
    "parallel": Scenario(parallel, ROUGH, nodes=2),
    "farewell": Scenario(farewell, ROUGH),
    "jobs": Scenario(jobs, ROUGH, nodes=2),
    "cron": Scenario(cron, ROUGH),
    "outage": Scenario(outage, DARK, nodes=3),
    "daemons": Scenario(daemons, ROUGH, nodes=3),
}


def play(name: str, seed: int) -> str:
    """Runs one scenario with one seed; returns the fingerprint of its history. A failure says how to replay it."""
    scenario = SCENARIOS[name]
    try:
        with simulate(seed, scenario.faults, nodes=scenario.nodes) as cluster:
            scenario.run(cluster, Random(f"{name} {seed}"))
            return cluster.fingerprint
    except Exception as error:
        error.add_note(f"replay: python -m holdfast.simulation {name} --seed {seed}")
        raise


def play_all(name: str, seeds: Iterable[int]) -> None:
    for seed in seeds:
        play(name, seed)
