"""Lives of Jobs and CronJobs, whose pods end by themselves."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.batch.job import JOBS
from holdfast.api.conditions import is_true
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time

from .cluster import Cluster
from .losses import kill_a_container, lose_a_pod
from .machines import TASK

LONG_S = 1800.0


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


def jobs(cluster: Cluster, chance: Random) -> None:
    """Jobs of either mode that are disturbed, suspended and resumed while things go wrong: they complete, and count."""
    policy = chance.choice(["Failed", "TerminatingOrFailed"])
    completions = chance.randint(3, 8)
    cluster.apply(task("any", completions, parallelism=3, podReplacementPolicy=policy))
    cluster.apply(task("each", completions, "Indexed", parallelism=3, podReplacementPolicy=policy))
    changes = [lose_a_pod, lose_a_pod, kill_a_container, _suspend_or_resume, _suspend_or_resume, _be_more_or_fewer]
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
