"""How the program of a created container is let go: as `crun start` does it, without the time that takes to load."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from holdfast.node.giving_up import unless
from holdfast.node.runtime import RuntimeFailure
from holdfast.node.runtime.oci.processes import ProcessIdentity, open_process, run, wait_readable

PIPE = "exec.fifo"
"""In crun's directory of a container: its first process waits for a byte from it. While it exists the state is
`created`, and `running` afterwards. Source: crun, src/libcrun/status.c, unchanged since its first release."""
AFTER_END_S = 2.0
"""How long the runtime may take to say that it has started what has ended already."""
_DIED = "the container ended before its program was started"


async def begin(runtime: Sequence[str], directory: Path, identifier: str, process: ProcessIdentity | None) -> None:
    """Lets the program start. `directory` is what the runtime keeps of the container. Raises RuntimeFailure."""
    try:
        _let_go(directory / PIPE)
    except FileNotFoundError:  # a runtime that has another way, or that knows nothing of the container
        await _ask(runtime, identifier, process)
    except OSError as error:
        raise RuntimeFailure("RunContainerError", _DIED if error.errno == errno.ENXIO else str(error)) from error


def _let_go(pipe: Path) -> None:
    """Raises OSError: ENXIO if nobody waits any more.

    The byte comes before the removal, the other way round than in crun: if the agent is killed in between, what runs
    counts as created and is cleared away, instead of being waited for although it waits itself.
    """
    descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"\0")
        os.unlink(pipe)
    finally:
        os.close(descriptor)


async def _ask(runtime: Sequence[str], identifier: str, identity: ProcessIdentity | None) -> None:
    """Raises RuntimeFailure; the runtime waits for ever for a container that has died."""
    process = open_process(identity) if identity else None
    if process is None:
        raise RuntimeFailure("RunContainerError", _DIED)
    try:
        done = await unless(wait_readable(process), run([*runtime, "start", identifier]), farewell_s=AFTER_END_S)
    finally:
        os.close(process)
    if done is None:
        raise RuntimeFailure("RunContainerError", _DIED)
    if done.exit_code != 0:
        raise RuntimeFailure("RunContainerError", done.text)
