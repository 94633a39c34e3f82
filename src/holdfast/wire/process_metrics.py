"""What this process itself uses, under the names that every Prometheus client library gives it."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from .prometheus import Family, Sample

_STARTED_FIELD = 19
"""Of /proc/self/stat, counted behind the name: ticks from the machine's start to the process's."""


def families() -> list[Family]:
    """What cannot be read here is left out."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    gauges: list[tuple[str, str, float | None]] = [
        ("process_max_fds", "Maximum number of open file descriptors.", _most_files()),
        ("process_open_fds", "Number of open file descriptors.", _open_files()),
        ("process_resident_memory_bytes", "Resident memory size in bytes.", _resident_bytes()),
        ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", _started_s()),
    ]
    cpu = Sample(usage.ru_utime + usage.ru_stime)
    return [
        Family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", [cpu]),
        *(Family(name, "gauge", text, [Sample(value)]) for name, text, value in gauges if value is not None),
    ]


def _most_files() -> float | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else float(soft)


def _open_files() -> float | None:
    try:
        return float(len(os.listdir("/proc/self/fd")) - 1)
    except OSError:
        return None


def _resident_bytes() -> float | None:
    try:
        return float(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):
        return None


def _started_s() -> float | None:
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_STARTED_FIELD])
        lines = Path("/proc/stat").read_text().splitlines()
        booted_s = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
        return booted_s + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
