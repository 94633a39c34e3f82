"""The local provisioner at work: makes volumes' directories for claims, and takes them away again."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeVar

from holdfast.api.core.machines import machine_of
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from holdfast.api.snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS
from holdfast.api.storage import binding, shares
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.client import Client
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.runner import Controller, Runner
from holdfast.world import Clock, World

from .controller import BY_CLAIM, BY_CLASS, BY_SOURCE, claims_in, live_claim, pods_in, volumes_of
from .effects import Backing, DirectoryWork, ShareWork, VolumeDirectories, Work
from .origin import LocalSources, Lookups, Sources, find_origin
from .provision import ObservedRequest, plan_provision, volume_name
from .provisioners import LOCAL
from .reclaim import ObservedRelease, plan_reclaim
from .share import ShareSources, plan_share

T = TypeVar("T")

OVERDUE = "Pod was active on the node longer than the specified deadline"
"""What is said of a recycler that took too long: there is no pod, but users look for these words."""


class DirectoryController(Controller[T], Protocol[T]):
    """A controller whose plan includes work on a directory."""

    def work(self, observed: T) -> Work:
        """What to do. Pure."""


class DirectoryRunner(Runner[T]):
    """Runs a controller that works on directories between its API calls."""

    def __init__(
        self,
        controller: DirectoryController[T],
        client: Client,
        informers: Informers,
        world: World,
        directories: VolumeDirectories,
    ) -> None:
        super().__init__(controller, client, informers, world)
        self._decide = controller.work
        self._directories = directories

    async def reconcile(self, key: str) -> None:
        observed = await self.observe(key)
        if observed is None:
            return
        work = self._decide(observed)
        await self.carry_out(key, replace(work.before, subject=work.subject))
        if work.directory is not None:
            is_done, outcome = await self._perform(work.directory)
            await self.carry_out(key, replace(outcome, subject=work.subject))
            if is_done and (settled := _settles(work.directory)):
                await self._directories.settle(settled)

    async def _perform(self, work: DirectoryWork | ShareWork) -> tuple[bool, Plan]:
        if isinstance(work, ShareWork):
            return await self._on_share(work)
        operation = getattr(self._directories, work.operation)
        try:
            result = await operation(work.path, *work.arguments)
        except OSError as error:
            is_overdue = isinstance(error, TimeoutError) and error.errno is None
            return False, work.failed(OVERDUE if is_overdue else f"{error.strerror or error}: {work.path}")
        return True, work.done_by(result) if work.done_by else work.done

    async def _on_share(self, work: ShareWork) -> tuple[bool, Plan]:
        try:
            result = await self._directories.on_share(work)
        except TimeoutError:
            return False, work.failed(OVERDUE)
        except OSError as error:
            return False, work.failed(str(error))
        return True, work.done_by(result) if work.done_by else work.done


def _settles(work: DirectoryWork | ShareWork) -> str:
    """The path that nobody has to wonder about any more."""
    if isinstance(work, ShareWork):
        return work.settles
    return work.path if work.settles else ""


class LocalProvisioner:
    """Makes the volumes of claims that name a provisioner served here. Keys are claims."""

    name = LOCAL
    concurrency = 4

    def __init__(self, root: str, directories: VolumeDirectories, machine: str = "") -> None:
        """`root` is the directory for volumes, absolute; `machine` the one where it is, as `machine_of` has it."""
        self._root = root
        self._directories = directories
        self._machine = machine
        self._sources: Sources = LocalSources(machine)

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._claims, self._volumes = claims_in(informers), volumes_of(informers)
        self._classes, self._nodes = informers.of(STORAGE_CLASSES), informers.of(NODES)
        self._snapshots, self._contents = informers.of(VOLUME_SNAPSHOTS), informers.of(VOLUME_SNAPSHOT_CONTENTS)
        self._claims.subscribe(self._on_claim)
        self._classes.subscribe(self._on_class)
        self._snapshots.subscribe(self._on_snapshot)
        self._find = Lookups(self._claims.get, self._volumes.get, self._snapshots.get, self._contents.get)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            return
        if not new["spec"].get("volumeName"):
            self._queue.add(key_of(new))
        self._on_source("PersistentVolumeClaim", new)

    def _on_snapshot(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._on_source("VolumeSnapshot", new)

    def _on_source(self, kind: str, source: Manifest) -> None:
        for claim in self._claims.by_index(BY_SOURCE, f"{kind}/{key_of(source)}"):
            self._queue.add(key_of(claim))

    def _on_class(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            for claim in self._claims.by_index(BY_CLASS, new["metadata"]["name"]):
                self._queue.add(key_of(claim))

    def observe(self, key: str) -> ObservedRequest | None:
        claim = self._claims.get(key)
        if claim is None or not self._is_here(claim):
            return None
        return ObservedRequest(
            claim=claim,
            storage_class=self._classes.get(binding.class_of(claim)),
            exists=self._volumes.get(volume_name(claim)) is not None,
            root=self._root,
            origin=find_origin(claim, self._find, self._root, self._sources),
            machine=self._machine,
        )

    def _is_here(self, claim: Manifest) -> bool:
        """Whether its pod is to run on this machine; if nobody has chosen yet, it is the first one's."""
        node = self._nodes.get(binding.annotation(claim, binding.SELECTED_NODE) or "")
        return machine_of(node) == self._machine

    async def verify(self, observed: ObservedRequest, client: Client) -> ObservedRequest:
        """Asks the machine what the volume can be made of; of the API nothing has to be read again (V135)."""
        origin = observed.origin
        if origin is None:
            return replace(observed, backing=await self._directories.backing(binding.requested_bytes(observed.claim)))
        if not origin.path:
            return observed
        try:
            is_sized = await self._directories.is_image(origin.path)
        except OSError as error:
            return replace(observed, origin=replace(origin, refusal=f"{error.strerror or error}: {origin.path}"))
        return replace(observed, backing=Backing(is_sized, "" if is_sized else "what it was made from is one"))

    def work(self, observed: ObservedRequest) -> Work:
        return plan_provision(observed)

    def plan(self, observed: ObservedRequest) -> Plan:
        """What precedes the work on the directory."""
        return plan_provision(observed).before


