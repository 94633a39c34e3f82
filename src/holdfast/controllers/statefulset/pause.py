"""A set whose updates are paused: pods that come back are of the revision they had (docs/beyond.md).

What revision a pod had cannot be seen once it is gone. So the revisions of all are noted in an annotation when the
pause is first seen, and the note is taken away with the pause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.apps.stateful_set_beyond import PAUSED_REVISIONS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Patch
from holdfast.controllers.revisions import name_of

from .replicas import Replicas
from .revisions import History
from .views import StatefulSet

Runs = Sequence[tuple[range, str]]
"""Ordinals, and the revision that their pods have."""

_RUN = re.compile(r"([0-9]{1,10})-([0-9]{1,10})=([^,=]+)", re.ASCII)


def note(statefulset: StatefulSet, replicas: Replicas) -> list[Action]:
    """Writes the note, or takes it away, if that is to be done."""
    is_noted = PAUSED_REVISIONS in _annotations(statefulset)
    if statefulset.beyond.is_paused == is_noted:
        return []
    revisions = {pod.ordinal: pod.revision for pod in replicas.pods if pod.ordinal is not None and pod.revision}
    text = _written(revisions) if statefulset.beyond.is_paused else None
    patch = {"metadata": {"uid": statefulset.uid, "annotations": {PAUSED_REVISIONS: text}}}
    return [Patch(STATEFUL_SETS, statefulset.namespace, statefulset.name, patch)]


def noted(statefulset: StatefulSet) -> Runs:
    """What the note says; what cannot be understood of it is left out."""
    parts = map(_RUN.fullmatch, _annotations(statefulset).get(PAUSED_REVISIONS, "").split(","))
    return [(range(int(match[1]), int(match[2]) + 1), match[3]) for match in parts if match]


def revision_for(statefulset: StatefulSet, ordinal: int, history: History, revisions: Sequence[Manifest]) -> Manifest:
    """The revision of a pod that is missing: of the set's `revisions` the one it had, for a new pod the current."""
    name = next((revision for ordinals, revision in noted(statefulset) if ordinal in ordinals), "")
    return next((revision for revision in revisions if name_of(revision) == name), history.current)


def holds_back(statefulset: StatefulSet, replicas: Replicas, update_name: str) -> bool:
    """Whether a pause keeps something from being updated."""
    return statefulset.beyond.is_paused and bool(replicas.outdated(update_name) or replicas.not_grown)


def _written(revisions: Mapping[int, str]) -> str:
    """`0-3=web-57477469df,4-4=web-6578754d74`"""
    return ",".join(f"{run[0]}-{run[-1]}={name}" for run, name in _runs(sorted(revisions.items())))


def _runs(pairs: Iterable[tuple[int, str]]) -> Iterable[tuple[list[int], str]]:
    """Neighbours of one revision together. What grows along a run is both ordinal and position."""
    numbered = enumerate(pairs)
    for (_, name), group in groupby(numbered, key=lambda each: (each[1][0] - each[0], each[1][1])):
        yield [ordinal for _, (ordinal, _) in group], name


def _annotations(statefulset: StatefulSet) -> Mapping[str, str]:
    return statefulset.manifest["metadata"].get("annotations") or {}
