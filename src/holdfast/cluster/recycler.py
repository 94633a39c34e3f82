"""Emptying the exports of NFS servers, for volumes with the policy Recycle: a process for each, with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from holdfast.controllers.volumes.effects import ShareWork

DOMAIN = "cluster.local"


class Recycler:
    """`nameservers` know the services of the cluster (V95)."""

    def __init__(self, nameservers: Sequence[str]) -> None:
        self._nameservers = nameservers

    async def empty(self, work: ShareWork) -> None:
        """Raises OSError with the reason, TimeoutError after the deadline. The process is gone in any case."""
        # Part of the node: not to be loaded by a daemon that starts.
        from holdfast.node.volumes.nfs import kernel
        from holdfast.node.volumes.nfs.names import address_of
        from holdfast.node.volumes.nfs.plan import Export

        source = Export(work.server, work.path, ()).source
        async with asyncio.timeout(work.deadline_s):
            address = await address_of(work.server, self._nameservers, DOMAIN)
            how = ["--kernel"] if await kernel.can_mount() else []
            await self._run(source, work.options, ["--address", address, *how])

    async def _run(self, source: str, given: Sequence[str], how: Sequence[str]) -> None:
        options = ",".join(sorted({*given} - {"ro"}))
        command = [sys.executable, "-m", "holdfast.nfs.scrub", source, "--options", options]
        process = await asyncio.create_subprocess_exec(
            *command,
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
