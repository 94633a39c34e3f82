"""Which ControllerRevision is the present template's, and which are history (W42)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create, Patch
from holdfast.controllers.content_hash import canonical, hash_of
from holdfast.controllers.revisions import build, data_of, delete, in_order, means, name_of, number_of, renumber

from .views import HASH_LABEL, DaemonSet

LONGEST_NAME = 253

Find = Callable[[str], Manifest | None]
"""The revision of that name in the set's namespace, whoever owns it."""


@dataclass(frozen=True, slots=True)
class History:
    """The revisions that matter, and what brings them about."""

    current: Manifest
    old: Sequence[Manifest]
    """Oldest first."""
    collisions: int
    """How often a name was found taken so far."""
    before: Sequence[Action] = ()
    """Nothing else may go ahead without these."""

    @property
    def hash(self) -> str:
        return _hash(self.current)


def decide(daemon_set: DaemonSet, revisions: Sequence[Manifest], pods: Iterable[Manifest], taken: Find) -> History:
    """The set's revisions sorted out; the present template gets one if it has none, and it is the newest."""
    collisions = int(daemon_set.status.get("collisionCount") or 0)
    labelled = [_labelled(one) for one in revisions if not _hash(one)]
    revisions = in_order([one if _hash(one) else _with_hash(one) for one in revisions])
    same = _same(daemon_set, revisions)
    old = [one for one in revisions if one not in same]
    number = max(map(number_of, old), default=0) + 1
    if not same:
        current, created, collisions = _create(daemon_set, number, taken, collisions)
        return History(current, old, collisions, (*labelled, *created))
    *doubles, current = same
    before = [*labelled, *_merge(doubles, current, pods)]
    if number_of(current) < number:
        before.append(renumber(current, number))
    return History(current, old, collisions, before)


def superfluous(daemon_set: DaemonSet, history: History, pods: Iterable[Manifest]) -> list[Action]:
    """Deletes the oldest revisions beyond the limit, of those that no pod stands on."""
    live = {(pod["metadata"].get("labels") or {}).get(HASH_LABEL) for pod in pods}
    excess = max(0, len(history.old) - daemon_set.history_limit)
    return [delete(one) for one in [one for one in history.old if _hash(one) not in live][:excess]]


def _same(daemon_set: DaemonSet, revisions: Sequence[Manifest]) -> list[Manifest]:
    """Those of the present template, in order; else the newest, if it means the same (W117)."""
    data = data_of(daemon_set.template)
    if same := [one for one in revisions if one.get("data") == data]:
        return same
    encoded = canonical(data)
    if same := [one for one in revisions if canonical(one.get("data")) == encoded]:
        return same
    return [one for one in revisions[-1:] if means(DAEMON_SETS, daemon_set.manifest, one, encoded)]


def _create(
    daemon_set: DaemonSet, number: int, taken: Find, collisions: int
) -> tuple[Manifest, tuple[Action, ...], int]:
    """A new revision, under the first name that is free; one of the same data that has the name is used."""
    encoded, data = canonical(daemon_set.template), canonical(data_of(daemon_set.template))
    while True:
        hash = hash_of(encoded, collisions)
        name = f"{daemon_set.name[: LONGEST_NAME - len(hash) - 1]}-{hash}"
        holder = taken(name)
        if holder is None:
            break
        if canonical(holder.get("data")) == data:
            return (holder if _hash(holder) else _with_hash(holder)), (), collisions
        collisions += 1
    revision = build(DAEMON_SETS, daemon_set.manifest, name, number, (HASH_LABEL, hash))
    return revision, (Create(CONTROLLER_REVISIONS, revision),), collisions


def _merge(doubles: Sequence[Manifest], current: Manifest, pods: Iterable[Manifest]) -> list[Action]:
    """Of several revisions of one template the newest stays, and pods of the others become its own."""
    hashes = {_hash(one) for one in doubles} - {_hash(current)}
    relabelled = []
    for pod in pods:
        metadata = pod["metadata"]
        if (metadata.get("labels") or {}).get(HASH_LABEL) in hashes:
            patch = {"metadata": {"uid": metadata["uid"], "labels": {HASH_LABEL: _hash(current)}}}
            relabelled.append(Patch(PODS, metadata["namespace"], metadata["name"], patch))
    return [*relabelled, *map(delete, doubles)]


def _hash(revision: Manifest) -> str:
    return str((revision["metadata"].get("labels") or {}).get(HASH_LABEL, ""))


def _with_hash(revision: Manifest) -> Manifest:
    """A revision of somebody else's making is told by its name."""
    metadata = revision["metadata"]
    labels = {**(metadata.get("labels") or {}), HASH_LABEL: name_of(revision)}
    return {**revision, "metadata": {**metadata, "labels": labels}}


def _labelled(revision: Manifest) -> Patch:
    metadata = revision["metadata"]
    patch = {"metadata": {"uid": metadata["uid"], "labels": {HASH_LABEL: name_of(revision)}}}
    return Patch(CONTROLLER_REVISIONS, metadata["namespace"], metadata["name"], patch)
