"""Carries the streams of an exec or attach between the client and the program (A164-A175)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from holdfast.node.runtime import Process, RuntimeFailure

from . import NotRunning, outcome
from .outcome import Status

SLICE_BYTES = 32 << 10
QUIET_S = 1.0
"""A program's children may hold its output open for ever: it has ended, and its output once quiet for so long."""


class Channel(IntEnum):
    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """The streams asked for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


class CommandClient(Protocol):
    """The client's side of one session, over whatever carries it."""

    async def read_stdin(self) -> bytes:
        """At least one byte; none at the end."""

    async def next_size(self) -> tuple[int, int] | None:
        """The terminal's width and height when they change; None at the end."""

    async def write(self, channel: Channel, data: bytes) -> None:
        """Returns when there is room for more. Raises ConnectionError if the client has gone."""

    async def wait_gone(self) -> None:
        """Returns when the client has gone."""

    async def finish(self, status: Status) -> None:
        """Tells how it ended, behind all output, and closes the connection."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a session is about."""

    start: Callable[[], Awaitable[Process]]
    """Raises RuntimeFailure, or NotRunning."""
    doing: str
    """What failed if it cannot start, such as `attaching to`."""
    tell: Callable[[int], Status]
    """What the client hears of an exit code."""


async def serve_command(client: CommandClient, work: Work) -> None:
    """Runs one session from the program's start to its end, or to the client's leaving, which ends the program."""
    try:
        process = await work.start()
    except NotRunning as absence:
        await client.finish(outcome.of_failure(f"unable to upgrade connection: {absence}"))
        return
    except RuntimeFailure as failure:
        await client.finish(outcome.of_failure(f"error {work.doing} container: {failure.message}"))
        return
    try:
        exit_code = await _carry(client, process)
    finally:
        await process.kill()
    if exit_code is not None:
        await client.finish(work.tell(exit_code))


async def _carry(client: CommandClient, process: Process) -> int | None:
    """The exit code; None if the client left first."""
    carried = _Carried()
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(process.wait())
        gone = group.create_task(client.wait_gone())
        inputs = [group.create_task(_feed(client, process)), group.create_task(_resize(client, process))]
        outputs = [
            group.create_task(_deliver(client, channel, source, carried))
            for channel, source in ((Channel.STDOUT, process.stdout), (Channel.STDERR, process.stderr))
            if source is not None
        ]
        try:
            await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await _drain(outputs, carried, gone)
        finally:
            for task in (ended, gone, *inputs, *outputs):
                task.cancel()
    return ended.result() if ended.done() and not ended.cancelled() else None


@dataclass(slots=True)
class _Carried:
    pieces: int = 0
    writing: int = 0
    """How many outputs wait for the client."""


async def _drain(outputs: list[asyncio.Task[None]], carried: _Carried, gone: asyncio.Task[None]) -> None:
    """Waits for the ends of the outputs, or for their silence."""
    pending = set(outputs)
    while pending and not gone.done():
        seen = carried.pieces
        _, pending = await asyncio.wait(pending, timeout=QUIET_S)
        if carried.pieces == seen and not carried.writing:
            return


async def _deliver(client: CommandClient, channel: Channel, source: asyncio.StreamReader, carried: _Carried) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(SLICE_BYTES):
            carried.pieces += 1
            carried.writing += 1
            try:
                await client.write(channel, data)
            finally:
                carried.writing -= 1


async def _feed(client: CommandClient, process: Process) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(ConnectionError):  # the program reads no more
        while data := await client.read_stdin():
            process.stdin.write(data)
            await process.stdin.drain()
        if process.stdin.can_write_eof():
            process.stdin.write_eof()
        else:
            process.stdin.close()


async def _resize(client: CommandClient, process: Process) -> None:
    while size := await client.next_size():
        process.resize(*size)
