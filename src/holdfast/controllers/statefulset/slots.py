"""The ordinals that pods are wanted for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator


class Slots:
    """So many ordinals from `start` on, those left out that are reserved: the end moves up for each of them."""

    def __init__(self, start: int, count: int, reserved: Iterable[int] = ()) -> None:
        """`reserved` are sorted; those below `start` and beyond the last slot mean nothing."""
        end = start + count
        self.left_out: list[int] = []
        for ordinal in reserved:
            if start <= ordinal < end:
                self.left_out.append(ordinal)
                end += 1
        self.span = range(start, end)
        """From the first slot to the last, with what is left out."""
        self._left_out = frozenset(self.left_out)

    def __contains__(self, ordinal: int) -> bool:
        return ordinal in self.span and ordinal not in self._left_out

    def __iter__(self) -> Iterator[int]:
        return (ordinal for ordinal in self.span if ordinal not in self._left_out)

    def __len__(self) -> int:
        return len(self.span) - len(self.left_out)

    def index(self, ordinal: int) -> int:
        """How many slots lie below: what `partition` counts (S89)."""
        return ordinal - self.span.start - bisect_left(self.left_out, ordinal)
