"""Looking at a file system that may hang: in a child process, for a limited time (V94, R143)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from holdfast.node.runtime.oci.processes import Child

from .subpath import NO_SUBPATH, SubpathFailure
from .usage import VolumeUse

MEASURED_WITHIN_S = 2.0
ANSWERED_WITHIN_S = 5.0
MEASURED_AGAIN_AFTER_S = 30.0
GIVEN_WITHIN_S = 120.0

_hanging: dict[str, Child] = {}
"""Children that did not end in time, by what they look at: one for each is enough."""


_silent: dict[str, float] = {}
"""Volumes that did not answer, and when they may be measured again: many must not hold up who looks at all."""


class NoAnswer(OSError):
    """The file system did not answer in time."""


async def run(about: str, arguments: list[str], within_s: float) -> tuple[int, str]:
    """Exit code and output. Raises NoAnswer; the child is killed, and not waited for if even that does not help."""
    former = _hanging.get(about)
    if former is not None:
        if former.popen.poll() is None:
            raise NoAnswer(f"{about} does not answer")
        del _hanging[about]
    with os.fdopen(os.memfd_create("output"), "w+b", buffering=0) as output:
        child = Child(arguments, stdout=output, stderr=subprocess.STDOUT)
        ended = asyncio.ensure_future(child.wait())
        try:
            done, _ = await asyncio.wait({ended}, timeout=within_s)
        except asyncio.CancelledError:
            child.signal(signal.SIGKILL)
            raise
        if not done:
            child.signal(signal.SIGKILL)
            _hanging[about] = child
            raise NoAnswer(f"{about} does not answer")
        output.seek(0)
        return ended.result(), output.read().decode(errors="surrogateescape")


async def measure(name: str, path: Path, *, claim: str) -> VolumeUse | None:
    """As `usage.measure`; None too if there is no answer, or was none a moment ago."""
    now_s = asyncio.get_running_loop().time()
    if _silent.get(str(path), 0.0) > now_s:
        return None
    _silent.pop(str(path), None)
    words = ["stat", "--file-system", "--format", "%S %b %f %a %c %d", "--", str(path)]
    try:
        code, output = await run(str(path), words, MEASURED_WITHIN_S)
    except NoAnswer:
        _silent[str(path)] = now_s + MEASURED_AGAIN_AFTER_S
        return None
    except OSError:
        return None
    if code:
        return None
    size, blocks, free, available, files, files_free = map(int, output.split())
    return VolumeUse(
        name=name,
        used_bytes=(blocks - free) * size,
        available_bytes=available * size,
        capacity_bytes=blocks * size,
        inodes=files,
        inodes_free=files_free,
        inodes_used=files - files_free,
        claim=claim,
    )


async def require_answer(path: Path) -> None:
    """Raises NoAnswer, or OSError with what the file system says."""
    code, output = await run(str(path), ["stat", "--", str(path)], ANSWERED_WITHIN_S)
    if code:
        raise OSError(output.strip())


async def resolve_subpath(volume: Path, subpath: str, *, is_read_only: bool) -> Path:
    """As `subpath.resolve`. Raises SubpathFailure."""
    flag = ["--read-only"] if is_read_only else []
    command = [sys.executable, "-m", "holdfast.node.volumes.subpath", *flag, "--", str(volume), subpath]
    try:
        code, output = await run(f"{volume}/{subpath}", command, ANSWERED_WITHIN_S)
    except OSError as error:
        raise SubpathFailure(f'subpath "{subpath}": {error}') from error
    if code == NO_SUBPATH:
        raise SubpathFailure(output.strip())
    if code:
        raise SubpathFailure(f'subpath "{subpath}": {output.strip()[-500:]}')
    return Path(output.removesuffix("\n"))


async def give_to_group(path: Path, gid: int, *, is_read_only: bool, policy: str) -> None:
    """As `ownership.give_to_group`. Raises OSError."""
    flag = ["--read-only"] if is_read_only else []
    command = [sys.executable, "-m", "holdfast.node.volumes.ownership", *flag, "--", str(path), str(gid), policy]
    code, output = await run(str(path), command, GIVEN_WITHIN_S)
    if code:
        raise OSError(output.strip()[-500:])
