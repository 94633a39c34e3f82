"""What creating and updating do to ownership (A143, A144, A149)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from holdfast.api.resource import Manifest

from .entries import UPDATE, Entry, Malformed, bounded, read, write
from .owned import difference
from .scope import Scope

BEFORE_FIRST_APPLY = "before-first-apply"

Managed = Sequence[dict[str, Any]]


def basis(given: Any, live: Managed, *, is_subresource: bool) -> Managed:
    """The managed fields that a write starts from: what its body says if that makes sense, else the stored ones.

    Empty if the body resets them, by an empty list or one empty entry.
    """
    if is_subresource or given is None or given is live:
        return live
    if given in ([], [{}]):
        return []
    if given == live:
        return live
    try:
        return write(read(given)) or live
    except (Malformed, AttributeError, TypeError):
        return live


def created(scope: Scope, manifest: Manifest, manager: str, now: str, given: Any = None) -> Managed:
    """Everything in a new object, defaults included, is its creator's."""
    return _updated(scope, {}, manifest, basis(given, [], is_subresource=False), manager, now)


def updated(scope: Scope, old: Manifest, new: Manifest, managed: Managed, manager: str, now: str) -> Managed:
    """The writer gains what it has added and changed; everybody else loses that, and what has gone.

    `managed` itself if nothing of it changes. An object without managed fields stays without until an apply.
    """
    if not managed:
        return managed
    return _updated(scope, old, new, managed, manager, now)


def _updated(scope: Scope, old: Manifest, new: Manifest, managed: Managed, manager: str, now: str) -> Managed:
    try:
        changed, removed = difference(scope.tree.root, scope.reduced(old), scope.reduced(new))
        return _moved(scope, changed, removed, managed, manager, now)
    except (Malformed, RecursionError):  # a write is not refused for what cannot be tracked
        return managed
    except (AttributeError, TypeError):
        if scope.resource.custom is None:
            raise  # decoding has seen to it that built-in kinds have their form
        return managed  # of a custom kind validation is about to say what is wrong


def _moved(scope: Scope, changed: set[str], removed: set[str], managed: Managed, manager: str, now: str) -> Managed:
    gained = scope.owned(changed)
    if not gained and not removed:
        return managed
    me = Entry(manager, UPDATE, scope.resource.api_version, scope.subresource, now, gained)
    if not managed:
        return write([me])
    lost = removed | changed
    entries = []
    for entry in read(managed):
        if entry.identity == me.identity:
            paths = entry.paths - removed | gained
            me = replace(me, paths=paths, time=now if gained else entry.time)
        else:
            entries.append(entry if entry.paths.isdisjoint(lost) else replace(entry, paths=entry.paths - lost))
    if me.paths:
        entries.append(me)
    return write(bounded([entry for entry in entries if entry.paths]))


def credited(scope: Scope, live: Manifest, managed: Managed, now: str) -> list[Entry]:
    """The entries that an apply starts from: an object that nobody tracked belongs to those before it (A144)."""
    try:
        entries = read(managed)
    except Malformed:
        entries = []
    if entries:
        return entries
    return read(created(scope, live, BEFORE_FIRST_APPLY, now))
