"""The history of a set's template, as ControllerRevisions (chapter 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create
from holdfast.controllers.content_hash import canonical, hash_of
from holdfast.controllers.revisions import build, data_of, means, name_of, number_of, renumber

from .views import Find, StatefulSet

HASH_LABEL = "controller.kubernetes.io/hash"

_LONGEST_PREFIX = 223


@dataclass(frozen=True, slots=True)
class History:
    """The revisions that matter in this sync, and what brings them about."""

    current: Manifest
    update: Manifest
    collisions: int
    before: tuple[Action, ...] = ()
    """Creates the update revision, or makes an old one the newest; nothing else may go ahead without."""

    @property
    def current_name(self) -> str:
        return name_of(self.current)

    @property
    def update_name(self) -> str:
        return name_of(self.update)


def decide(statefulset: StatefulSet, revisions: Sequence[Manifest], taken: Find) -> History:
    """The current and the update revision (S72-S78).

    `revisions` are the set's, oldest first; `taken` finds any of the namespace by name.
    """
    collisions = int(statefulset.status.get("collisionCount") or 0)
    update, before, collisions = _update_revision(statefulset, revisions, taken, collisions)
    wanted = statefulset.status.get("currentRevision", "")
    current = next((revision for revision in revisions if name_of(revision) == wanted), update)
    return History(current, update, collisions, before)


def _update_revision(
    statefulset: StatefulSet, revisions: Sequence[Manifest], taken: Find, collisions: int
) -> tuple[Manifest, tuple[Action, ...], int]:
    data = data_of(statefulset.template)
    if revisions and revisions[-1].get("data") == data:
        return revisions[-1], (), collisions
    number = number_of(revisions[-1]) + 1 if revisions else 1
    encoded = canonical(data)
    for revision in reversed(revisions):
        if canonical(revision.get("data")) == encoded:
            return (
                (revision, (), collisions) if revision is revisions[-1] else _renumbered(revision, number, collisions)
            )
    if revisions and means(STATEFUL_SETS, statefulset.manifest, revisions[-1], encoded):
        return revisions[-1], (), collisions
    return _created(statefulset, encoded, number, taken, collisions)


def _renumbered(revision: Manifest, number: int, collisions: int) -> tuple[Manifest, tuple[Action, ...], int]:
    return {**revision, "revision": number}, (renumber(revision, number),), collisions


def _created(
    statefulset: StatefulSet,
    encoded: bytes,
    number: int,
    taken: Find,
    collisions: int,
) -> tuple[Manifest, tuple[Action, ...], int]:
    """A new revision, under the first name that is free; one of the same data that has the name is used (S76, S77)."""
    first_hash = hash_of(encoded, collisions)
    while True:
        name = f"{statefulset.name[:_LONGEST_PREFIX]}-{hash_of(encoded, collisions)}"
        holder = taken(name)
        if holder is None:
            break
        if canonical(holder.get("data")) == encoded:
            return holder, (), collisions
        collisions += 1
    revision = build(STATEFUL_SETS, statefulset.manifest, name, number, (HASH_LABEL, first_hash))
    return revision, (Create(CONTROLLER_REVISIONS, revision),), collisions


def superfluous(statefulset: StatefulSet, revisions: Sequence[Manifest], live: set[str]) -> list[Manifest]:
    """The oldest of the revisions that nobody uses, as many as are beyond the limit (S84)."""
    limit = statefulset.revision_history_limit
    history = [revision for revision in revisions if name_of(revision) not in live]
    return history[: len(history) - limit] if 0 <= limit < len(history) else []
