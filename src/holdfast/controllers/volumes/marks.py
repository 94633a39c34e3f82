"""Which directories are being made: written down before there is one, until the API knows of it (V40)."""

from __future__ import annotations

import os
from pathlib import Path

MARKS = ".making"


def put(path: str, text: str = "") -> None:
    """`text` is for whoever finds the mark. Raises OSError."""
    mark = _mark(path)
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch(mode=0o600)
    if text:
        mark.write_text(text)


def take_away(path: str) -> None:
    """Raises OSError."""
    _mark(path).unlink(missing_ok=True)


def is_there(path: str) -> bool:
    return _mark(path).exists()


def read(path: str) -> str:
    """Empty too if there is no mark."""
    try:
        return _mark(path).read_text()
    except FileNotFoundError:
        return ""


def all_below(root: str) -> list[str]:
    """The marked names, sorted."""
    try:
        return sorted(os.listdir(Path(root) / MARKS))
    except FileNotFoundError:
        return []


def _mark(path: str) -> Path:
    place = Path(path)
    return place.parent / MARKS / place.name
