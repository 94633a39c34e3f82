"""Cold start: from nothing on disk to API ready and nodes Ready; and what the daemon costs when idle."""

from __future__ import annotations

import statistics
import time
from typing import Any

from .cluster import cluster, process_tree_cpu_s, rss_mb


def measure(runs: int = 3, idle_s: float = 20) -> dict[str, Any]:
    """Medians of `runs` cold starts, a warm restart, and one idle period of `idle_s` seconds."""
    cold, again = [], []
    for _ in range(runs):
        with cluster() as made:
            cold.append(made.up())
            made.command("down")
            again.append(made.up())
    with cluster() as made:
        made.up()
        idle = _idle(made, idle_s)
    return {
        "cold_up_s": round(statistics.median(cold), 3),
        "cold_up_all_s": [round(seconds, 3) for seconds in cold],
        "second_up_s": round(statistics.median(again), 3),
        **idle,
    }


def _idle(made: Any, seconds: float) -> dict[str, Any]:
    """Memory, CPU and writes of daemon and agents while nothing is asked of them."""
    time.sleep(5)
    processes = {"daemon": made.status()["daemon"]["pid"], "agents": made.status()["daemon"]["agents_pid"]}
    time.sleep(2)
    cpu = {name: process_tree_cpu_s(pid) for name, pid in processes.items()}
    revision = _revision(made)
    time.sleep(seconds)
    used = {name: process_tree_cpu_s(pid) - cpu[name] for name, pid in processes.items()}
    return {
        "daemon_rss_mb": round(rss_mb(processes["daemon"]), 1),
        "agents_rss_mb": round(rss_mb(processes["agents"]), 1),
        "daemon_idle_cpu_percent": round(100 * used["daemon"] / seconds, 2),
        "agents_idle_cpu_percent": round(100 * used["agents"] / seconds, 2),
        "idle_writes": _revision(made) - revision,
        "idle_s": seconds,
    }


def _revision(made: Any) -> int:
    return int(made.call("GET", "/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"])
