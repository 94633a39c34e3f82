"""Work on the exports of NFS servers: a process for each piece, with a deadline, which ends with the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from holdfast.controllers.volumes.effects import ShareWork

DOMAIN = "cluster.local"


class Shares:
    """`nameservers` know the services of the cluster (V95)."""

    def __init__(self, nameservers: Sequence[str], point: str) -> None:
        """`point` is a directory over which a share can be mounted, in namespaces of the processes' own."""
        self._nameservers = nameservers
        self._point = point

    async def work(self, work: ShareWork) -> Any:
        """What came of it. Raises OSError with the reason, TimeoutError after the deadline.

        The process is gone in any case.
        """
        # Part of the node: not to be loaded by a daemon that starts.
        from holdfast.node.volumes.nfs import kernel
        from holdfast.node.volumes.nfs.names import address_of
        from holdfast.node.volumes.nfs.plan import Export

        source = Export(work.server, work.path, ()).source
        async with asyncio.timeout(work.deadline_s):
            address = await address_of(work.server, self._nameservers, DOMAIN)
            how = ["--kernel"] if await kernel.can_mount() else []
            options = ["--options", ",".join(sorted({*work.options} - {"ro"})), "--address", address, *how]
            if work.operation == "empty":
                await _run("scrub", [*options, source])
                return None
            said = await _run("share", [*options, source, self._point, work.operation, "--", *work.arguments])
            return json.loads(said)


async def _run(program: str, words: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", f"holdfast.nfs.{program}", *words],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
    )
    try:
        output, complaint = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    said = output.decode(errors="replace").strip()
    if process.returncode:
        raise OSError(
            said or complaint.decode(errors="replace").strip()[-500:] or f"it ended with {process.returncode}"
        )
    return said
