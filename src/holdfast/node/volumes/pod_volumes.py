"""The volumes of all pods of this node: made ready, refreshed, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding
from holdfast.client import Client
from holdfast.node.pod import Pod
from holdfast.world import World, mount_table, user_namespace
from holdfast.world.removal import remove_tree

from . import BlockPlugin, Mounted, MountFailure, Plugin, Source, Sweeping, atomic, bounded, volumes_of
from .attached import Attachments
from .contents import KINDS, Lookup, contents, for_group
from .directories import EmptyDir, HostPath, Local
from .growth import Tell
from .images import ImageDirectory
from .memory import InMemory
from .ownership import give_to_group
from .sized import SizedVolumes
from .sources import claim_of, resolve
from .usage import VolumeUse, measure

MAY_HANG = frozenset({"nfs"})
"""Kinds of volumes that nobody looks at but in a child process."""

MEASURED = frozenset({"emptyDir", "persistentVolumeClaim", "ephemeral"})


class Volumes:
    """Directories `<disk>/pods/<uid>/volumes/<name>`, those in memory under `<memory>` in place of `<disk>`."""

    def __init__(
        self,
        client: Client,
        lookup: Lookup,
        world: World,
        disk: Path,
        memory: Path,
        node: Callable[[], Manifest],
        plugins: Mapping[str, Plugin] | None = None,
        attachments: Attachments | None = None,
        tell: Tell = lambda *event: None,
    ) -> None:
        """`node` is the Node object as last read; `plugins` adds kinds or replaces them."""
        self._attachments = attachments
        self._tell = tell
        self._client = client
        self._lookup = lookup
        self._world = world
        self._disk = disk
        self._memory = memory
        self._node = node
        self._sources: dict[str, dict[str, Source]] = {}
        self._used: dict[str, set[str]] = {}
        """By the pod's uid, the PersistentVolumes that were mounted for it."""
        self._empty_in_memory = InMemory(node)
        # First those whose mounts may hang: they are taken away before anybody else looks at them.
        self._plugins: dict[str, Plugin] = {
            **{kind: plugin for kind, plugin in (plugins or {}).items() if kind in MAY_HANG},
            "emptyDir": EmptyDir(),
            "hostPath": HostPath(),
            "image": ImageDirectory(),
            "local": Local(),
            **(plugins or {}),
        }

    async def mount(self, pod: Pod) -> dict[str, Mounted]:
        """Makes every volume some container uses ready, by name. Idempotent.

        Raises MountFailure for the first that cannot be had.
        """
        mounted = {}
        for volume in volumes_of(pod):
            source = await resolve(self._client, pod, volume, self._node())
            if self._attachments is not None:
                await self._attachments.require(pod, source)
            self._require_single_user(pod, source)
            mounted[source.name] = Mounted(source, await self._set_up(pod, source))
        return mounted

    def _require_single_user(self, pod: Pod, source: Source) -> None:
        """The scheduler sees to it, but a pod may have passed by it (V79)."""
        if source.persistent_volume is None:
            return
        is_for_one = source.persistent_volume["spec"]["accessModes"] == ["ReadWriteOncePod"]
        if is_for_one and self._has_other_users(pod, source):
            refusal = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
            raise MountFailure(source.spec_name, refusal, is_device=source.is_block)
        self._used.setdefault(pod.uid, set()).add(source.spec_name)

    def _has_other_users(self, pod: Pod, source: Source) -> bool:
        return any(source.spec_name in names for uid, names in self._used.items() if uid != pod.uid)

    async def refresh(self, pod: Pod) -> None:
        """Brings the files of configMap, secret, downwardAPI and projected volumes up to date (V103).

        Raises MountFailure.
        """
        for volume in volumes_of(pod):
            if any(kind in volume for kind in KINDS):
                await self._set_up(pod, await resolve(self._client, pod, volume, self._node()))

    async def grow(self, pod: Pod, claim: str) -> None:
        """The claim's volume may have become larger under the file system that the pod has mounted (V66)."""
        for volume in volumes_of(pod):
            if claim_of(pod, volume) != claim:
                continue
            source = await resolve(self._client, pod, volume, self._node())
            plugin = self._plugin(source)
            if isinstance(plugin, SizedVolumes) and not source.is_block:
                await plugin.grow(pod, source, self._directory(pod.uid, source))

    async def usage(self, pod: Pod) -> list[VolumeUse]:
        """Of its emptyDirs and claims, as far as they are there."""
        found = []
        for volume in volumes_of(pod):
            if not volume.keys() & MEASURED:
                continue
            try:
                source = await self._source(pod, volume)
            except (MountFailure, ApiError):
                continue
            if source.is_block:
                continue  # how much of it means anything, only its users know
            claim = source.claim["metadata"]["name"] if source.claim else ""
            in_memory = not claim and self._plugin(source).is_in_memory
            place = self._place(pod.uid, source)
            if source.kind in MAY_HANG:
                use = await bounded.measure(source.name, place, claim=claim)
            else:
                use = await asyncio.to_thread(measure, source.name, place, claim=claim, is_in_memory=in_memory)
            if use is not None:
                found.append(use)
        return found

    async def _source(self, pod: Pod, volume: Manifest) -> Source:
        """Resolved once in a pod's life here: what is mounted does not change."""
        known = self._sources.setdefault(pod.uid, {})
        if volume["name"] not in known:
            known[volume["name"]] = await resolve(self._client, pod, volume, self._node())
        return known[volume["name"]]

    def _place(self, pod_uid: str, source: Source) -> Path:
        """Where a mounted volume is."""
        is_of_machine = source.kind in ("local", "hostPath")
        return Path(source.details["path"]) if is_of_machine else self._directory(pod_uid, source)

    async def unmount(self, pod_uid: str) -> None:
        """Takes everything away and removes the directories. Raises OSError: try again (V82, N201)."""
        self._sources.pop(pod_uid, None)
        for base in (self._disk, self._memory):
            top = base / "pods" / pod_uid / "volumes"
            for point in mount_table.below(top):
                await self._detach(Path(point))
            remove_tree(top)
            with suppress(OSError):
                top.parent.rmdir()  # the disk's holds more, which goes with the pod
        self._used.pop(pod_uid, None)
        if self._attachments is not None:
            self._attachments.release(pod_uid)

    async def sweep(self) -> None:
        """Takes away what an agent that was killed had begun to mount for nobody."""
        for plugin in self._plugins.values():
            if isinstance(plugin, Sweeping):
                await plugin.sweep()

    async def _detach(self, point: Path) -> None:
        for plugin in (*self._plugins.values(), self._empty_in_memory):
            await plugin.unmount(point)
            if not mount_table.below(point):
                return

    async def _set_up(self, pod: Pod, source: Source) -> Path:
        if source.kind in KINDS:
            return await self._write(pod, source)
        if source.is_block:
            return await self._attach(pod, source)
        plugin = self._plugin(source)
        path = await plugin.mount(pod, source, self._directory(pod.uid, source))
        context = pod.spec.get("securityContext") or {}
        if context.get("fsGroup") is None or self._is_anothers(pod, source, path, int(context["fsGroup"])):
            return path
        if plugin.has_ownership or _is_provisioned(source):
            await _give(source, path, int(context["fsGroup"]), context.get("fsGroupChangePolicy") or "Always")
        return path

    async def _attach(self, pod: Pod, source: Source) -> Path:
        """What is in a block volume is its users' business: nobody is given its files (V108)."""
        if user_namespace.is_inside():
            refusal = "without root there are no devices for containers"
            raise MountFailure(source.spec_name, refusal, is_device=True)
        plugin = self._plugins.get(source.kind)
        if not isinstance(plugin, BlockPlugin):
            refusal = f'no block volume plugin matched: "{source.kind}" is not supported'
            raise MountFailure(source.spec_name, refusal, is_device=True)
        return await plugin.attach(source, self._directory(pod.uid, source))

    def _is_anothers(self, pod: Pod, source: Source, path: Path, gid: int) -> bool:
        """A node's own directory belongs to the group of the first pod that has it mounted (V86)."""
        if source.kind != "local" or not self._has_other_users(pod, source):
            return False
        has = path.stat().st_gid
        if has != gid:
            message = f"The requested fsGroup is {gid}, but the volume {source.spec_name} has GID {has}."
            refusal = f"{message} The volume may not be shareable."
            self._tell(pod.manifest, "Warning", "AlreadyMountedVolume", refusal)
        return True

    async def _write(self, pod: Pod, source: Source) -> Path:
        allocatable = (self._node().get("status") or {}).get("allocatable") or {}
        files = await contents(pod, source, self._lookup, allocatable)
        gid = (pod.spec.get("securityContext") or {}).get("fsGroup")
        if gid is not None:
            files = for_group(files)
        directory = self._directory(pod.uid, source)
        try:
            atomic.write(
                directory,
                files,
                gid=gid,
                now=self._world.clock.now(),
                random=self._world.random,
            )
        except OSError as error:
            raise MountFailure(source.name, str(error)) from error
        return directory

    def _plugin(self, source: Source) -> Plugin:
        if source.kind == "emptyDir" and source.details.get("medium") == "Memory":
            return self._empty_in_memory
        plugin = self._plugins.get(source.kind)
        if plugin is None:
            raise MountFailure(source.spec_name, f'no volume plugin matched: "{source.kind}" is not supported')
        return plugin

    def _directory(self, pod_uid: str, source: Source) -> Path:
        in_memory = source.kind in KINDS or self._plugin(source).is_in_memory
        return (self._memory if in_memory else self._disk) / "pods" / pod_uid / "volumes" / source.name


