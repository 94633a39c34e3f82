"""What a process and all it has started use, out of /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from holdfast.node.runtime import Usage
from holdfast.node.runtime.oci.processes import ProcessIdentity, identify

MOST_PROCESSES = 10_000
"""Looked at for one container: a fork bomb must not hold the agent."""


def usage_of(process: ProcessIdentity | None, at: datetime) -> Usage | None:
    """Of the process and all it has started; None if it does not run."""
    if process is None or identify(process.pid) != process:
        return None
    used = tree_usage(process.pid)
    return Usage(at, *used) if used else None


def tree_usage(pid: int) -> tuple[int, int, int] | None:
    """Nanoseconds of CPU, bytes of working set and of resident memory; None if the process has gone.

    Children that have ended count through their parents, which have waited for them.
    """
    ticks = pages = 0
    found = False
    for fields in _stats(pid):
        found = True
        ticks += sum(map(int, fields[11:15]))
        pages += int(fields[21])
    if not found:
        return None
    resident = pages * os.sysconf("SC_PAGE_SIZE")
    return ticks * 10**9 // os.sysconf("SC_CLK_TCK"), resident, resident


def _stats(pid: int) -> Iterator[list[str]]:
    """Of the process and everything below it: the fields of its stat file, from the state on."""
    waiting = [pid]
    for _ in range(MOST_PROCESSES):
        if not waiting:
            return
        process = waiting.pop()
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        waiting += _children(process)
        yield fields


def _children(pid: int) -> list[int]:
    """None where the kernel does not list them."""
    try:
        listed = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    return [int(child) for text in listed for child in text.split()]
