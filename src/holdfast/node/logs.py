"""Reads the log of one run of one container, a file in the CRI log format (N170-N172, A158, A162).

A line of the file is `TIMESTAMP STREAM TAG TEXT`. Tag `P` marks text that goes on in the next line of
the file, `F` the end of a line of the container.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

BLOCK_BYTES = 64 << 10
MOST_LINE_BYTES = 1 << 20
"""A longer line of the file is no log line: it is dropped."""
SHORTEST_WAIT_S = 0.02
LONGEST_WAIT_S = 0.25
"""A follower looks for more after that long at most."""
_STREAMS = (b"stdout", b"stderr")
_TAGS = (b"P", b"F")


@dataclass(frozen=True, slots=True)
class LogOptions:
    follow: bool = False
    timestamps: bool = False
    since: datetime | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None
    stream: str = ""
    """`stdout` or `stderr`; empty for both."""


class LogFormatter:
    """From bytes of the file, in any pieces, to what the client reads. Pure."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._since = options.since
        self._stream = options.stream.encode()
        self._rest = b""
        self._starts_line = True
        self._left = options.limit_bytes

    @property
    def is_full(self) -> bool:
        """The limit is reached; the last line may be cut."""
        return self._left is not None and self._left <= 0

    def feed(self, data: bytes) -> bytes:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MOST_LINE_BYTES:
            self._rest = b""
        output = b"".join([self._format(line) for line in lines])
        if self._left is not None:
            output = output[: self._left]
            self._left -= len(output)
        return output

    def _format(self, line: bytes) -> bytes:
        parts = line.split(b" ", 3)
        if len(parts) < 3:
            return b""
        timestamp, stream, tag = parts[:3]
        if stream not in _STREAMS or tag[:1] not in _TAGS or (self._stream and stream != self._stream):
            return b""
        if self._since is not None:
            if _parse_time(timestamp) < self._since:
                return b""
            self._since = None  # later lines are later
        text = parts[3] if len(parts) == 4 else b""
        if self._starts_line and self._options.timestamps:
            text = _normalize_time(timestamp) + b" " + text
        self._starts_line = not tag.startswith(b"P")
        return text + b"\n" if self._starts_line else text


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines of the container begin in its log. Reads from the end, block by block."""
    position = file.seek(0, os.SEEK_END)
    end = position
    carry = b""
    fragment = True
    found = 0
    while position > 0 and lines > 0:
        start = max(0, position - BLOCK_BYTES)
        file.seek(start)
        block = file.read(position - start) + carry
        raw_lines = block.split(b"\n")
        at = start + len(block)
        for raw in reversed(raw_lines[1:] if start else raw_lines):
            if fragment:
                fragment = False  # what follows the last line break is not a line yet
            elif _ends_line(raw) or not found:
                found += 1
                if found > lines:
                    return at + 1
            at -= len(raw) + 1
        carry = raw_lines[0]
        position = start
    return end if lines <= 0 else 0


def _ends_line(raw: bytes) -> bool:
    parts = raw.split(b" ", 3)
    return len(parts) < 3 or not parts[2].startswith(b"P")


def _parse_time(timestamp: bytes) -> datetime:
    try:
        return datetime.fromisoformat(timestamp.decode("ascii", "replace"))
    except ValueError:
        return datetime.min.replace(tzinfo=datetime.fromisoformat("2000-01-01T00:00:00Z").tzinfo)


def _normalize_time(timestamp: bytes) -> bytes:
    """With `Z` for UTC and nine digits of fraction, whatever wrote the file."""
    if timestamp.endswith(b"+00:00"):
        timestamp = timestamp[:-6] + b"Z"
    seconds, point, fraction = timestamp.partition(b".")
    if timestamp.endswith(b"Z") and len(fraction) != 10:
        digits = fraction[:-1] if point else b""
        return (seconds if point else seconds[:-1]) + b"." + digits[:9].ljust(9, b"0") + b"Z"
    return timestamp


async def read_log(path: str, options: LogOptions, is_running: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
    """The log's content in pieces; with `follow`, until `is_running` turns false and all is read.

    Holds one block at a time. Goes on in the new file when the log is rotated while it is followed.
    """
    formatter = LogFormatter(options)
    file = _open(path)
    wait_s = SHORTEST_WAIT_S
    try:
        if file is not None and options.tail_lines is not None:
            file.seek(tail_offset(file, options.tail_lines))
        while not formatter.is_full:
            ran = options.follow and is_running()  # before reading: what is written until the end is read
            if file is None:
                file = _open(path)
            data = file.read(BLOCK_BYTES) if file is not None else b""
            if data:
                wait_s = SHORTEST_WAIT_S
                if output := formatter.feed(data):
                    yield output
                await asyncio.sleep(0)
            elif file is not None and _was_rotated(file, path):
                file.close()
                file = None
            elif not ran:
                break
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
    finally:
        if file is not None:
            file.close()


def _open(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None


def _was_rotated(file: BinaryIO, path: str) -> bool:
    try:
        return os.stat(path).st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