async def _give(source: Source, path: Path, gid: int, policy: str) -> None:
    """A large tree takes long: other pods must not wait for it. Raises MountFailure."""
    if source.kind not in MAY_HANG:
        await asyncio.to_thread(give_to_group, path, gid, is_read_only=source.is_read_only, policy=policy)
        return
    try:
        await bounded.give_to_group(path, gid, is_read_only=source.is_read_only, policy=policy)
    except OSError as error:
        raise MountFailure(source.spec_name, f"applyFSGroup failed for vol {source.spec_name}: {error}") from error


def _is_provisioned(source: Source) -> bool:
    """Made for a claim, or by a driver: the pod's group may write to it (V109). What its user made is the user's."""
    volume = source.persistent_volume
    if volume is None:
        return False
    is_drivers = source.kind == "nfs" and "csi" in volume["spec"]
    return is_drivers or (source.kind == "hostPath" and binding.annotation(volume, binding.PROVISIONED_BY) is not None)


class ImaginedVolumes:
    """For containers that do not run: claims must be bound as ever, but nothing is made on this machine."""

    def __init__(self, client: Client, node: Callable[[], Manifest], attachments: Attachments) -> None:
        self._client = client
        self._node = node
        self._attachments = attachments

    async def mount(self, pod: Pod) -> dict[str, Mounted]:
        sources = [await resolve(self._client, pod, volume, self._node()) for volume in volumes_of(pod)]
        for source in sources:
            await self._attachments.require(pod, source)
        return {source.name: Mounted(source, Path("/") / source.name) for source in sources}

    async def refresh(self, pod: Pod) -> None: ...

    async def grow(self, pod: Pod, claim: str) -> None: ...

    async def usage(self, pod: Pod) -> list[VolumeUse]:
        return []

    async def unmount(self, pod_uid: str) -> None:
        self._attachments.release(pod_uid)

    async def sweep(self) -> None: ...
