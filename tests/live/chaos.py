"""Processes of a cluster that are killed while it works, and what must not be left of them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from holdfast.cluster.home import Home
from holdfast.cluster.node_parts import control_group

HELPERS_FOR_S = 0.5
"""How long a process that lives for a moment only is waited for."""
LONGEST_DOWN_S = 1.5


@dataclass(frozen=True)
class Process:
    pid: int
    command: str

    @property
    def part(self) -> str:
        """What it is to the cluster."""
        for part in ("daemon", "agents"):
            if f"holdfast.cluster.{part}" in self.command:
                return part
        return "shim" if "conmon" in self.command.split(" ", 1)[0] else "helper"


def processes(home: Path) -> list[Process]:
    """Those that were started for this data directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in command and "holdfast.cli" not in command:
            found.append(Process(int(path.parent.name), command))
    return found


def first_processes(home: Path) -> dict[str, int]:
    """Of every container that runs, by its id and by the word of its supervisor's pid file."""
    found = {}
    for path in (home / "run" / "0" / "c").glob("*/pid"):
        try:
            pid = int(path.read_text())
        except (OSError, ValueError):
            continue
        if path.parent.name in _groups(pid):  # else the number is another's by now
            found[path.parent.name] = pid
    return found


def _groups(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


class Killer:
    """Kills what a seed chooses."""

    def __init__(self, cluster, chance: random.Random) -> None:
        self._cluster = cluster
        self._chance = chance
        self.hit: set[str] = set()
        """Ids of containers that were killed, or whose supervisors were: these end with 137."""
        self.counts = dict.fromkeys(("daemon", "agents", "both", "shim", "container", "helper"), 0)

    def strike(self) -> str:
        """What was hit. Afterwards the daemon is started again, as its user would; nothing else is."""
        what = self._chance.choice(list(self.counts))
        hit = {"both": self._both, "container": self._container}.get(what, lambda: self._one_of(what))()
        self.counts[what] += bool(hit)
        if what in ("daemon", "both"):
            time.sleep(self._chance.random() * LONGEST_DOWN_S)
            self._cluster.up()
        return f"{what} {hit}"

    def _one_of(self, part: str) -> list[int]:
        deadline = time.monotonic() + HELPERS_FOR_S
        while not (found := [one for one in processes(self._cluster.home) if one.part == part]):
            if time.monotonic() > deadline:
                return []
        chosen = self._chance.choice(sorted(found, key=lambda one: one.pid))
        about = chosen.command + _groups(chosen.pid)
        self.hit.update(one for one in _names(self._cluster.home / "run/0/c") if one in about)
        return _kill(chosen.pid)

    def _both(self) -> list[int]:
        """The daemon first: it would start other agents."""
        found = {one.part: one.pid for one in processes(self._cluster.home)}
        return [pid for part in ("daemon", "agents") if part in found for pid in _kill(found[part])]

    def _container(self) -> list[int]:
        found = first_processes(self._cluster.home)
        if not found:
            return []
        identifier = self._chance.choice(sorted(found))
        self.hit.add(identifier)
        return _kill(found[identifier])


def _kill(pid: int) -> list[int]:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return []
    return [pid]


def leaks(cluster) -> list[str]:
    """What is there of pods and containers that are not. Of a cluster at rest."""
    home = cluster.home
    pods = cluster.get("pods", "-A")["items"]
    uids = {pod["metadata"]["uid"] for pod in pods}
    addresses = {pod["status"].get("podIP") for pod in pods}
    found = []
    for directory in ("run/0/p", "nodes/0/pods"):
        found += [f"{directory}/{one}" for one in _names(home / directory) if one not in uids]
    found += [one for one in _names(home / "nodes/0/logs") if one.rpartition("_")[2] not in uids]
    containers, wrong = _containers(home, uids)
    found += wrong
    found += [f"address {one}" for one in _names(home / "nodes/0/addresses") if one not in addresses]
    found += [f"shim {one.pid}" for one in processes(home) if one.part == "shim" and not _serves(one, containers)]
    found += [f"helper {one}" for one in processes(home) if one.part == "helper"]
    agents = [one.pid for one in processes(home) if one.part == "agents"]
    if len(agents) != 1:
        return [f"agents {agents}"]
    in_memory = Path(f"/proc/{agents[0]}/root{home}/run/0/pods")  # of its mount namespace
    found += [f"run/0/pods/{one}" for one in _names(in_memory) if one not in uids]
    for line in Path(f"/proc/{agents[0]}/mountinfo").read_text().splitlines():
        target = line.split()[4]
        words = set(target.split("/"))
        if target == f"{home}/run/0/pods":
            continue
        if target.startswith(f"{home}/run/0/") and not words & (uids | containers | {"host", "images"}):
            found.append(f"mount {target}")
    group = control_group(Home(home), 0)
    for path in Path("/sys/fs/cgroup").glob(f"*/{group}/**/"):
        if not any(word in str(path) for word in uids | containers) and path.name != group:
            found.append(f"control group {path}")
    return found


def _containers(home: Path, uids: set[str]) -> tuple[set[str], list[str]]:
    """Ids of those that may be there: the last run of each container, and the one before it. And what else there is."""
    runs, wrong = Counter(), []
    containers = set(_names(home / "run/0/c"))
    for one in containers:
        try:
            record = json.loads((home / "run/0/c" / one / "record.json").read_text())
        except FileNotFoundError:
            record = {}
        uid = record.get("spec", {}).get("pod_uid")
        if uid not in uids:
            wrong.append(f"container {one} of pod {uid}")
        runs[uid, record.get("spec", {}).get("name")] += 1
    return containers, wrong + [f"{count} runs of {key}" for key, count in runs.items() if count > 2]


def _serves(shim: Process, containers: set[str]) -> bool:
    return any(one and one in shim.command for one in containers)


def _names(directory: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # it may go while one looks
        return [one for one in os.listdir(directory) if not one.startswith(".")]
    return []
