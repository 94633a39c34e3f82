"""Volumes that show what is in an image (V75)."""

from __future__ import annotations

from pathlib import Path

from holdfast.node.pod import Pod
from holdfast.world import linux, mount_table

from . import Source


class ImageDirectory:
    """Room for the image, which the runtime mounts when a container that wants it is started: pulls take their time,
    and what they end with is the container's state."""

    has_ownership = False
    is_in_memory = False

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    async def unmount(self, directory: Path) -> None:
        if any(mount.point == str(directory) and mount.kind == "overlay" for mount in mount_table.mounts()):
            linux.unmount(str(directory))
