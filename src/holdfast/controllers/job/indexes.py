"""Sets of completion indexes as status writes them: `0-2,5` (W55)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def parse(text: str, below: int) -> frozenset[int]:
    """The indexes that `text` names, without those at or above `below`; what cannot be read is left out."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first.isdigit() and (last.isdigit() or not dash):
            found.update(range(int(first), min(int(last) if dash else int(first), below - 1) + 1))
    return frozenset(found)


def show(indexes: Iterable[int]) -> str:
    """In order; three or more in a row as `first-last`."""
    return ",".join(_show_run(first, last) for first, last in _runs(indexes))


def _show_run(first: int, last: int) -> str:
    return f"{first}-{last}" if last > first + 1 else f"{first},{last}" if last > first else f"{first}"


def _runs(indexes: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for index in sorted(indexes):
        if last is not None and first is not None:
            if index == last + 1:
                last = index
                continue
            yield first, last
        first = last = index
    if first is not None and last is not None:
        yield first, last
