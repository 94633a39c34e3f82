"""Laying a configuration over an object, and taking out of an object what nobody owns any more (A139, A147)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from .nodes import LIST_MAP, MAP, NEVER, SEPARATOR, SET, STRUCT, Node
from .owned import form


def merged(node: Node, live: Any, config: Any) -> Any:
    """`live` overlaid with `config`, which wins. Neither is changed; what is shared stays shared."""
    kind = form(node, config)
    if live is None or config is None:
        return config
    if kind in (STRUCT, MAP) and isinstance(live, dict):
        return _members(node, live, config)
    if kind == LIST_MAP:
        return _items(node, live, config)
    if kind == SET:
        return _ordered(live, config)
    return config


def _members(node: Node, live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    result = dict(live)
    for name, value in config.items():
        result[name] = merged(node.children[name], live.get(name), value) if name in live else value
    return result


def _items(node: Node, live: Sequence[Any], config: Sequence[Any]) -> list[Any]:
    keys = [node.key_of(item) for item in live]
    before: dict[Any, deque[Any]] = {}  # validation lets some items share a key, such as variables of one name
    for key, item in zip(keys, live, strict=True):
        before.setdefault(key, deque()).append(item)
    after = {node.key_of(item): item for item in config}
    result = []
    for key in _ordered(keys, list(after)):
        if key not in after:
            result.append(before[key].popleft())
        elif key in before:
            result.append(merged(node.children[key], before[key][0], after[key]))
        else:
            result.append(after[key])
    return result


def _ordered(live: Sequence[Any], config: Sequence[Any]) -> list[Any]:
    """All keys: the configuration's in its order, the others where they stood relative to those in both."""
    wanted, present = set(config), set(live)
    shared = deque(key for key in config if key in present)
    result: list[Any] = []
    done: set[Any] = set()
    place = 0
    for key in config:
        while place < len(live):
            here = live[place]
            if here not in wanted:
                result.append(here)
            elif here not in done and not (shared and here != shared[0]):
                break
            place += 1
        result.append(key)
        done.add(key)
        if shared and shared[0] == key:
            shared.popleft()
        if place < len(live) and live[place] == key:
            place += 1
    return result + [key for key in live[place:] if key not in wanted]


def without(node: Node, manifest: dict[str, Any], gone: frozenset[str]) -> dict[str, Any]:
    """The object without what lies at or below the paths in `gone`. Nothing is changed in place."""
    if not gone:
        return manifest
    passed = {path[:at] for path in gone for at in _separators(path)}
    return _reduced(node, manifest, gone, passed) or {}


def _separators(path: str) -> list[int]:
    return [at for at, letter in enumerate(path) if letter == SEPARATOR]


def _reduced(node: Node, value: Any, gone: frozenset[str], passed: set[str]) -> Any:
    """None if nothing is left."""
    kind = form(node, value)
    if kind in (STRUCT, MAP):
        kept = {
            name: left
            for name, entry in (value or {}).items()
            if (left := _left(node.children[name], entry, gone, passed)) is not None or entry is None
        }
        return kept or None
    if kind in (LIST_MAP, SET):
        pairs = ((node.children[node.key_of(item)], item) for item in value or ())
        items = [left for child, item in pairs if (left := _left(child, item, gone, passed)) is not None]
        return items or None
    return value


def _left(child: Node, value: Any, gone: frozenset[str], passed: set[str]) -> Any:
    if child.form == NEVER:
        return value
    if child.path in gone:
        return None
    return _reduced(child, value, gone, passed) if child.path in passed else value
