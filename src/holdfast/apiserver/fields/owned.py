"""Which paths an object has, and which of them differ between two states of it."""

from __future__ import annotations

from typing import Any

import msgspec

from .nodes import ANY, LEAF, LIST_MAP, MAP, NEVER, SET, STRUCT, Node

WORTH_REMEMBERING = 4
"""Items with so many members are looked up by what they say: containers are the same in all pods of a set."""
KNOWN_ITEMS = 1024
KNOWN_ITEM_BYTES = 4096

_encode = msgspec.json.encode
_ABSENT = object()
_BY_NAME = (STRUCT, MAP)
_BY_ITEM = (LIST_MAP, SET)


def form(node: Node, value: Any) -> int:
    """What a value is owned as; where no schema says, its looks decide."""
    if node.form != ANY:
        return node.form
    return MAP if isinstance(value, dict) else LEAF


# -- what a configuration owns


def configured(node: Node, value: Any, found: set[str]) -> None:
    """Adds what applying `value` owns (A137): its leaves, and the items that hold them."""
    kind = form(node, value)
    if kind == LEAF:
        found.add(node.path)
    elif kind in _BY_NAME:
        children = node.children
        for name, entry in (value or {}).items():
            child = children[name]
            if child.form == NEVER:
                continue
            if entry is None or entry == {} or kind == MAP:
                found.add(child.path)
            if entry is not None:
                configured(child, entry, found)
    elif kind in _BY_ITEM:
        for item in value or ():
            child = node.children[node.key_of(item)]
            found.add(child.path)
            if kind == LIST_MAP:
                configured(child, item, found)


# -- what an update owns


def difference(node: Node, old: dict[str, Any], new: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The paths that were added or have changed, and those that have gone (A139, A143)."""
    changed: set[str] = set()
    removed: set[str] = set()
    _compare_members(node, old, new, changed, removed)
    return changed, removed


def _compare(node: Node, old: Any, new: Any, changed: set[str], removed: set[str]) -> None:
    kind = form(node, new if new is not None else old)
    if kind in _BY_NAME and (old is None or isinstance(old, dict)):
        _compare_members(node, old or {}, new or {}, changed, removed)
    elif kind in _BY_ITEM:
        _compare_items(node, old or (), new or (), changed, removed)
    elif kind in _BY_NAME:  # of no declared type: a leaf has become a map
        removed.add(node.path)
        _gather(node, new, changed, is_new=True)
    elif kind != NEVER:
        if isinstance(old, dict) and node.form == ANY:
            _gather(node, old, removed, is_new=True)
        changed.add(node.path)


def _compare_members(
    node: Node, old: dict[str, Any], new: dict[str, Any], changed: set[str], removed: set[str]
) -> None:
    children = node.children
    for name, value in new.items():
        before = old.get(name, _ABSENT)
        if before is value or before == value:
            continue
        child = children[name]
        if before is _ABSENT:
            _gather(child, value, changed, is_new=child.is_nullable)
        else:
            _compare(child, before, value, changed, removed)
    for name, value in old.items():
        if name not in new:
            child = children[name]
            _gather(child, value, removed, is_new=child.is_nullable)


def _compare_items(node: Node, old: Any, new: Any, changed: set[str], removed: set[str]) -> None:
    key_of, children = node.key_of, node.children
    before = {key_of(item): item for item in old}
    after = {key_of(item): item for item in new}
    for key, item in after.items():
        was = before.get(key, _ABSENT)
        if was is item or was == item:
            continue
        if was is _ABSENT:
            _gather(children[key], item, changed, is_new=True)
        else:
            _compare(children[key], was, item, changed, removed)
    for key, item in before.items():
        if key not in after:
            _gather(children[key], item, removed, is_new=True)


def _gather(node: Node, value: Any, found: set[str], *, is_new: bool) -> None:
    """Adds all that came, or went, with `value`: leaves, and what holds them unless it is there anyhow."""
    kind = node.form
    if kind == ANY:
        kind = form(node, value)
    if kind == LEAF:
        found.add(node.path)
        return
    if kind == NEVER:
        return
    if is_new:
        found.add(node.path)
    if not value:
        return
    children = node.children
    if kind in _BY_NAME:
        for name, entry in value.items():
            child = children[name]
            if child.form == LEAF:
                found.add(child.path)
            else:
                _gather(child, entry, found, is_new=is_new or child.is_nullable)
    elif kind == LIST_MAP:
        key_of = node.key_of
        for item in value:
            child = children[key_of(item)]
            if len(item) < WORTH_REMEMBERING:
                _gather(child, item, found, is_new=True)
            else:
                found |= _remembered(child, item)
    else:
        for item in value:
            found.add(children[node.key_of(item)].path)


def _remembered(node: Node, item: Any) -> frozenset[str]:
    """What `_gather` finds in a new item."""
    known = node.tree.items
    key = node.path, _encode(item)
    paths = known.get(key)
    if paths is None:
        found: set[str] = set()
        _gather(node, item, found, is_new=True)
        paths = frozenset(found)
        if len(key[1]) < KNOWN_ITEM_BYTES:
            if len(known) >= KNOWN_ITEMS:
                known.clear()
            known[key] = paths
    return paths
