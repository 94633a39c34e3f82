"""Equality by meaning: absent equals empty, quantities compare by value (S177)."""

from __future__ import annotations

from typing import Any

from . import quantity

_AMOUNTS = frozenset({"requests", "limits", "capacity", "allocatable", "hard", "used", "allocatedResources"})


def same(one: Any, other: Any) -> bool:
    """Whether two defaulted values mean the same to the API server."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same_member(name, one.get(name), other.get(name)) for name in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return (one == other and type(one) is type(other)) or (_is_empty(one) and _is_empty(other))


def _same_member(name: str, one: Any, other: Any) -> bool:
    if name in _AMOUNTS and isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(quantity.compare(one[key], other[key]) == 0 for key in one)
    return same(one, other)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}
