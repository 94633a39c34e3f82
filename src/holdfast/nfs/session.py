"""A session with an NFS 4.1 server (RFC 8881 section 2.10): every call is carried out exactly once.

A server that is away is waited for as long as it takes, as a hard mount does: connections are made anew, a call
whose answer was lost is sent again under its old number, and a server that has forgotten the session gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import errors
from .errors import NfsError
from .rpc import COMPOUND, NULL, ROOT, Connection, Credentials, Disconnected, Refused, connect
from .xdr import Garbled, Reader, opaque, u32, u64

EXCHANGE_ID, CREATE_SESSION, DESTROY_SESSION, SEQUENCE, DESTROY_CLIENT, RECLAIM_COMPLETE = 42, 43, 44, 53, 57, 58
_NOT_PARALLEL = 0x00010000  # EXCHGID4_FLAG_USE_NON_PNFS
_RESTART_RECLAIM_NEEDED = 0x100
_SLOTS = 32
_MOST_OPERATIONS = 16
_MOST_CACHED_BYTES = 4096
OVERHEAD_BYTES = 4096
"""What the head and the other operations of a call that carries data may take."""

_CONNECT_WITHIN_S = 15.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 2.0
_FAREWELL_S = 1.0


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a compound; `parse` takes its results off the answer."""

    code: int
    arguments: bytes
    parse: Callable[[Reader], Any]


class _SessionLost(Exception):
    """The server has forgotten the session, or never knew it."""


class _Later(Exception):
    """The server asks to come again."""

    def __init__(self, *, is_in_grace: bool) -> None:
        super().__init__()
        self.is_in_grace = is_in_grace


class _Established:
    """What the server granted."""

    def __init__(self, identity: bytes, client: int, slots: int, most_bytes: tuple[int, int]) -> None:
        self.identity = identity
        self.client = client
        self.sequences = [0] * slots
        self.most_sent_bytes, self.most_received_bytes = most_bytes
        self.free: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(slots):
            self.free.put_nowait(slot)