class ShareProvisioner(LocalProvisioner):
    """Makes directories of NFS shares for claims of such classes (V97). Keys are claims.

    By itself, so that a server that is away holds up nobody else's volumes.
    """

    name = shares.DRIVER
    concurrency = 8

    def __init__(self, root: str, directories: VolumeDirectories) -> None:
        super().__init__(root, directories)
        self._sources = ShareSources()

    def _is_here(self, claim: Manifest) -> bool:
        return True  # every machine reaches a share

    async def verify(self, observed: ObservedRequest, client: Client) -> ObservedRequest:
        return observed

    def work(self, observed: ObservedRequest) -> Work:
        return plan_share(observed)

    def plan(self, observed: ObservedRequest) -> Plan:
        return plan_share(observed).before


class Reclaimer:
    """Deletes or recycles released volumes. Keys are volumes."""

    name = "persistentvolume-controller"
    concurrency = 32
    """More than elsewhere: a server that is away holds one of them for minutes (V55)."""

    def __init__(self, clock: Clock, root: str, machine: str = "") -> None:
        """`root` is the directory for volumes, absolute; `machine` the one where it is, as `machine_of` has it."""
        self._clock = clock
        self._root = root
        self._machine = machine

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._volumes, self._claims, self._pods = volumes_of(informers), claims_in(informers), pods_in(informers)
        self._nodes = informers.of(NODES)
        self._volumes.subscribe(self._on_volume)

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and (new.get("status") or {}).get("phase") in ("Released", "Failed"):
            self._queue.add(key_of(new))

    def observe(self, key: str) -> ObservedRelease | None:
        volume = self._volumes.get(key)
        if volume is None or not volume["spec"].get("claimRef"):
            return None
        machine = machine_of(volume)
        has_left = machine if machine and self._nodes.get(machine) is None else ""
        if machine != self._machine and (self._machine or not has_left):
            return None
        users = self._users(binding.claim_key(volume))
        return ObservedRelease(volume, users, self._clock.now(), self._root, has_left)

    def _users(self, key: str) -> list[str]:
        if self._claims.get(key) is not None:
            return []  # pods of that name use the new claim
        return [key_of(pod) for pod in self._pods.by_index(BY_CLAIM, key) if _runs(pod)]

    async def verify(self, observed: ObservedRelease, client: Client) -> ObservedRelease | None:
        """Data is deleted only for a volume that at the server is released, its claim gone."""
        metadata, spec = observed.volume["metadata"], observed.volume["spec"]
        try:
            live = await client.get(PERSISTENT_VOLUMES, metadata["name"])
        except NotFound:
            return None
        is_same = live["metadata"]["uid"] == metadata["uid"] and live["spec"].get("claimRef") == spec["claimRef"]
        if not is_same or (live.get("status") or {}).get("phase") not in ("Released", "Failed"):
            return None
        claim = await live_claim(live, client)
        is_claimed = (
            claim is not None
            and claim["metadata"]["uid"] == spec["claimRef"].get("uid")
            and claim["spec"].get("volumeName") in (None, "", metadata["name"])
        )
        return None if is_claimed else replace(observed, volume=live)

    def work(self, observed: ObservedRelease) -> Work:
        return plan_reclaim(observed)

    def plan(self, observed: ObservedRelease) -> Plan:
        """What precedes the work on the directory."""
        return plan_reclaim(observed).before


def _runs(pod: Manifest) -> bool:
    has_ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return bool(pod["spec"].get("nodeName")) and not has_ended
