"""What happens to machines and processes: steps as those of users are."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.simulation.cluster import Cluster
from holdfast.simulation.machines import Trouble

from .steps import Step, pod_name


def _duration_s(chance: Random) -> float:
    """Mostly short; now and then longer than pods tolerate (N33)."""
    return round(chance.choice([chance.uniform(1, 20), chance.uniform(1, 90), chance.uniform(60, 500)]), 1)


class TroubleNode(Step, frozen=True, tag="trouble a node"):
    likes: ClassVar[int] = 4
    node: int = 0
    trouble: Trouble = "stopped"
    for_s: float = 10.0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        trouble = chance.choice(Trouble.__args__)  # type: ignore[attr-defined]
        return cls(node=chance.randint(0, 3), trouble=trouble, for_s=_duration_s(chance))

    def take(self, cluster: Cluster) -> None:
        cluster.trouble(cluster.nodes[self.node % len(cluster.nodes)], self.trouble, self.for_s)


class Cordon(Step, frozen=True, tag="cordon a node"):
    node: int = 0
    unschedulable: bool = True

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(node=chance.randint(0, 3), unschedulable=chance.random() < 0.6)

    def take(self, cluster: Cluster) -> None:
        cordon(cluster, self.node % len(cluster.nodes), self.unschedulable)


def cordon(cluster: Cluster, number: int, unschedulable: bool) -> None:
    name = cluster.nodes[number].name
    if cluster.get(NODES, name):
        cluster.patch(NODES, name, {"spec": {"unschedulable": unschedulable or None}})


class RestartControlPlane(Step, frozen=True, tag="restart the control plane"):
    likes: ClassVar[int] = 2
    for_s: float = 1.0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(for_s=_duration_s(chance))

    def take(self, cluster: Cluster) -> None:
        cluster.restart(cluster.control_plane, self.for_s)


class RestartServer(Step, frozen=True, tag="restart the API server"):
    likes: ClassVar[int] = 2
    for_s: float = 1.0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(for_s=round(chance.uniform(0, 30), 1))

    def take(self, cluster: Cluster) -> None:
        cluster.restart(cluster.frontend, self.for_s)


class KillContainer(Step, frozen=True, tag="kill a container"):
    likes: ClassVar[int] = 2
    ordinal: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, 4))

    def take(self, cluster: Cluster) -> None:
        uid = _uid(cluster, self.ordinal)
        for node in cluster.nodes:
            for record in node.runtime.containers(uid) if uid else ():
                if record.id in node.running_containers():
                    node.runtime.kill(record.id)


class FailProbe(Step, frozen=True, tag="fail a probe"):
    """A pod is not ready for a while."""

    likes: ClassVar[int] = 2
    ordinal: int = 0
    for_s: float = 10.0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, 4), for_s=_duration_s(chance))

    def take(self, cluster: Cluster) -> None:
        if uid := _uid(cluster, self.ordinal):
            cluster.make_unready(uid, self.for_s)


def _uid(cluster: Cluster, ordinal: int) -> str:
    found = cluster.get(PODS, pod_name(ordinal))
    return str(found["metadata"]["uid"]) if found else ""
