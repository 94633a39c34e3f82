"""Pulls as the agent and the command line see them: each in a process of its own, which unpacks too (R115, R116)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import Protocol

import msgspec

from holdfast.node.runtime import Credentials, ImageMissing, ImageRecord, Progress, RegistryUnreachable
from holdfast.node.runtime.oci.processes import Child

from .pull_worker import Line, Request
from .references import HOST, InvalidReference, normalise
from .store import ImageStore


class Outside(Protocol):
    """Has a function run in the machine's own network."""

    async def __call__(self, function: Callable[[], Child], /) -> Child: ...


async def _at_once(function: Callable[[], Child]) -> Child:
    return function()


class Puller:
    """Fetches into `store`, from registries as the file `settings` says."""

    def __init__(self, store: ImageStore, directory: Path, settings: Path, outside: Outside = _at_once) -> None:
        """`outside` starts the process where registries are reached."""
        self._outside = outside
        self._store = store
        self._directory = directory
        self._settings = settings

    async def pull(
        self, reference: str, credentials: Sequence[Credentials] = (), progress: Progress | None = None
    ) -> ImageRecord:
        """The image, whole, as its registry has it now. Raises ImageMissing. Cancelled, it leaves nothing half-made."""
        try:
            name = normalise(reference)
        except InvalidReference as error:
            raise ImageMissing("InvalidImageName", str(error)) from error
        if name != HOST:
            outcome = await self._outcome(name, credentials, progress)
            if outcome.failure:
                kind = RegistryUnreachable if outcome.is_unreachable else ImageMissing
                raise kind("ErrImagePull", outcome.failure)
        record = self._store.find(name)
        if record is None:
            raise ImageMissing("ErrImagePull", f'image "{name}" was removed as soon as it was here')
        return record

    async def _outcome(self, name: str, credentials: Sequence[Credentials], progress: Progress | None) -> Line:
        request = Request(str(self._directory), str(self._settings), name, list(credentials))
        command = [sys.executable, "-m", "holdfast.node.images.pull_worker"]
        worker = await self._outside(lambda: Child(command, stdin=PIPE, stdout=PIPE, stderr=None))
        given, told = worker.popen.stdin, worker.popen.stdout
        assert given is not None
        assert told is not None
        pipe = None
        try:
            given.write(msgspec.json.encode(request) + b"\n")
            given.flush()
            lines = asyncio.StreamReader()
            reading = functools.partial(asyncio.StreamReaderProtocol, lines)
            pipe, _ = await asyncio.get_running_loop().connect_read_pipe(reading, told)
            async for text in lines:
                line = msgspec.json.decode(text, type=Line)
                if line.progress is None:
                    return line
                if progress is not None:
                    progress(line.progress)
        finally:
            with contextlib.suppress(BrokenPipeError):
                given.close()
            (pipe or told).close()
            code = await worker.wait()
        return Line(failure=f'the process that pulled image "{name}" ended with exit code {code}')
