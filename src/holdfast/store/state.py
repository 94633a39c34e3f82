"""Committed state in memory: the current entries in order, and the changes that led there, for a while."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import Change, Compacted, Entry, FutureRevision, Page

_TRIM_AT = 256
"""Changes are forgotten that many at a time: each time moves the rest."""


@dataclass(frozen=True, slots=True)
class Window:
    """How much history is kept."""

    seconds: float = 300.0
    least_changes: int = 4096
    """Kept however old they are."""
    most_bytes: int = 128 << 20
    """Of values; beyond it even young changes go."""


class State:
    """What `Store` says of reads, as plain data. Revisions are consecutive: each change is one more."""

    def __init__(self, window: Window) -> None:
        self.revision = 0
        self.oldest = 0
        self.entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._history: list[Change] = []
        self._history_bytes = 0
        self._window = window
        self._marks: deque[tuple[float, int]] = deque()
        self._bucket = 0.0

    def load(self, entries: dict[str, Entry], history: list[Change], oldest: int, revision: int) -> None:
        """Replaces everything. `history` is all changes above `oldest`; its age starts at the first `trim`."""
        self.entries = entries
        self._keys = sorted(entries)
        self._history = history
        self._history_bytes = sum(len(change.value) for change in history)
        self.oldest = oldest
        self.revision = revision

    def apply(self, change: Change, entry: Entry | None) -> None:
        """Takes in the next change; `entry` is what the key holds now, None after a deletion."""
        assert change.revision == self.revision + 1
        key = change.key
        if entry is not None:
            if key not in self.entries:
                insort(self._keys, key)
            self.entries[key] = entry
        else:
            del self.entries[key]
            del self._keys[bisect_left(self._keys, key)]
        self._history.append(change)
        self._history_bytes += len(change.value)
        self.revision = change.revision

    def after(self, revision: int) -> Sequence[Change]:
        """Every change above `revision`, oldest first. Raises Compacted."""
        if revision < self.oldest:
            raise Compacted(revision, self.oldest)
        if revision >= self.revision:
            return ()
        return self._history[revision - self.revision :]

    def range(self, prefix: str, at: int, limit: int, start: str) -> Page:
        """See `Store.range`. A past revision costs as much as there have been changes since."""
        if at > self.revision:
            raise FutureRevision(at)
        if at == 0 or at == self.revision:
            return self._current(prefix, limit, start)
        past = self._past(prefix, at)
        keys = [key for key in sorted(past) if key >= start]
        page = keys[:limit] if limit else keys
        entries = tuple([past[key] for key in page])
        more = len(keys) - len(page)
        return Page(entries, at, keys[len(page)] if more else "", more)

    def _current(self, prefix: str, limit: int, start: str) -> Page:
        keys, entries = self._keys, self.entries
        first = bisect_left(keys, max(prefix, start))
        end = self._end(prefix)
        last = min(first + limit, end) if limit else end
        page = tuple([entries[key] for key in keys[first:last]])
        return Page(page, self.revision, keys[last] if last < end else "", max(end - last, 0))

    def _past(self, prefix: str, at: int) -> dict[str, Entry]:
        """What was under `prefix` at revision `at`: the present with the changes since undone."""
        undone: dict[str, Entry | None] = {}
        for change in reversed(self.after(at)):
            if change.key.startswith(prefix):
                undone[change.key] = change.previous
        past = {key: self.entries[key] for key in self._keys[bisect_left(self._keys, prefix) : self._end(prefix)]}
        for key, entry in undone.items():
            if entry is None:
                past.pop(key, None)
            else:
                past[key] = entry
        return past

    def _end(self, prefix: str) -> int:
        """The position behind the last key under `prefix`."""
        while prefix:
            if prefix[-1] < "\U0010ffff":
                return bisect_left(self._keys, prefix[:-1] + chr(ord(prefix[-1]) + 1))
            prefix = prefix[:-1]
        return len(self._keys)

    def trim(self, now_s: float) -> Iterable[Change]:
        """Forgets what has left the window, and returns it. `now_s` must not run backwards."""
        window, marks = self._window, self._marks
        bucket = now_s // (window.seconds / 64)
        if marks and bucket == self._bucket:
            marks.pop()  # one mark for the changes of some seconds, not one for each
        self._bucket = bucket
        marks.append((now_s, self.revision))
        forget = self.oldest
        while marks and now_s - marks[0][0] > window.seconds:
            forget = max(forget, marks.popleft()[1])
        forget = min(forget, self.revision - window.least_changes)
        if forget - self.oldest >= _TRIM_AT:
            return self.forget(forget)
        if self._history_bytes > window.most_bytes:
            return self.forget(self.oldest + len(self._history) // 2)
        return ()

    def forget(self, before: int) -> Iterable[Change]:
        """Makes `before` the oldest revision, and returns the changes forgotten."""
        before = min(before, self.revision)
        if before <= self.oldest:
            return ()
        count = before - self.oldest
        forgotten = self._history[:count]
        del self._history[:count]
        self._history_bytes -= sum(len(change.value) for change in forgotten)
        self.oldest = before
        return forgotten
