"""Steps of an update: from the old ReplicaSets to the new one (W23, W25)."""

from __future__ import annotations

from collections.abc import Sequence

from .scaling import resize
from .views import Deployment, ReplicaSet, active, size


def first_size(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> int:
    """How large the new set may be now: together never more than wanted and the surge."""
    if not deployment.is_rolling:
        return deployment.replicas
    room = deployment.replicas + deployment.max_surge - size([*old, new])
    if room <= 0:
        return new.replicas
    return new.replicas + min(room, deployment.replicas - new.replicas)


def roll(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> bool:
    """Up with the new set, else down with the old ones. Whether there was a step to take."""
    return _up(deployment, new, old) or _down(deployment, new, active(old))


def _up(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> bool:
    if new.replicas > deployment.replicas:
        return resize(deployment, new, deployment.replicas)
    return resize(deployment, new, first_size(deployment, new, old))


def _down(deployment: Deployment, new: ReplicaSet, old: list[ReplicaSet]) -> bool:
    """First what is not available anyway, then as many as can be missed (W23)."""
    least = deployment.replicas - deployment.max_unavailable
    most = size([*old, new]) - least - (new.replicas - new.available)
    if most <= 0:
        return False
    old = sorted(old, key=lambda one: one.created)
    cleaned = 0
    for one in old:
        count = min(most - cleaned, one.replicas - one.available)
        if count > 0:
            resize(deployment, one, one.replicas - count)
            cleaned += count
    spare = sum(one.available for one in (*old, new)) - least
    taken = 0
    for one in old:
        count = min(one.replicas, spare - taken)
        if count > 0:
            resize(deployment, one, one.replicas - count)
            taken += count
    return cleaned + taken > 0


def stop_all(deployment: Deployment, old: Sequence[ReplicaSet]) -> bool:
    """Whether there was an old set that should have had pods still."""
    running = active(old)
    for one in running:
        resize(deployment, one, 0)
    return bool(running)
