"""What must not hit the disk: one tmpfs for the files of a node's pods, and one for each emptyDir in memory (V101).

Where this process may not mount, they are plain directories below the run directory.

Source: Kubernetes, pkg/volume/emptydir/empty_dir.go.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from holdfast.api import quantity
from holdfast.api.resource import Manifest
from holdfast.node.pod import Pod
from holdfast.world import linux, mount_table

from . import MountFailure, Source

log = logging.getLogger(__name__)

_FLAGS = linux.MS_NOSUID | linux.MS_NODEV


def prepare(pods: Path) -> None:
    """Has the directory of all pods in memory. One in which something is stays as it is: containers have it mounted."""
    pods.mkdir(mode=0o700, parents=True, exist_ok=True)
    if str(pods.resolve()) in mount_table.below(pods) or any(pods.iterdir()):
        return
    try:
        linux.mount("tmpfs", str(pods), "tmpfs", _FLAGS, "mode=0700")
    except OSError as error:
        log.info("what should be in memory is on the disk directory=%s error=%s", pods, error)


def take_down(pods: Path) -> None:
    """Takes away what is mounted there. Raises OSError."""
    for point in mount_table.below(pods):
        linux.unmount(point)


class InMemory:
    """An emptyDir with the medium Memory: as large as the pod may have memory, or as its own limit says."""

    has_ownership = True
    is_in_memory = True

    def __init__(self, node: Callable[[], Manifest]) -> None:
        self._node = node

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not os.path.ismount(directory):
                _mount(directory, size_bytes(pod, source.details, self._node()))
        except OSError as error:
            raise MountFailure(source.name, error.strerror or str(error)) from error
        return directory

    async def unmount(self, directory: Path) -> None:
        if _is_tmpfs(directory):
            linux.unmount(str(directory))


def size_bytes(pod: Pod, details: Manifest, node: Manifest) -> int:
    """The least of what the node has, what the pod's containers may have, and the volume's own limit; 0: no limit."""
    allocatable = ((node.get("status") or {}).get("allocatable") or {}).get("memory")
    of_pod = sum(
        quantity.whole(limit)
        for container in pod.spec.get("containers") or ()
        if (limit := ((container.get("resources") or {}).get("limits") or {}).get("memory"))
    )
    of_volume = quantity.whole(details["sizeLimit"]) if details.get("sizeLimit") else 0
    known = [quantity.whole(allocatable) if allocatable else 0, of_pod, of_volume]
    return min((amount for amount in known if amount > 0), default=0)


def _mount(directory: Path, size: int) -> None:
    words = f"mode=0777,size={size}" if size else "mode=0777"
    for options in (f"{words},noswap", words):  # older kernels do not know the first
        try:
            linux.mount("tmpfs", str(directory), "tmpfs", _FLAGS, options)
            return
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                os.chmod(directory, 0o777)
                return
            if error.errno != errno.EINVAL or options == words:
                raise


def _is_tmpfs(directory: Path) -> bool:
    return any(mount.point == str(directory) and mount.kind == "tmpfs" for mount in mount_table.mounts())
