"""How a running container ended: told by its supervisor, else by the kernel, else by nobody."""

from __future__ import annotations

import asyncio
import os
import signal

from holdfast.node.runtime.oci.processes import exit_code_through, open_process, send_signal, wait_readable
from holdfast.node.runtime.oci.records import StoredContainer
from holdfast.node.runtime.oci.supervisor import ExitRecord, Supervisor
from holdfast.world import Clock

EXIT_RECORD_DEADLINE_S = 5.0
"""How long a supervisor may take to write down an exit that the kernel has reported."""


async def wait_for_end(stored: StoredContainer, supervisor: Supervisor, clock: Clock) -> tuple[ExitRecord | None, str]:
    """Returns when it has ended: how, None if nobody saw it, and what is to be said about it, if anything.

    A container without supervisor has lost its output: it must not run on, and is killed.
    """
    process = open_process(stored.process) if stored.process else None
    watcher = open_process(stored.supervisor) if stored.supervisor else None
    message = ""
    try:
        if process is not None and await _died_first(watcher, process):
            message = "the container's supervisor died"
            send_signal(process, signal.SIGKILL)
            await wait_readable(process)
        end = await _record(stored.id, supervisor, watcher)
        if end is None and process is not None:
            end = await _from_kernel(process, clock)
    finally:
        for descriptor in (process, watcher):
            if descriptor is not None:
                os.close(descriptor)
    if end is None:
        message = message or "nobody saw how the container ended"
    return end, message


async def _died_first(watcher: int | None, process: int) -> bool:
    """Waits for either to end."""
    if watcher is None:
        return True
    waits = [asyncio.ensure_future(wait_readable(descriptor)) for descriptor in (process, watcher)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return not waits[0].done()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _record(container_id: str, supervisor: Supervisor, watcher: int | None) -> ExitRecord | None:
    """The supervisor writes within milliseconds, after the last output; it is asked until it has ended itself."""
    gone = asyncio.ensure_future(wait_readable(watcher)) if watcher is not None else None
    pause_s, waited_s = 0.001, 0.0
    try:
        while True:
            over = gone is None or gone.done() or waited_s > EXIT_RECORD_DEADLINE_S
            end = supervisor.exit_record(container_id)
            if end is not None or over:
                return end
            await asyncio.sleep(pause_s)
            waited_s += pause_s
            pause_s = min(pause_s * 1.5, 0.05)
    finally:
        if gone is not None:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)


async def _from_kernel(process: int, clock: Clock) -> ExitRecord | None:
    for _ in range(20):
        code = exit_code_through(process)
        if code is not None:
            return ExitRecord(code, clock.now())
        await asyncio.sleep(0.01)
    return None
