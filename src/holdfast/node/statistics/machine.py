"""What this machine as a whole has used, out of /proc: it is the node, containers or not."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from holdfast.node.runtime import Usage

_BUSY = (1, 2, 3, 6, 7, 8)
"""Of a line of /proc/stat: user, nice, system, irq, softirq, steal. Guests are counted in user and nice."""


def read_usage(now: datetime) -> Usage | None:
    """None where /proc does not tell."""
    try:
        return parse(Path("/proc/stat").read_text(), Path("/proc/meminfo").read_text(), now)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def parse(stat: str, meminfo: str, now: datetime) -> Usage:
    """Raises ValueError, KeyError, IndexError for texts that are not of these files."""
    total = stat.partition("\n")[0].split()
    ticks = sum(int(total[field]) for field in _BUSY)
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in meminfo.splitlines())}
    used = kilobytes["MemTotal"] - kilobytes["MemFree"]
    working_set = max(0, used - kilobytes["Inactive(file)"])
    cpu_usage_ns = ticks * 10**9 // os.sysconf("SC_CLK_TCK")
    return Usage(now, cpu_usage_ns, working_set << 10, kilobytes["AnonPages"] << 10)
