"""A shell that is given one command after the other, as a reader types them: variables and jobs stay between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "\x1e"
"""Printed by the shell after each command, with its status: no command prints it by itself."""


class TookTooLong(Exception):
    """A command that was not at its end in time; the shell is of no further use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    lines: tuple[str, ...]
    """Of both standard output and standard error, as a terminal shows them."""
    status: int


class Shell:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, command: str, within_s: float, heard: Callable[[str], None]) -> Outcome:
        """Runs a command; `heard` is called with each line as it comes. Raises TookTooLong."""
        assert self._process.stdin is not None
        # Standard input is empty: a command must not read those that follow it.
        line = f"eval {shlex.quote(command)} </dev/null; printf '{MARK}%s\\n' $?\n"
        self._process.stdin.write(line.encode())
        lines: list[str] = []
        try:
            async with asyncio.timeout(within_s):
                await self._process.stdin.drain()
                while True:
                    text, mark, status = (await self._line()).partition(MARK)
                    if text or not mark:
                        lines.append(text)
                        heard(text)
                    if mark:
                        return Outcome(tuple(lines), int(status))
        except TimeoutError:
            raise TookTooLong(f"not at its end after {within_s:g} s") from None

    async def _line(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise TookTooLong("it ended the shell")
        return line.decode(errors="replace").rstrip("\r\n")


@contextlib.asynccontextmanager
async def shell(directory: Path, environment: Mapping[str, str]) -> AsyncIterator[Shell]:
    """A shell in a directory. At the end everything that it started and that still runs is ended."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
        env=environment,
        start_new_session=True,
        limit=1 << 20,
    )
    try:
        yield Shell(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