class Session:
    """With one server. `timeout_s` is how long a call may take before it fails with EIO; None: for ever (hard)."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        largest_bytes: int,
        privileged: bool = True,
        timeout_s: float | None = None,
        report: Callable[[str], None] = lambda message: None,
    ) -> None:
        """`largest_bytes` of data in one read or write; `report` is told when the server goes and comes back."""
        self._host, self._port, self._privileged = host, port, privileged
        self._largest_bytes = largest_bytes + OVERHEAD_BYTES
        self._timeout_s = timeout_s
        self._report = report
        self._owner = f"holdfast {os.uname().nodename} {os.urandom(8).hex()}"
        self._verifier = os.urandom(8)
        self._link: Connection | None = None
        self._established: _Established | None = None
        self._lock = asyncio.Lock()
        self._attempts: set[asyncio.Task[list[Any]]] = set()

    @property
    def most_sent_bytes(self) -> int:
        """Of data in one call."""
        return self._granted.most_sent_bytes - OVERHEAD_BYTES

    @property
    def most_received_bytes(self) -> int:
        return self._granted.most_received_bytes - OVERHEAD_BYTES

    @property
    def _granted(self) -> _Established:
        assert self._established is not None
        return self._established

    async def open(self) -> None:
        """The first time: does not wait for a server that is away. Raises OSError, Refused, Garbled."""
        try:
            await self._set_up()
        except Disconnected:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None
        except TimeoutError:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None

    async def close(self) -> None:
        """Says good-bye if the server listens."""
        link, session = self._link, self._established
        if link is None:
            return
        if session is not None and link.is_open:
            with contextlib.suppress(OSError, Disconnected, Refused, Garbled, TimeoutError, _SessionLost, _Later):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._alone(link, Operation(DESTROY_SESSION, session.identity, _nothing))
                    await self._alone(link, Operation(DESTROY_CLIENT, u64(session.client), _nothing))
        await link.close()

    async def call(self, operations: Sequence[Operation], credentials: Credentials, *, once: bool = False) -> list[Any]:
        """The operations' results. `once`: the operations must not be repeated, so the server keeps the answer.

        Raises NfsError for the first that fails; OSError EIO if the session is soft and the server does not answer.
        """
        if self._timeout_s is None:
            return await self._carry_out(operations, credentials, once)
        # The slot stays taken until the answer comes: the attempt goes on when nobody waits for it any more.
        attempt = asyncio.create_task(self._carry_out(operations, credentials, once))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        done, _ = await asyncio.wait({attempt}, timeout=self._timeout_s)
        if not done:
            attempt.add_done_callback(lambda task: task.cancelled() or task.exception())
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return attempt.result()

    async def _carry_out(self, operations: Sequence[Operation], credentials: Credentials, once: bool) -> list[Any]:
        delay_s = _FIRST_DELAY_S
        while True:
            _, session = await self._ready()
            slot = await session.free.get()
            try:
                return await self._on_slot(session, slot, operations, credentials, once)
            except _SessionLost:
                self._forget(session)
            except _Later as later:
                await asyncio.sleep(1.0 if later.is_in_grace else delay_s)
                delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
            finally:
                session.free.put_nowait(slot)

    async def _on_slot(
        self, session: _Established, slot: int, operations: Sequence[Operation], credentials: Credentials, once: bool
    ) -> list[Any]:
        """Under one number, over as many connections as it takes."""
        sequence = session.sequences[slot] + 1 & 0xFFFFFFFF
        while True:
            link, current = await self._ready()
            if current is not session:
                raise _SessionLost
            arguments = b"".join(
                (session.identity, u32(sequence), u32(slot), u32(len(session.sequences) - 1), u32(int(once)))
            )
            try:
                reader = await link.call(
                    COMPOUND, _compound((Operation(SEQUENCE, arguments, _flags), *operations)), credentials
                )
            except Disconnected:
                continue
            except Refused as error:
                raise PermissionError(errno.EACCES, str(error)) from error
            flags = _first_of(reader)
            session.sequences[slot] = sequence
            if flags & _RESTART_RECLAIM_NEEDED and not session.free.empty():
                await self._nothing_to_reclaim(link, session)
            return _rest_of(reader, operations)

    def _forget(self, session: _Established) -> None:
        if self._established is session:
            self._established = None

    # -- connection and session -------------------------------------------------------------------

    async def _ready(self) -> tuple[Connection, _Established]:
        """An open connection and a session, as soon as they can be had."""
        delay_s = _FIRST_DELAY_S
        is_told = False
        while True:
            if self._link is not None and self._link.is_open and self._established is not None:
                return self._link, self._established
            async with self._lock:
                try:
                    await self._set_up()
                except (OSError, Disconnected, Refused, Garbled, _SessionLost, _Later) as error:
                    if not is_told:
                        self._report(f"server {self._host} not responding, still trying: {error}")
                        is_told = True
                else:
                    if is_told:
                        self._report(f"server {self._host} OK")
                    continue
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    async def _set_up(self) -> None:
        link = self._link
        if link is None or not link.is_open:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                link = self._link = await connect(
                    self._host, self._port, privileged=self._privileged, lost=lambda: None
                )
        if self._established is None:
            self._established = await self._establish(link)

    async def _establish(self, link: Connection) -> _Established:
        await link.call(NULL, b"", ROOT)
        arguments = self._verifier + opaque(self._owner) + u32(_NOT_PARALLEL) + u32(0) + u32(0)
        client, sequence = await self._alone(link, Operation(EXCHANGE_ID, arguments, _exchanged))
        size = self._largest_bytes
        limits = (0, size, size, _MOST_CACHED_BYTES, _MOST_OPERATIONS, _SLOTS, 0)
        back = (0, 4096, 4096, 0, 2, 1, 0)
        arguments = b"".join(
            (u64(client), u32(sequence), u32(0), *map(u32, limits), *map(u32, back), u32(0), u32(1), u32(0))
        )
        identity, granted = await self._alone(link, Operation(CREATE_SESSION, arguments, _created))
        session = _Established(identity, client, max(1, min(granted[5], _SLOTS)), (granted[1], granted[2]))
        await self._nothing_to_reclaim(link, session)
        return session

    async def _nothing_to_reclaim(self, link: Connection, session: _Established) -> None:
        """A new client says so, or the server would keep it waiting through its grace period."""
        slot = await session.free.get()
        try:
            sequence = session.sequences[slot] + 1
            arguments = b"".join((session.identity, u32(sequence), u32(slot), u32(0), u32(0)))
            operations = (Operation(RECLAIM_COMPLETE, u32(0), _nothing),)
            reader = await link.call(COMPOUND, _compound((Operation(SEQUENCE, arguments, _flags), *operations)), ROOT)
            _first_of(reader)
            session.sequences[slot] = sequence
            with contextlib.suppress(NfsError):  # COMPLETE_ALREADY
                _rest_of(reader, operations)
        finally:
            session.free.put_nowait(slot)

    async def _alone(self, link: Connection, operation: Operation) -> Any:
        """One operation outside any session."""
        reader = await link.call(COMPOUND, _compound((operation,)), ROOT)
        status = reader.u32()
        reader.opaque()
        if reader.u32() == 0:
            raise NfsError(status)
        code, status = reader.u32(), reader.u32()
        if status:
            raise NfsError(status, code)
        return operation.parse(reader)


def _compound(operations: Sequence[Operation]) -> bytes:
    body = b"".join(u32(each.code) + each.arguments for each in operations)
    return opaque(b"") + u32(1) + u32(len(operations)) + body


def _first_of(reader: Reader) -> int:
    """The status flags of SEQUENCE. Raises _SessionLost, _Later, NfsError."""
    status = reader.u32()
    reader.opaque()
    if reader.u32() == 0:
        raise NfsError(status)
    code, status = reader.u32(), reader.u32()
    if status in errors.SESSION_LOST:
        raise _SessionLost
    if status == errors.DELAY:
        raise _Later(is_in_grace=False)
    if status:
        raise NfsError(status, code)
    return int(_flags(reader))


def _rest_of(reader: Reader, operations: Sequence[Operation]) -> list[Any]:
    results = []
    for operation in operations:
        code, status = reader.u32(), reader.u32()
        if status in (errors.DELAY, errors.GRACE):
            raise _Later(is_in_grace=status == errors.GRACE)
        if status:
            raise NfsError(status, code)
        results.append(operation.parse(reader))
    return results


def _flags(reader: Reader) -> int:
    reader.fixed(16)
    for _ in range(4):  # sequence, slot, highest slot, the highest slot that the server would like
        reader.u32()
    return reader.u32()


def _exchanged(reader: Reader) -> tuple[int, int]:
    return reader.u64(), reader.u32()


def _created(reader: Reader) -> tuple[bytes, tuple[int, ...]]:
    identity = reader.fixed(16)
    reader.u32()
    reader.u32()
    return identity, tuple(reader.u32() for _ in range(6))


def _nothing(reader: Reader) -> None:
    return None
