"""Pulls as the agent and the command line see them: each in a process of its own, which unpacks too (R115, R116)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import Protocol

import msgspec

from holdfast.node.runtime import Credentials, ImageMissing, ImageRecord, Progress, RegistryUnreachable
from holdfast.node.runtime.oci.processes import Child
from holdfast.node.runtime.oci.streams import reader_of

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
        worker, lines = await self._start(command)
        given = worker.popen.stdin
        assert given is not None
        try:
            given.write(msgspec.json.encode(request) + b"\n")
            given.flush()
            async for text in lines:
                line = msgspec.json.decode(text, type=Line)
                if line.progress is None:
                    return line
                if progress is not None:
                    progress(line.progress)
        finally:
            with contextlib.suppress(BrokenPipeError):
                given.close()
            code = await worker.wait()
        return Line(failure=f'the process that pulled image "{name}" ended with exit code {code}')

    async def _start(self, command: Sequence[str]) -> tuple[Child, asyncio.StreamReader]:
        """The process and what it says.

        Not by way of a file object that the loop is given: uvloop closes the descriptor of such a one itself, and then
        again with the object, by when another thread may have it.
        """
        told, telling = os.pipe2(os.O_CLOEXEC)
        try:
            worker = await self._outside(lambda: Child(command, stdin=PIPE, stdout=telling, stderr=None))
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(telling)
        return worker, reader_of(told)
