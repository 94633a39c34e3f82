"""A store in one SQLite file: an acknowledged write survives `kill -9` and power failure.

One append-only table of revisions without secondary index; the current state lives in memory. Writes
are committed in groups: while the disk syncs one, the next gathers. The connection belongs to one
thread, which does nothing but I/O.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from holdfast.world import Clock

from . import Change, Entry, NoRoom, StoreFailed, room
from .base import BaseStore
from .state import Window

SCHEMA_VERSION = 1
SLICE_ROWS = 200
"""Rows deleted at a time by compaction, so that a write never waits long for it."""
COMPACT_ROWS = 1000
"""Compaction starts when so many rows are to go and no write waits."""
OVERDUE_ROWS = 50_000
"""When so many rows are to go, compaction takes turns with writes that never pause."""
OVERDUE_SLICE_ROWS = 1000
CHECKPOINT_BYTES = 4 << 20
"""The log is copied into the database after so much was written, when no write waits."""
CHECKPOINT_PAGES = 8192
"""The same by SQLite itself, inside a commit, if there is never such a moment."""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous={synchronous}",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA cache_size=-2000",
    "PRAGMA temp_store=MEMORY",
)
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS revision"
    " (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, is_delete INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "INSERT OR IGNORE INTO setting VALUES ('oldest', 0)",
    f"PRAGMA user_version={SCHEMA_VERSION}",
)
_INSERT = "INSERT INTO revision VALUES (?, ?, ?, ?)"

Row = tuple[int, str, bool, bytes]


@dataclass(slots=True)
class Counters:
    """What the store has done since it was opened."""

    writes: int = 0
    commits: int = 0
    """Of writes; each is one transaction with one executemany."""
    commit_s: float = 0.0
    """Seconds spent in commits, nearly all of it waiting for the disk."""
    compacted_rows: int = 0
    checkpoints: int = 0


@dataclass(slots=True)
class _Loaded:
    """The contents of the file."""

    entries: dict[str, Entry]
    history: list[Change]
    garbage: list[int]
    oldest: int
    revision: int


class SqliteStore(BaseStore):
    """A `Store` in the file `path`, which only one process at a time can open.

    `executor` must run one job at a time (default: a thread of its own). `failed` is called once when a
    commit fails: the process should stop, since later writes were already built on the lost one. Want of room
    is no such failure: what was begun is tried again until it is done, and nothing more is accepted meanwhile.
    `synchronous` NORMAL is for development only: it loses acknowledged writes when the power fails.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        executor: Executor | None = None,
        window: Window | None = None,
        failed: Callable[[Exception], None] | None = None,
        synchronous: str = "FULL",
    ) -> None:
        super().__init__(clock, window or Window())
        assert synchronous in ("FULL", "NORMAL")
        self.counters = Counters()
        self._path = path
        self._executor = executor
        self._own_executor: ThreadPoolExecutor | None = None
        self._on_failure = failed
        self._synchronous = synchronous
        self._failure: Exception | None = None
        self._no_room: Exception | None = None
        self._loop: asyncio.AbstractEventLoop
        self._file: sqlite3.Connection
        self._lock_fd = -1
        self._queue: list[tuple[Change, Entry | None]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._is_busy = False
        self._pump_is_due = False
        self._garbage: deque[int] = deque()
        self._is_compactions_turn = False
        self._quiet: list[asyncio.Future[None]] = []
        self._unchecked_bytes = 0

    # Opening and closing

    async def open(self) -> None:
        """Raises StoreFailed if the file is in use, damaged, or of a later version."""
        self._loop = asyncio.get_running_loop()
        if self._executor is None:
            self._executor = self._own_executor = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            loaded = await self._loop.run_in_executor(self._executor, self._open_file)
        except (OSError, sqlite3.Error) as error:
            self._release()
            raise StoreFailed(f"{self._path}: {error}") from error
        except StoreFailed:
            self._release()
            raise
        self._garbage.extend(loaded.garbage)
        self._state.load(loaded.entries, loaded.history, loaded.oldest, loaded.revision)
        await super().open()

    def _open_file(self) -> _Loaded:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock()
        if not self._path.exists():
            # SQLite would give it, and its log, the mode of the umask.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            _sync_directory(self._path.parent)
        room.give_back(self._path)
        self._file = file = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        version = file.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreFailed(f"{self._path}: made by a later version of holdfast (schema {version})")
        for pragma in _PRAGMAS:
            file.execute(pragma.format(synchronous=self._synchronous))
        if version < SCHEMA_VERSION:
            file.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                file.execute(statement)
            file.execute("COMMIT")
        loaded = _load(file)
        room.hold(self._path)
        return loaded

    def _lock(self) -> None:
        """The lock ends with the process, however that ends."""
        lock = self._path.with_name(self._path.name + ".lock")
        self._lock_fd = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreFailed(f"{self._path}: in use by another process") from None

    async def close(self) -> None:
        if self._closed:
            return
        await super().close()
        with contextlib.suppress(StoreFailed):  # whoever wrote has heard of it
            while (self._is_busy or self._queue) and self._failure is None and self._no_room is None:
                await self._when_quiet()
        assert self._executor is not None
        await self._loop.run_in_executor(self._executor, self._close_file)
        self._release()

    def _close_file(self) -> None:
        self._file.close()
        room.keep(self._path)

    def _release(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
        if self._own_executor is not None:
            self._own_executor.shutdown(wait=False)

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise StoreFailed(f"{self._path}: {self._failure}") from self._failure
        if self._closed:
            raise StoreFailed(f"{self._path}: the store is closed")
        if self._no_room is not None:
            raise NoRoom(self._wanting())

    def _wanting(self) -> str:
        return (
            f"no space left on the disk of {self._path.parent}: nothing can be written until something is deleted there"
        )

    # On the loop

    async def _commit(self, change: Change, entry: Entry | None) -> None:
        done = self._loop.create_future()
        self._queue.append((change, entry))
        self._waiting.append(done)
        self._pump_soon()
        await done

    def _pump_soon(self) -> None:
        """Not at once: what else is written in this turn of the loop shares the commit."""
        if not self._is_busy and not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Hands the thread its next job: writes first, housekeeping when there are none."""
        self._pump_is_due = False
        if self._is_busy or self._failure is not None or (self._closed and self._no_room is not None):
            return
        is_overdue = len(self._garbage) >= OVERDUE_ROWS and self._is_compactions_turn
        self._is_compactions_turn = not is_overdue
        if self._queue and not is_overdue:
            batch, self._queue = self._queue, []
            waiting, self._waiting = self._waiting, []
            rows: list[Row] = [(c.revision, c.key, c.is_delete, c.value) for c, _ in batch]
            again = functools.partial(self._put_back, batch, waiting)
            self._submit(lambda: self._insert(rows), lambda: self._inserted(batch, waiting), waiting, again)
        elif self._garbage and (is_overdue or self._quiet or len(self._garbage) >= COMPACT_ROWS):
            count = min(OVERDUE_SLICE_ROWS if is_overdue else SLICE_ROWS, len(self._garbage))
            doomed = [(self._garbage.popleft(),) for _ in range(count)]
            oldest = self._state.oldest
            again = functools.partial(self._garbage.extendleft, [revision for (revision,) in reversed(doomed)])
            self._submit(lambda: self._delete_rows(doomed, oldest), self._pump, (), again)
        elif self._unchecked_bytes > CHECKPOINT_BYTES:
            self._unchecked_bytes = 0
            self._submit(self._checkpoint, self._pump, (), lambda: None)
        else:
            quiet, self._quiet = self._quiet, []
            _complete(quiet)

    def _submit(
        self,
        job: Callable[[], None],
        then: Callable[[], None],
        waiting: Iterable[asyncio.Future[None]],
        again: Callable[[], None],
    ) -> None:
        """`then` follows what was done; `again` puts back what could not be done for want of room."""
        self._is_busy = True
        assert self._executor is not None

        def run() -> None:
            failure: Exception | None = None
            try:
                job()
            except Exception as error:
                failure = error
            self._loop.call_soon_threadsafe(finish, failure)

        def finish(failure: Exception | None) -> None:
            self._is_busy = False
            if failure is None:
                self._no_room = None
                then()
            elif room.is_wanting(failure):
                self._no_room = failure
                again()
                self._look_again()
            else:
                self._fail(failure, waiting)

        self._executor.submit(run)

    def _inserted(self, batch: list[tuple[Change, Entry | None]], waiting: list[asyncio.Future[None]]) -> None:
        self._unchecked_bytes += sum(len(change.value) for change, _ in batch)
        self._committed(batch)
        _complete(waiting)
        self._pump_soon()

    def _look_again(self) -> None:
        """Later; who waits for quiet waits no longer."""
        quiet, self._quiet = self._quiet, []
        _complete(quiet)
        if not self._closed:
            self._loop.call_later(room.RETRY_S, self._pump)

    def _put_back(self, batch: list[tuple[Change, Entry | None]], waiting: list[asyncio.Future[None]]) -> None:
        """Who waits is told at once; the writes stay first in the queue, for later ones were decided on top of them."""
        self._queue[:0] = batch
        for done in (*waiting, *self._waiting):
            if not done.done():
                done.set_exception(NoRoom(f"{self._wanting()}; this was begun and may still be done then"))
        self._waiting.clear()

    def _fail(self, failure: Exception, waiting: Iterable[asyncio.Future[None]]) -> None:
        """There is no undoing: later writes were decided on top of this one."""
        self._failure = failure
        for done in (*waiting, *self._waiting, *self._quiet):
            if not done.done():
                done.set_exception(StoreFailed(f"{self._path}: {failure}"))
        self._queue.clear()
        self._waiting.clear()
        self._quiet.clear()
        if self._on_failure is not None:
            self._on_failure(failure)

    def _forgotten(self, changes: Iterable[Change]) -> None:
        last = self._state.revision
        for change in changes:
            if change.previous is not None:
                self._garbage.append(change.previous.revision)
            if change.is_delete and change.revision != last:
                # The last row stays whatever it is: from it the counter goes on after a restart.
                self._garbage.append(change.revision)

    async def compact(self, before: int) -> None:
        """Returns when the rows are gone from the file too."""
        await super().compact(before)
        while self._garbage and self._failure is None and self._no_room is None:
            await self._when_quiet()

    async def _when_quiet(self) -> None:
        quiet = self._loop.create_future()
        self._quiet.append(quiet)
        self._pump_soon()
        await quiet

    # On the thread

    def _insert(self, rows: list[Row]) -> None:
        started_s = self._clock.monotonic_s()
        with self._transaction() as file:
            file.executemany(_INSERT, rows)
        counters = self.counters
        counters.writes += len(rows)
        counters.commits += 1
        counters.commit_s += self._clock.monotonic_s() - started_s

    def _delete_rows(self, doomed: list[tuple[int]], oldest: int) -> None:
        with self._transaction() as file:
            # In the same transaction: a file must not claim history that it has lost.
            file.execute("UPDATE setting SET value = ? WHERE name = 'oldest'", (oldest,))
            file.executemany("DELETE FROM revision WHERE revision = ?", doomed)
        self.counters.compacted_rows += len(doomed)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        file = self._file
        file.execute("BEGIN IMMEDIATE")
        try:
            yield file
            file.execute("COMMIT")
        except sqlite3.Error:
            if file.in_transaction:
                file.execute("ROLLBACK")
            raise

    def _checkpoint(self) -> None:
        self._file.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        room.hold(self._path)
        self.counters.checkpoints += 1


def _load(file: sqlite3.Connection) -> _Loaded:
    """Replays every row. Those up to `oldest` give the state then; what they supersede is garbage."""
    entries: dict[str, Entry] = {}
    history: list[Change] = []
    garbage: list[int] = []
    oldest: int = file.execute("SELECT value FROM setting WHERE name = 'oldest'").fetchone()[0]
    revision = oldest  # of an empty file
    for revision, key, is_delete, value in file.execute("SELECT * FROM revision ORDER BY revision"):
        previous = entries.get(key)
        if previous is not None:
            key = previous.key  # one string per key
        if revision > oldest:
            if revision != oldest + len(history) + 1:
                raise StoreFailed(f"damaged: revision {oldest + len(history) + 1} is missing")
            history.append(Change(key, revision, value, bool(is_delete), previous))
        elif previous is not None:
            garbage.append(previous.revision)
        if not is_delete:
            entries[key] = Entry(key, value, revision)
        else:
            entries.pop(key, None)
            if revision <= oldest:
                garbage.append(revision)
    if garbage and garbage[-1] == revision:
        garbage.pop()
    return _Loaded(entries, history, garbage, oldest, revision)


def _complete(waiting: Iterable[asyncio.Future[None]]) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(None)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
