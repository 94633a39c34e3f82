"""Emptying the exports of NFS servers, for volumes with the policy Recycle: a process for each, with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from holdfast.controllers.volumes.effects import ShareWork
from holdfast.node.volumes.nfs import kernel
from holdfast.node.volumes.nfs.names import address_of
from holdfast.node.volumes.nfs.plan import Export

DOMAIN = "cluster.local"


class Recycler:
    """`nameservers` know the services of the cluster (V95)."""

    def __init__(self, nameservers: Sequence[str]) -> None:
        self._nameservers = nameservers

    async def empty(self, work: ShareWork) -> None:
        """Raises OSError with the reason, TimeoutError after the deadline. The process is gone in any case."""
        async with asyncio.timeout(work.deadline_s):
            address = await address_of(work.server, self._nameservers, DOMAIN)
            await self._run(work, ["--kernel"] if await kernel.can_mount() else [], address)

    async def _run(self, work: ShareWork, how: Sequence[str], address: str) -> None:
        export = Export(work.server, work.path, ())
        options = ",".join(sorted({*work.options} - {"ro"}))
        command = [sys.executable, "-m", "holdfast.nfs.scrub", export.source, "--options", options]
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--address", address),
            *how,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
        )
        try:
            said, complaint = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        if process.returncode:
            words = said.decode(errors="replace").strip() or complaint.decode(errors="replace").strip()[-500:]
            raise OSError(words or f"the recycler ended with {process.returncode}")
