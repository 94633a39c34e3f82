"""Control groups of pods and containers: whether limits work here, what was used, whether memory ran out.

crun makes and removes the group of a container itself; the level of the pod is ours to make, it and that of
the cluster ours to remove (R34). What cannot be done here is reported as unknown, never as zero.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from holdfast.node.runtime import ContainerResources
from holdfast.world import linux

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
CONTROLLERS = frozenset({"memory", "cpu"})
"""Those that limit."""
LEAST_SHARES, MOST_SHARES = 2, 262_144
_CGROUP2_MAGIC = 0x63677270
_ITSELF = "0"
"""Whoever writes it, where pids are written."""


class Layout(StrEnum):
    V2 = "v2"
    V1 = "v1"
    NONE = "none"
    """Hidden, read-only or not permitted: crun runs with its cgroup manager disabled."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Totals of one group; None where the layout does not tell."""

    cpu_usage_ns: int | None
    memory_working_set_bytes: int | None
    memory_rss_bytes: int | None
    memory_usage_bytes: int | None


def find_layout(probe_name: str) -> Layout:
    """Found by doing: a group named `probe_name` is made and removed (R30)."""
    try:
        version_2 = linux.filesystem_magic(str(ROOT)) == _CGROUP2_MAGIC
    except OSError:
        return Layout.NONE
    controllers = [ROOT] if version_2 else [ROOT / name for name in ("memory", "cpu", "pids")]
    for controller in controllers:
        directory = controller / probe_name
        try:
            if not version_2 and not (controller / "cgroup.procs").exists():
                return Layout.NONE
            directory.mkdir(exist_ok=True)
            directory.rmdir()
        except OSError:
            return Layout.NONE
    return Layout.V2 if version_2 else Layout.V1


def find_delegated(below: str, probe_name: str) -> frozenset[str] | None:
    """The same below a group that is the user's: what groups there can limit; None if there can be none."""
    directory = ROOT / below.lstrip("/") / probe_name
    try:
        directory.mkdir(exist_ok=True)
        controllers = (directory / "cgroup.controllers").read_text().split()
        directory.rmdir()
    except OSError:
        return None
    return CONTROLLERS.intersection(controllers)


class Groups:
    """The groups of one cluster, all below `<below>/<parent>` of each hierarchy."""

    def __init__(self, parent: str, layout: Layout, below: str = "", controllers: frozenset[str] = CONTROLLERS) -> None:
        self.layout = layout
        self.controllers = controllers
        self._below = below.strip("/")
        self.parent = f"{self._below}/{parent}".lstrip("/")

    def prepare_move(self) -> None:
        """Has the next process that is moved to another group moved at once, if that is within some 10 ms. Blocks.

        A move waits until all processors know of it, 5 to 15 ms, a third of what a container's start takes. Right after
        another it does not. So this moves this process to where it is, while the container is prepared; the kernel
        waits all the same. Source: kernel/cgroup/cgroup.c, cgroup_attach_lock; kernel/rcu/sync.c.
        """
        if self.layout is Layout.NONE:
            return
        for line in _lines(OWN):
            _, controllers, path = line.split(":", 2)
            if (controllers == "") is (self.layout is Layout.V2):
                group = self._directory(controllers.removeprefix("name="), path)
                with contextlib.suppress(OSError):
                    (group / "cgroup.procs").write_text(_ITSELF)
                    return

    def path(self, pod_uid: str, container_id: str) -> str:
        """The `cgroupsPath` of a container; empty where there are no groups."""
        return "" if self.layout is Layout.NONE else f"/{self.parent}/{pod_uid}/{container_id}"

    def limit(self, path: str, limits: ContainerResources) -> None:
        """Changes the limits of a group that is in use; where there are no groups, nothing. Raises OSError.

        Not by `crun update`, which cannot take a CPU limit away.
        """
        if path and self.layout is not Layout.NONE:
            memory, cpu = self._directory("memory", path), self._directory("cpu", path)
            if self.layout is Layout.V1:
                _limit_v1(memory, cpu, limits)
            else:
                _limit_v2(memory, limits, self.controllers)

    def limit_pod(self, pod_uid: str, limits: ContainerResources) -> None:
        """Makes the level of the pod, if it is not there, with these limits. Raises OSError.

        Nothing is limited where version 2 does not pass its controllers on: crun says then what is wrong.
        """
        if self.layout is Layout.NONE:
            return
        path = f"/{self.parent}/{pod_uid}"
        directories = [self._directory(controller, path) for controller in ("memory", "cpu")]
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
        if self.layout is Layout.V1 or all(map(self._passes_on, (ROOT / self._below, ROOT / self.parent))):
            self.limit(path, limits)

    def _passes_on(self, group: Path) -> bool:
        """Whether groups below have the controllers of version 2."""
        try:
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in sorted(self.controllers)))
        except OSError:
            return False
        return True

    def oom_kills(self, path: str) -> int:
        """Processes of the group killed for want of memory since it was made; the group must still be there (R62)."""
        if not path or self.layout is Layout.NONE:
            return 0
        directory = self._directory("memory", path)
        name = "memory.events" if self.layout is Layout.V2 else "memory.oom_control"
        return _keyed(directory / name).get("oom_kill", 0)

    def read(self, path: str) -> Reading | None:
        """What the container has used; None if its group is gone (R63)."""
        if not path or self.layout is Layout.NONE:
            return None
        memory = self._directory("memory", path)
        if not memory.is_dir():
            return None
        stat = _keyed(memory / "memory.stat")
        if self.layout is Layout.V2:
            used = _number(memory / "memory.current")
            cpu_us = _keyed(memory / "cpu.stat").get("usage_usec")
            cpu_ns = None if cpu_us is None else cpu_us * 1000
            inactive, rss = stat.get("inactive_file", 0), stat.get("anon")
        else:
            used = _number(memory / "memory.usage_in_bytes")
            cpu_ns = _number(self._directory("cpuacct", path) / "cpuacct.usage")
            inactive, rss = stat.get("total_inactive_file", 0), stat.get("total_rss")
        working_set = None if used is None else max(0, used - inactive)
        return Reading(cpu_ns, working_set, rss, used)

    def processes(self, pod_uid: str) -> set[int]:
        """Pids still in any group of the pod."""
        pids: set[int] = set()
        for top in self._tops():
            for directory in _below(top / pod_uid):
                pids.update(_pids(directory / "cgroup.procs"))
        return pids

    def remove_pod(self, pod_uid: str) -> None:
        """Removes the pod's level in every hierarchy; groups that still hold processes stay."""
        for top in self._tops():
            for directory in _below(top / pod_uid):
                with contextlib.suppress(OSError):
                    directory.rmdir()

    def remove_all(self) -> None:
        """Removes the cluster's level and whatever empty groups are below it."""
        for top in self._tops():
            for directory in _below(top):
                with contextlib.suppress(OSError):
                    directory.rmdir()

    def _directory(self, controller: str, path: str) -> Path:
        base = ROOT if self.layout is Layout.V2 else ROOT / controller
        return base / path.lstrip("/")

    def _tops(self) -> Iterator[Path]:
        if self.layout is Layout.V2:
            yield ROOT / self.parent
        elif self.layout is Layout.V1:
            with os.scandir(ROOT) as entries:
                yield from [Path(entry.path, self.parent) for entry in entries if entry.is_dir(follow_symlinks=False)]


