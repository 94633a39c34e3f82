"""What this machine has left, and what each pod takes of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.node.disk import tree_bytes
from holdfast.node.files import PodFiles
from holdfast.node.pod import Pod
from holdfast.node.runtime import ContainerState, Runtime
from holdfast.node.shared import PodVolumes

from .limits import DiskUse
from .ranking import Used
from .thresholds import Reading, Readings


def machine_readings(node_disk: Path | None, image_disk: Path | None) -> Callable[[], Awaitable[Readings]]:
    """Looks at this machine; without a disk there is nothing to look at."""

    async def look() -> Readings:
        return await asyncio.to_thread(read_machine, node_disk, image_disk or node_disk) if node_disk else {}

    return look


def read_machine(node_disk: Path, image_disk: Path) -> Readings:
    """Signals that can be read here; file systems that count no inodes have none of those."""
    readings = {}
    for name, path in (("nodefs", node_disk), ("imagefs", image_disk)):
        try:
            status = os.statvfs(path)
        except OSError:
            continue
        readings[f"{name}.available"] = Reading(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)
        if status.f_files:
            readings[f"{name}.inodesFree"] = Reading(status.f_favail, status.f_files)
    if memory := _memory():
        readings["memory.available"] = memory
    if ids := _process_ids():
        readings["pid.available"] = ids
    return readings


def _memory() -> Reading | None:
    """All but the working set: what is free, and pages of files that nobody has used lately."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return Reading((kilobytes["MemFree"] + kilobytes["Inactive(file)"]) << 10, kilobytes["MemTotal"] << 10)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _process_ids() -> Reading | None:
    try:
        limits = [int(Path("/proc/sys/kernel", name).read_text()) for name in ("pid_max", "threads-max")]
        used = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
        return Reading(min(limits) - used, min(limits))
    except (OSError, ValueError, IndexError):
        return None


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What the pods of one node use. Implements `manager.Measure`."""

    runtime: Runtime
    files: PodFiles
    volumes: PodVolumes

    async def memory(self, pod: Pod) -> Used | None:
        """The working set; None if nothing of the pod can be measured."""
        containers = {}
        for record in self.runtime.containers(pod.uid):
            usage = await self.runtime.usage(record.id) if record.state is ContainerState.RUNNING else None
            if usage is not None:
                containers[record.name] = usage.memory_working_set_bytes
        return Used(sum(containers.values()), containers) if containers else None

    async def disk(self, pod: Pod) -> DiskUse:
        """Logs of a container are those of all its runs that are kept."""
        containers: dict[str, int] = {}
        for record in self.runtime.containers(pod.uid):
            containers[record.name] = containers.get(record.name, 0) + await self.runtime.written_bytes(record.id)
        for name in containers:
            if logs := self.files.logs(pod, name):
                containers[name] += await asyncio.to_thread(tree_bytes, Path(logs[0]).parent)
        empty_dirs = [volume for volume in await self.volumes.usage(pod) if not volume.claim]
        return DiskUse(
            {volume.name: volume.used_bytes for volume in empty_dirs},
            containers,
            frozenset(volume.name for volume in empty_dirs if volume.is_in_memory),
        )
