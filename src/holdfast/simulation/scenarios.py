"""Stories that a simulated cluster lives through, each by name; `python -m holdfast.simulation` replays them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest

from .cluster import Cluster, simulate
from .daemons import daemons
from .faults import NO_FAULTS, Faults
from .losses import kill_a_container, lose_a_pod, pod_names
from .mixed.playing import Played, tell
from .mixed.story import Story, draw
from .tasks import cron, jobs

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
    changes = [_scale, _scale, lose_a_pod, lose_a_pod, _roll_out, kill_a_container]
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
    for change in (_scale, lose_a_pod, _roll_out, _scale):
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


def outage(cluster: Cluster, chance: Random) -> None:
    """Machines that fall silent for minutes, longer than pods tolerate, and come back with containers still at work."""
    cluster.apply(NGINX, web(3))
    for change in (_scale, lose_a_pod, _roll_out):
        cluster.run_for(chance.uniform(60, 400))
        change(cluster, chance)
    cluster.run_for(chance.uniform(0, 100))
    cluster.heal()
    cluster.run_until(lambda: cluster.is_settled("web"), LONG_S)
    cluster.run_until_quiet()
    _has_what_it_needs(cluster)


def _scale(cluster: Cluster, chance: Random) -> None:
    cluster.scale("web", chance.randint(0, 5))


def _roll_out(cluster: Cluster, chance: Random) -> None:
    annotations = {"version": str(chance.randint(1, 1000))}
    cluster.patch(STATEFUL_SETS, "web", {"spec": {"template": {"metadata": {"annotations": annotations}}}})


def _has_what_it_needs(cluster: Cluster) -> None:
    """Every pod runs, on a bound claim of its own with a directory behind it."""
    found = cluster.get(STATEFUL_SETS, "web")
    assert found is not None
    expected = [f"web-{ordinal}" for ordinal in range(found["spec"]["replicas"])]
    assert pod_names(cluster) == expected
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


class Plays(Protocol):
    def play(self, name: str, seed: int) -> Played:
        """One life, from beginning to end."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story that is always the same, with faults that are; the seed decides on the moments."""

    run: Callable[[Cluster, Random], None]
    faults: Faults = NO_FAULTS
    nodes: int = 1

    def play(self, name: str, seed: int) -> Played:
        with simulate(seed, self.faults, nodes=self.nodes) as cluster:
            self.run(cluster, Random(f"{name} {seed}"))
            return Played(cluster.fingerprint, cluster.time_s)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Of which the seed draws everything (see `mixed`)."""

    draw: Callable[[int], Story]

    def play(self, name: str, seed: int) -> Played:
        return tell(self.draw(seed))


SCENARIOS: dict[str, Plays] = {
    "calm": Scenario(calm),
    "lifecycle": Scenario(lifecycle, ROUGH, nodes=2),
    "parallel": Scenario(parallel, ROUGH, nodes=2),
    "farewell": Scenario(farewell, ROUGH),
    "jobs": Scenario(jobs, ROUGH, nodes=2),
    "cron": Scenario(cron, ROUGH),
    "outage": Scenario(outage, DARK, nodes=3),
    "daemons": Scenario(daemons, ROUGH, nodes=3),
    "mixed": Drawn(draw),
}


def play(name: str, seed: int) -> str:
    """Runs one scenario with one seed; returns the fingerprint of its history. A failure says how to replay it."""
    return watch(name, seed).fingerprint


def watch(name: str, seed: int) -> Played:
    """The same; returns how long it lasted, too."""
    try:
        return SCENARIOS[name].play(name, seed)
    except Exception as error:
        error.add_note(f"replay: python -m holdfast.simulation {name} --seed {seed}")
        raise


def play_all(name: str, seeds: Iterable[int]) -> None:
    for seed in seeds:
        play(name, seed)
