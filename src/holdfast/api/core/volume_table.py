"""Cells that claims and volumes share (V5, V12)."""

from __future__ import annotations

from collections.abc import Iterable

_SHORT = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def access_modes(modes: Iterable[str]) -> str:
    """`RWO,ROX`: always in this order, each once."""
    given = set(modes)
    return ",".join(short for mode, short in _SHORT.items() if mode in given)
