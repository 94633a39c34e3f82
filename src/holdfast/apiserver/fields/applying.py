"""Server-side apply: what a configuration makes of an object, and of who owns what (A139-A142)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.api.errors import Conflict, FieldError, show
from holdfast.api.resource import Manifest

from .entries import APPLY, Entry, Paths
from .merging import merged, without
from .nodes import SEPARATOR
from .owned import configured, difference
from .scope import METADATA, Scope


@dataclass(frozen=True, slots=True)
class Applied:
    """The object that results, which shares parts with the live one, and its entries."""

    manifest: Manifest
    entries: list[Entry]


def apply(
    scope: Scope, live: Manifest, config: Manifest, entries: Sequence[Entry], manager: str, *, force: bool, now: str
) -> Applied:
    """Lays `config` over `live` and moves ownership. Raises FieldConflict where others own what it changes."""
    root = scope.tree.root
    config = scope.reduced(config)
    me = Entry(manager, APPLY, scope.resource.api_version, scope.subresource, paths=field_set(scope, config))
    before = next((entry for entry in entries if entry.identity == me.identity), None)
    others = [entry for entry in entries if entry is not before]
    result = merged(root, live, config)
    if before is not None:
        result = without(root, result, _abandoned(scope, before.paths, [me, *others]))
    changed, removed = difference(root, scope.reduced(live), scope.reduced(result))
    conflicts = [(entry, entry.paths & changed) for entry in others]
    if not force and any(paths for _, paths in conflicts):
        raise FieldConflict([(entry, paths) for entry, paths in conflicts if paths])
    is_same = not changed and not removed
    me = replace(me, time=now if not is_same else before.time if before is not None else "")
    lost = changed | removed
    others = [entry if entry.paths.isdisjoint(lost) else replace(entry, paths=entry.paths - lost) for entry in others]
    return Applied(result, [entry for entry in (me, *others) if entry.paths])


def field_set(scope: Scope, config: Manifest) -> Paths:
    """What a configuration owns once it is applied (A137)."""
    found: set[str] = set()
    configured(scope.tree.root, config, found)
    return scope.owned(found)


def _abandoned(scope: Scope, last: Paths, owners: Iterable[Entry]) -> Paths:
    """What the manager owned and now nobody does."""
    closed = scope.tree.with_named_ancestors
    owned = frozenset[str]().union(*[entry.paths for entry in owners])
    if last <= owned:
        return frozenset()
    return closed(last) - closed(owned) - {METADATA}


class FieldConflict(Conflict):
    """Others own what an apply would change (A140)."""

    def __init__(self, conflicts: Sequence[tuple[Entry, Paths]]) -> None:
        found = sorted(((_owner(entry), entry, paths) for entry, paths in conflicts), key=lambda one: _rank(one[1]))
        lines, causes = [], []
        for owner, _, paths in found:
            fields = sorted(shown(path) for path in paths)
            lines.append((owner, fields))
            causes += [FieldError(field, "FieldManagerConflict", f"conflict with {owner}") for field in fields]
        self.conflicts = conflicts
        if len(causes) == 1:
            text = f"1 conflict: conflict with {lines[0][0]}: {causes[0].field}"
        else:
            blocks = ["\n- ".join([f"conflicts with {owner}:", *fields]) for owner, fields in lines]
            text = f"{len(causes)} conflicts: {chr(10).join(blocks)}"
        super().__init__(f"Apply failed with {text}", causes=causes)

    @property
    def paths(self) -> Paths:
        return frozenset[str]().union(*[paths for _, paths in self.conflicts])

    def beyond(self, allowed: Paths) -> FieldConflict:
        """The same, without the paths in `allowed`."""
        left = [(entry, paths - allowed) for entry, paths in self.conflicts]
        return FieldConflict([(entry, paths) for entry, paths in left if paths])


def _rank(entry: Entry) -> tuple[str, ...]:
    return entry.manager, entry.operation, entry.api_version, entry.subresource


def _owner(entry: Entry) -> str:
    owner = show(entry.manager)
    if entry.subresource:
        owner += f" with subresource {show(entry.subresource)}"
    if entry.operation != APPLY:
        owner += f" using {entry.api_version}"
    return owner


def shown(path: str) -> str:
    """A path as people read it: `.spec.containers[name="x"].image`."""
    return "".join(_shown(element) for element in path.split(SEPARATOR))


def _shown(element: str) -> str:
    kind, _, text = element.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "k":
        return f"[{key_text(_decoded(text))}]"
    return f"[={text}]" if kind == "v" else f"[{text}]"


def _decoded(text: str) -> dict[str, Any]:
    import msgspec

    keys: dict[str, Any] = msgspec.json.decode(text)
    return keys


def key_text(keys: dict[str, Any]) -> str:
    """`port=80,protocol="TCP"`."""
    return ",".join(f"{name}={show(value)}" for name, value in sorted(keys.items()))