def find_groups(parent: str, below: str | None) -> Groups:
    """The groups named `parent`, as far as there can be any; see `OciRuntime`."""
    probe = f"{parent}-probe"
    if below is None:
        return Groups(parent, find_layout(probe))
    controllers = find_delegated(below, probe) if below else None
    return Groups(parent, Layout.NONE) if controllers is None else Groups(parent, Layout.V2, below, controllers)


def said_by_kernel(error: OSError) -> str:
    """Why a limit could not be changed."""
    return f"writing {error.filename}: {(error.strerror or str(error)).lower()}"


def _limit_v1(memory: Path, cpu: Path, limits: ContainerResources) -> None:
    """Memory and swap together may never be less than memory alone: the larger limit goes first when both grow."""
    bytes = -1 if limits.memory_limit_bytes is None else limits.memory_limit_bytes
    both = [memory / "memory.limit_in_bytes", memory / "memory.memsw.limit_in_bytes"]
    before = _number(both[0]) or 0
    for file in reversed(both) if bytes < 0 or bytes > before else both:
        if file.exists():  # without swap accounting there is only one
            file.write_text(str(bytes))
    (cpu / "cpu.cfs_period_us").write_text(str(limits.cpu_period_us))
    (cpu / "cpu.cfs_quota_us").write_text(str(-1 if limits.cpu_quota_us is None else limits.cpu_quota_us))
    (cpu / "cpu.shares").write_text(str(limits.cpu_shares or LEAST_SHARES))


def _limit_v2(group: Path, limits: ContainerResources, controllers: frozenset[str]) -> None:
    if "memory" in controllers:
        most = "max" if limits.memory_limit_bytes is None else str(limits.memory_limit_bytes)
        (group / "memory.max").write_text(most)
    if "cpu" in controllers:
        quota = "max" if limits.cpu_quota_us is None else str(limits.cpu_quota_us)
        (group / "cpu.max").write_text(f"{quota} {limits.cpu_period_us}")
        (group / "cpu.weight").write_text(str(weight(limits.cpu_shares or LEAST_SHARES)))


def weight(shares: int) -> int:
    """The shares of version 1 on the scale of version 2, as crun converts them (N141)."""
    return 1 + (shares - LEAST_SHARES) * 9999 // (MOST_SHARES - LEAST_SHARES)


def _below(top: Path) -> list[Path]:
    """`top` and every directory below it, deepest first."""
    return [Path(path) for path, _, _ in os.walk(top, topdown=False)]


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _keyed(path: Path) -> dict[str, int]:
    """A file of lines `name number`; empty if it is not there."""
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _pids(path: Path) -> list[int]:
    return [int(line) for line in _lines(path) if line.isdigit()]


def _lines(path: Path) -> list[str]:
    """Of a file; none if it is not there."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
