"""What befalls pods in any scenario, whoever owns them."""

from __future__ import annotations

from random import Random

from holdfast.api.core.pod import PODS

from .cluster import Cluster


def pod_names(cluster: Cluster) -> list[str]:
    """Sorted, so that one seed makes one choice."""
    return sorted(pod["metadata"]["name"] for pod in cluster.objects(PODS, "default"))


def lose_a_pod(cluster: Cluster, chance: Random) -> None:
    if names := pod_names(cluster):
        cluster.delete(PODS, chance.choice(names))


def kill_a_container(cluster: Cluster, chance: Random) -> None:
    node = chance.choice(cluster.nodes)
    if running := node.running_containers():
        node.runtime.kill(chance.choice(running))
