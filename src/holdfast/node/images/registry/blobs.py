"""Blobs onto the disk, hashed on the way, gone on with where an earlier try stopped."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

from holdfast.node.images.manifests import Descriptor
from holdfast.wire.client import HttpStream

from .failures import Broken, PullFailed, Unreachable, WrongContent
from .persistence import ATTEMPTS, pause
from .session import Session

STALLED_AFTER_S = 60.0
CHUNK_BYTES = 1 << 20
_RANGE_BEYOND_END = 416
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")

Arrived = Callable[[int], None]
"""Bytes that are here now; negative if they were thrown away."""


async def download(session: Session, blob: Descriptor, path: Path, arrived: Arrived) -> None:
    """The whole blob at `path`, its digest checked.

    Raises PullFailed. What has arrived by then stays, for the next try, unless it is wrong; OSError if the
    disk does not take it.
    """
    with path.open("a+b") as file:
        partial = _Partial(file, arrived)
        try:
            await asyncio.to_thread(partial.take_in)
            await _checked(session, blob, partial)
        finally:
            if not partial.size:
                path.unlink()


async def _checked(session: Session, blob: Descriptor, partial: _Partial) -> None:
    was_begun = partial.size > 0
    await _complete(session, blob, partial)
    if partial.digest != blob.digest and was_begun:
        partial.clear()  # the fault may be in what an earlier try, or a crash, has left
        await _complete(session, blob, partial)
    if partial.digest != blob.digest:
        found = partial.digest
        partial.clear()
        raise WrongContent(
            f'failed commit on ref "layer-{blob.digest}": unexpected commit digest {found}, '
            f"expected {blob.digest}: failed precondition"
        )


async def _complete(session: Session, blob: Descriptor, partial: _Partial) -> None:
    """All bytes, through as many connections as it takes while each brings some."""
    failures = 0
    if partial.size > blob.size_bytes:
        partial.clear()
    while partial.size < blob.size_bytes:
        before = partial.size
        try:
            await _receive(session, blob, partial)
        except (Broken, Unreachable) as error:
            failures = 1 if partial.size > before else failures + 1
            if failures >= ATTEMPTS:
                raise error.within(f"failed to copy: {partial.size} of {blob.size_bytes} bytes") from error
            await pause(failures, error)


async def _receive(session: Session, blob: Descriptor, partial: _Partial) -> None:
    """What one request brings, to the end of the blob."""
    headers = [("Accept", "application/octet-stream, */*")]
    if partial.size:
        headers.append(("Range", f"bytes={partial.size}-"))
    handled = frozenset({_RANGE_BEYOND_END} if partial.size else ())
    async with session.ask("GET", f"blobs/{blob.digest}", headers, handled) as answer:
        if answer.status == _RANGE_BEYOND_END:
            raise _wrong_size(blob, partial.size)
        if not _goes_on(answer, partial.size):
            partial.clear()
        while data := await _next(answer):
            if partial.size + len(data) > blob.size_bytes:
                partial.clear()
                raise WrongContent(f'failed commit on ref "layer-{blob.digest}": more than {blob.size_bytes} bytes')
            partial.add(data)
    if partial.size < blob.size_bytes:
        raise _wrong_size(blob, partial.size)


async def _next(answer: HttpStream) -> bytes:
    """The next bytes, none at the end. Raises Broken if none come for too long."""
    try:
        async with asyncio.timeout(STALLED_AFTER_S):
            return await anext(answer, b"")
    except TimeoutError:
        raise Broken(f"nothing came for {STALLED_AFTER_S:g} s") from None


def _goes_on(answer: HttpStream, offset: int) -> bool:
    """Whether the body begins at `offset`: servers may ignore that a part was asked for."""
    if answer.status != 206:
        return offset == 0
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    if match is None or int(match[1]) != offset:
        raise PullFailed("the registry sent another part than it was asked for")
    return True


def _wrong_size(blob: Descriptor, size: int) -> WrongContent:
    return WrongContent(
        f'failed commit on ref "layer-{blob.digest}": "layer-{blob.digest}" failed size validation: '
        f"{size} != {blob.size_bytes}: failed precondition"
    )


class _Partial:
    """What is here of a blob, and its digest so far."""

    def __init__(self, file: IO[bytes], arrived: Arrived) -> None:
        self._file = file
        self._arrived = arrived
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def take_in(self) -> None:
        """Counts what an earlier try has left."""
        self._file.seek(0)
        while data := self._file.read(CHUNK_BYTES):
            self._count(data)

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self._count(data)

    def _count(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        self._arrived(len(data))

    def clear(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._arrived(-self.size)
        self._hash, self.size = hashlib.sha256(), 0
