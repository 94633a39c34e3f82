"""The volume plugin."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.nfs import FILE_SYSTEM
from holdfast.node.pod import Pod
from holdfast.node.volumes import MountFailure, Source

from . import kernel, table
from .plan import Export, export_of, failure
from .served import Begin, NotServed, Order, ServedMounts

Resolve = Callable[[str], Awaitable[str]]
"""From a server's name to its address where only the cluster's DNS knows it (V95); empty where it need not."""

NO_CLIENT = (
    "mount: {point}: bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper "
    "program. (This machine has no NFS client: `holdfast doctor` says what it lacks.)"
)
"""mount(8)'s words."""


def nfs_directory(state: Path) -> Path:
    """Where a node keeps the mounts that its processes serve."""
    return state / "nfs"


class Nfs:
    """Shared between pods: by the kernel's own super block, or by the process that serves the export."""

    has_ownership = False
    is_in_memory = False

    def __init__(self, top: Path, resolve: Resolve, begin: Begin | None = None) -> None:
        """`top` is a directory for the mounts that processes serve, which `begin` starts."""
        self._served = ServedMounts(top, begin)
        self._resolve = resolve

    async def mount(self, pod: Pod, source: Source, directory: Path) -> Path:
        export = export_of(source.details, source.persistent_volume, is_read_only=source.is_read_only)
        is_new = table.at(directory) is None
        if is_new:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        try:
            await self._mount(export, directory)
        except BaseException as error:
            if table.at(directory) is None:
                with contextlib.suppress(OSError):
                    directory.rmdir()
            if isinstance(error, kernel.CannotMount):
                raise MountFailure(source.spec_name, str(error)) from error
            if isinstance(error, OSError):
                message = failure(export, str(directory), "exit status 32", f"mount.nfs: {error.strerror or error}")
                raise MountFailure(source.spec_name, message) from error
            raise
        return directory

    async def unmount(self, directory: Path) -> None:
        there = table.at(directory)
        if there is None:
            return
        if there.kind == FILE_SYSTEM:
            await self._served.unmount(directory)
        else:
            await kernel.unmount(directory)

    async def sweep(self) -> None:
        """At the start of an agent, once it knows its pods."""
        await self._served.sweep()

    async def _mount(self, export: Export, directory: Path) -> None:
        there = table.at(directory)
        if there is not None and there.kind != FILE_SYSTEM:
            return
        address = await self._resolve(export.server)
        if there is None and await kernel.can_mount():
            await kernel.mount(export, directory, address)
            return
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            words = NO_CLIENT.format(point=directory)
            raise kernel.CannotMount(failure(export, str(directory), "exit status 32", words))
        order = Order(export.source, export.options, address)
        try:
            await self._served.mount(export.key, order, directory, is_read_only=export.is_read_only)
        except NotServed as error:
            words = failure(export, str(directory), "exit status 32", f"mount.nfs: {error}")
            raise kernel.CannotMount(words) from error
