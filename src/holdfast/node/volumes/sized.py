"""Volumes with a size: images of the local provisioner, mounted for each pod (see `holdfast.disks`).

Every pod has a mount of its own of the one file system: what one pod's end takes away, another pod's use does not
notice (V144). The kernel counts; nothing is recorded.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
from pathlib import Path

from holdfast.api.resource import Manifest
from holdfast.disks import Disk, devices, mounting
from holdfast.disks.pool import Pool
from holdfast.node.pod import Pod

from . import MountFailure, Source
from .growth import Growth

log = logging.getLogger(__name__)

BACKING, IMAGE = "holdfast.dev/backing", "image"
_HANDLE = re.compile(r"[a-z0-9][a-z0-9.-]*")


class SizedVolumes:
    """Of the `csi` sources those that were provisioned here; there are no other drivers."""

    has_ownership = True
    is_in_memory = False

    def __init__(self, root: Path, growth: Growth) -> None:
        """`root` is where the provisioner keeps volumes."""
        self._root = root
        self._pool = Pool(root)
        self._growth = growth

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        path = path_of(source.details, self._root)
        if path is None:
            raise _unknown(source, "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client")
        options = ((source.persistent_volume or {}).get("spec") or {}).get("mountOptions") or ()
        try:
            disk = Disk(await asyncio.to_thread(self._pool.place, path))
            await asyncio.to_thread(mounting.mount, disk, directory, options)
        except OSError as error:
            raise MountFailure(source.spec_name, f"{error.strerror or error}: {path}") from error
        await self._growth.finish(pod, source, disk, directory)
        return directory

    async def attach(self, source: Source, directory: Path) -> Path:
        path = path_of(source.details, self._root)
        if path is None:
            raise _unknown(source, "blockMapper.SetUpDevice failed to get CSI client")
        try:
            disk = Disk(await asyncio.to_thread(self._pool.place, path))
            if disk.exists and not disk.is_device:
                raise OSError(errno.EINVAL, "a file system, not a block volume")
            await asyncio.to_thread(devices.attach, disk, directory)
        except OSError as error:
            raise MountFailure(source.spec_name, f"{error.strerror or error}: {path}", is_device=True) from error
        return directory

    async def grow(self, pod: Pod, source: Source, directory: Path) -> None:
        """Finishes the growth of a volume that is mounted already; a device has grown by itself."""
        path = path_of(source.details, self._root)
        if path is not None and os.path.ismount(directory):
            try:
                disk = Disk(await asyncio.to_thread(self._pool.place, path))
            except OSError as error:
                log.warning("volume not grown path=%s error=%s", path, error)
                return
            await self._growth.finish(pod, source, disk, directory)

    async def unmount(self, directory: Path) -> None:
        end = devices.release if devices.is_device(directory) else mounting.unmount
        await asyncio.to_thread(end, directory)


def _unknown(source: Source, step: str) -> MountFailure:
    driver = source.details.get("driver", "")
    refusal = f"{step}: driver name {driver} not found in the list of registered CSI drivers"
    return MountFailure(source.spec_name, refusal, is_device=source.is_block)


def path_of(details: Manifest, root: Path) -> Path | None:
    """By which the volume with that `csi` source is known; None if it is none of ours."""
    handle = str(details.get("volumeHandle") or "")
    is_ours = (details.get("volumeAttributes") or {}).get(BACKING) == IMAGE
    return root / handle if is_ours and _HANDLE.fullmatch(handle) else None
