"""Pulls as the agent and the command line see them: each in a process of its own, which unpacks too (R115, R116)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from holdfast.node.runtime import Credentials, ImageMissing, ImageRecord, Progress, RegistryUnreachable

from .pull_worker import Line, Request
from .references import HOST, InvalidReference, normalise
from .store import ImageStore


class Puller:
    """Fetches into `store`, from registries as the file `settings` says."""

    def __init__(self, store: ImageStore, directory: Path, settings: Path) -> None:
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
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "holdfast.node.images.pull_worker", stdin=pipe, stdout=pipe
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            async for text in process.stdout:
                line = msgspec.json.decode(text, type=Line)
                if line.progress is None:
                    return line
                if progress is not None:
                    progress(line.progress)
        finally:
            process.stdin.close()
            code = await process.wait()
        return Line(failure=f'the process that pulled image "{name}" ended with exit code {code}')
