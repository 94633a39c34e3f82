"""How long a node's failed daemon is left where it is, so that a pod that the node refuses is not made in a loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

FIRST_S, LONGEST_S = 1.0, 900.0
FORGOTTEN_AFTER_S = 2 * LONGEST_S


@dataclass(frozen=True, slots=True)
class _Last:
    """The last failed pod that was deleted."""

    at: datetime
    wait_s: float


@dataclass(slots=True)
class _OfSet:
    generation: int
    nodes: dict[str, _Last] = field(default_factory=dict)


class FailedPods:
    """What is remembered of failed pods, by set and node. A new spec of the set starts from nothing (W41)."""

    def __init__(self) -> None:
        self._sets: dict[str, _OfSet] = {}

    def note(self, uid: str, generation: int, node: str, now: datetime) -> None:
        """A failed pod of the set of that uid was deleted: the next one waits, each time twice as long."""
        of_set = self._sets.get(uid)
        if of_set is None or of_set.generation != generation:
            of_set = self._sets[uid] = _OfSet(generation)
        last = of_set.nodes.get(node)
        is_first = last is None or now - last.at > timedelta(seconds=FORGOTTEN_AFTER_S)
        wait_s = FIRST_S if is_first or last is None else min(2 * last.wait_s, LONGEST_S)
        of_set.nodes[node] = _Last(now, wait_s)

    def waits(self, uid: str, generation: int, now: datetime) -> dict[str, float]:
        """Seconds until a failed pod may be deleted, by node; nodes where it may be now are left out."""
        of_set = self._sets.get(uid)
        if of_set is None or of_set.generation != generation:
            return {}
        left = {node: last.wait_s - (now - last.at).total_seconds() for node, last in of_set.nodes.items()}
        return {node: wait_s for node, wait_s in left.items() if wait_s > 0}

    def forget(self, uid: str) -> None:
        """The set is gone."""
        self._sets.pop(uid, None)
