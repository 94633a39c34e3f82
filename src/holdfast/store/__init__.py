"""Keys and their revisions, durably: the interface, and its backends `memory` and `sqlite`.

Knows no Kubernetes. One counter numbers all writes. A value is opaque bytes, but since the bytes in
the store are the bytes on the wire and those carry their own revision, a writer hands in a function
from the revision to the bytes.

Reads see committed state; expectations of a write are checked against the latest *assigned* state, so
that writers in one process never lose a race against the disk. A write is assigned its revision, in
call order, before `write` first suspends: a caller that reads `latest` and calls `write` without
awaiting anything in between cannot be overtaken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Encode = Callable[[int], bytes]
"""From the revision a write is assigned to the bytes to store."""

ABSENT = 0
"""As `expected`: the key must not exist."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value as of one write."""

    key: str
    value: bytes
    revision: int
    """The revision of the write that made this value."""


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write."""

    key: str
    revision: int
    value: bytes
    """The new value; of a deletion, the last state as the deleter encoded it."""
    is_delete: bool
    previous: Entry | None
    """What the key held before; None if it did not exist."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a range, in byte order of the keys."""

    entries: tuple[Entry, ...]
    revision: int
    """The revision at which all of `entries` were current."""
    next_key: str
    """The key at which to go on; empty at the end."""
    remaining: int
    """How many entries follow."""


class RevisionMismatch(Exception):
    """The key's latest revision is not the expected one: read `latest`, decide again."""

    def __init__(self, key: str, latest: Entry | None) -> None:
        super().__init__(key)
        self.key = key
        self.latest = latest


class Compacted(Exception):
    """The revision asked for is older than the history that is kept: list, then watch from there."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"revision {revision} is compacted, the oldest is {oldest}")
        self.revision = revision
        self.oldest = oldest


class FutureRevision(Exception):
    """The revision asked for has not been committed yet."""


class StoreFailed(Exception):
    """The store cannot be opened, or a commit failed: nothing more is accepted. Stop, restart, recover."""


class NoRoom(StoreFailed):
    """The disk is full: nothing more is accepted until there is room. What is being written may still be, then."""


class Store(Protocol):
    """What every backend offers. Used from one event loop."""

    @property
    def revision(self) -> int:
        """The latest committed revision; 0 in a store never written to."""

    @property
    def oldest_revision(self) -> int:
        """Watches and ranges may start at this revision or later; everything before is compacted."""

    async def open(self) -> None:
        """Loads the state. Before it returns, nothing else may be called."""

    async def close(self) -> None:
        """Commits what was accepted and lets go of the files."""

    def get(self, key: str) -> Entry | None:
        """The committed value."""

    def latest(self, key: str) -> Entry | None:
        """The value last assigned, perhaps not committed yet: what `expected` is compared with."""

    def range(self, prefix: str, *, at: int = 0, limit: int = 0, start: str = "") -> Page:
        """The committed entries under `prefix`, from key `start` on.

        `at` 0 means now; `limit` 0 means all. Raises Compacted, FutureRevision.
        """

    async def write(self, key: str, encode: Encode, *, expected: int | None = None) -> Entry:
        """Stores `encode(revision)`; returns once it is durable.

        `expected` is the revision the key must be at, ABSENT, or None for any. Raises RevisionMismatch,
        before anything is assigned.
        """

    async def delete(self, key: str, encode: Encode, *, expected: int | None = None) -> Change:
        """Removes the key; `encode(revision)` is its last state, for watchers. Returns once durable.

        Raises RevisionMismatch, also (with `latest` None) if there is no such key.
        """

    def listen(self, listener: Callable[[Sequence[Change]], None]) -> Callable[[], None]:
        """Calls `listener` with every committed change, in order, before its writer's await returns.

        Returns a function that ends it. A listener must not raise and must not block.
        """

    def watch(self, prefix: str, after: int) -> AsyncIterator[Change]:
        """Every change under `prefix` at a revision above `after`, oldest first, each once.

        Waits for more when it has caught up. A watch that broke goes on from its last revision.
        Raises Compacted when changes above `after` are gone: the caller lists, then watches again.
        Source: etcd, API guarantees, watch APIs.
        """

    async def compact(self, before: int) -> None:
        """Forgets superseded values and changes below revision `before`; current values stay."""
