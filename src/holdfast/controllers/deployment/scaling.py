"""Sizes of ReplicaSets: set, or shared out in proportion when the Deployment's own size changes (W24)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .sets import annotate_sizes, desired, maximum
from .views import Deployment, ReplicaSet, active, size


def resize(deployment: Deployment, one: ReplicaSet, replicas: int) -> bool:
    """Whether that changes the set's size; if not, nothing of it is changed."""
    if one.replicas == replicas:
        return False
    one.replicas = replicas
    annotate_sizes(deployment, one)
    return True


def is_due(deployment: Deployment, sets: Iterable[ReplicaSet]) -> bool:
    """Whether the Deployment has got another size since its sets were sized."""
    return any(desired(one) not in (None, deployment.replicas) for one in active(sets))


def scale(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> None:
    """All to one set if there is only one; else in proportion, unless the new one has taken over."""
    if only := _only(new, old):
        only.replicas = deployment.replicas
        annotate_sizes(deployment, only)
    elif new is not None and _has_taken_over(deployment, new):
        for one in active(old):
            resize(deployment, one, 0)
    elif deployment.is_rolling:
        _share_out(deployment, active([*old, *([new] if new else [])]))
    else:  # the strategy was changed half-way: what it does next sets the sizes, this only must not be due for ever
        for one in active([*old, *([new] if new else [])]):
            annotate_sizes(deployment, one)


def _only(new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The one set with pods; if there is none, the new one, or the youngest."""
    having = active([*old, *([new] if new else [])])
    if having:
        return having[0] if len(having) == 1 else None
    return new or max(old, key=lambda one: one.created, default=None)


def _has_taken_over(deployment: Deployment, new: ReplicaSet) -> bool:
    return new.replicas == deployment.replicas == desired(new) == new.available


def _share_out(deployment: Deployment, sets: list[ReplicaSet]) -> None:
    allowed = deployment.replicas + deployment.max_surge if deployment.replicas > 0 else 0
    to_add = allowed - size(sets)
    # The largest first; among equals the youngest grows first, and the oldest shrinks first.
    sets = sorted(sorted(sets, key=lambda one: one.created, reverse=to_add > 0), key=lambda one: -one.replicas)
    added = 0
    sizes: list[int] = []
    for one in sets:
        share = _share(deployment, one, to_add - added)
        sizes.append(one.replicas + share)
        added += share
    if sizes:
        sizes[0] = max(0, sizes[0] + to_add - added)
    for one, replicas in zip(sets, sizes, strict=True):
        one.replicas = replicas
        annotate_sizes(deployment, one)


def _share(deployment: Deployment, one: ReplicaSet, left: int) -> int:
    """By how much the set grows, or shrinks if negative, of what is `left`."""
    if left == 0:
        return 0
    fraction = _fraction(deployment, one)
    return min(fraction, left) if left > 0 else max(fraction, left)


def _fraction(deployment: Deployment, one: ReplicaSet) -> int:
    """How much it would change if it kept its part of the whole."""
    if deployment.replicas == 0:
        return -one.replicas
    before = maximum(one) or int(deployment.status.get("replicas") or 0)
    if before == 0:
        return 0
    whole = one.replicas * (deployment.replicas + deployment.max_surge)
    return (2 * whole + before) // (2 * before) - one.replicas  # halves are rounded up
