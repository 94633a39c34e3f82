"""What the controllers of snapshots look at, and what wakes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from holdfast.api.snapshots.volume_snapshot_class import VOLUME_SNAPSHOT_CLASSES
from holdfast.api.snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS
from holdfast.client import Client
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.volumes.controller import BY_SOURCE, claims_in, volumes_of
from holdfast.controllers.volumes.effects import Work
from holdfast.world import Clock

from .contents import Member, ObservedContent, plan_content
from .names import content_name, group_of
from .plan import ObservedSnapshot, plan_snapshot, volume_handle
from .protection import ObservedSource, plan_source

BY_CONTENT = "content"
BY_CLAIM = "claim"
BY_HANDLE = "volume handle"
BY_GROUP = "group"


def snapshots_in(informers: Informers) -> Informer:
    """The snapshots, to be found by their content and by the claim that they are of."""
    snapshots = informers.of(VOLUME_SNAPSHOTS)
    snapshots.add_index(BY_CONTENT, lambda snapshot: (_content_of(snapshot),))
    snapshots.add_index(BY_CLAIM, _claim_keys)
    snapshots.add_index(BY_GROUP, lambda snapshot: filter(None, (group_of(snapshot),)))
    return snapshots


def _content_of(snapshot: Manifest) -> str:
    return snapshot["spec"]["source"].get("volumeSnapshotContentName") or content_name(snapshot)


def _claim_keys(snapshot: Manifest) -> Iterable[str]:
    name = snapshot["spec"]["source"].get("persistentVolumeClaimName")
    return (f"{snapshot['metadata']['namespace']}/{name}",) if name else ()


def _handles(volume: Manifest) -> Iterable[str]:
    return (volume_handle(volume),)


class SnapshotController:
    """Keys are snapshots."""

    name = "snapshot-controller"
    concurrency = 2

    def __init__(self, clock: Clock, root: str) -> None:
        """`root` is the directory for volumes, absolute."""
        self._clock = clock
        self._root = root

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._snapshots, self._contents = snapshots_in(informers), informers.of(VOLUME_SNAPSHOT_CONTENTS)
        self._classes = informers.of(VOLUME_SNAPSHOT_CLASSES)
        self._claims, self._volumes = claims_in(informers), volumes_of(informers)
        self._snapshots.subscribe(self._on_snapshot)
        self._contents.subscribe(self._on_content)
        self._claims.subscribe(self._on_claim)

    def _on_snapshot(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def _on_content(self, old: Manifest | None, new: Manifest | None) -> None:
        content = new or old
        assert content is not None
        for snapshot in self._snapshots.by_index(BY_CONTENT, content["metadata"]["name"]):
            self._queue.add(key_of(snapshot))

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        claim = new or old
        assert claim is not None
        for snapshot in self._snapshots.by_index(BY_CLAIM, key_of(claim)):
            self._queue.add(key_of(snapshot))

    def observe(self, key: str) -> ObservedSnapshot | None:
        snapshot = self._snapshots.get(key)
        if snapshot is None:
            return None
        claim_key = next(iter(_claim_keys(snapshot)), "")
        claim = self._claims.get(claim_key) if claim_key else None
        volume_name = claim["spec"].get("volumeName") if claim else ""
        return ObservedSnapshot(
            snapshot=snapshot,
            content=self._contents.get(_content_of(snapshot)),
            claim=claim,
            volume=self._volumes.get(volume_name) if volume_name else None,
            classes=list(self._classes.list()),
            restoring=list(self._claims.by_index(BY_SOURCE, f"VolumeSnapshot/{key}")),
            root=self._root,
            now=self._clock.now(),
        )

    async def verify(self, observed: ObservedSnapshot, client: Client) -> ObservedSnapshot:
        """A snapshot lets go of its content only if that is gone for certain."""
        snapshot = observed.snapshot
        if observed.content is not None or not snapshot["metadata"].get("deletionTimestamp"):
            return observed
        try:
            content = await client.get(VOLUME_SNAPSHOT_CONTENTS, _content_of(snapshot))
        except NotFound:
            return observed
        return replace(observed, content=content)

    def plan(self, observed: ObservedSnapshot) -> Plan:
        return plan_snapshot(observed)


class SnapshotContents:
    """The local driver's part. Keys are contents."""

    name = "csi-snapshotter"
    concurrency = 8
    """More than elsewhere: a server that is away holds one of them for minutes (V97)."""

    def __init__(self, clock: Clock, root: str) -> None:
        """`root` is the directory for volumes, absolute."""
        self._clock = clock
        self._root = root

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._snapshots, self._contents = snapshots_in(informers), informers.of(VOLUME_SNAPSHOT_CONTENTS)
        self._volumes = volumes_of(informers)
        self._volumes.add_index(BY_HANDLE, _handles)
        self._contents.subscribe(self._on_content)
        self._snapshots.subscribe(self._on_snapshot)

    def _on_content(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            return
        self._queue.add(key_of(new))
        if old is None and (snapshot := self._snapshot_of(new)) is not None and (group := group_of(snapshot)):
            for other in self._snapshots.by_index(BY_GROUP, group):
                self._queue.add(_content_of(other))

    def _on_snapshot(self, old: Manifest | None, new: Manifest | None) -> None:
        snapshot = new or old
        assert snapshot is not None
        self._queue.add(_content_of(snapshot))

    def _snapshot_of(self, content: Manifest) -> Manifest | None:
        reference = content["spec"]["volumeSnapshotRef"]
        snapshot = self._snapshots.get(f"{reference['namespace']}/{reference['name']}")
        return snapshot if _is_of(snapshot, reference) else None

    def _volume_of(self, content: Manifest) -> Manifest | None:
        handle = content["spec"]["source"].get("volumeHandle") or ""
        return next(iter(self._volumes.by_index(BY_HANDLE, handle)), None) if handle else None

    def _together(self, snapshot: Manifest | None) -> list[Member]:
        group = group_of(snapshot) if snapshot else ""
        contents = [self._contents.get(_content_of(each)) for each in self._snapshots.by_index(BY_GROUP, group)]
        return [Member(content, self._volume_of(content)) for content in contents if content is not None]

    def observe(self, key: str) -> ObservedContent | None:
        content = self._contents.get(key)
        if content is None:
            return None
        snapshot = self._snapshot_of(content)
        return ObservedContent(
            content=content,
            snapshot=snapshot,
            volume=self._volume_of(content),
            root=self._root,
            now=self._clock.now(),
            together=self._together(snapshot),
        )

    async def verify(self, observed: ObservedContent, client: Client) -> ObservedContent:
        """Data goes only if the snapshot is gone for certain."""
        reference = observed.content["spec"]["volumeSnapshotRef"]
        if observed.snapshot is not None or not observed.content["metadata"].get("deletionTimestamp"):
            return observed
        try:
            live = await client.get(VOLUME_SNAPSHOTS, reference["name"], reference["namespace"])
        except NotFound:
            return observed
        return replace(observed, snapshot=live) if _is_of(live, reference) else observed

    def work(self, observed: ObservedContent) -> Work:
        return plan_content(observed)

    def plan(self, observed: ObservedContent) -> Plan:
        """What precedes the work on the disk."""
        return plan_content(observed).before


def _is_of(snapshot: Manifest | None, reference: Manifest) -> bool:
    return snapshot is not None and snapshot["metadata"]["uid"] == reference.get("uid")


class SourceProtection:
    """Keeps claims from which something is being made. Keys are claims."""

    name = "snapshot-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._claims, self._snapshots = claims_in(informers), snapshots_in(informers)
        self._claims.subscribe(self._on_claim)
        self._snapshots.subscribe(self._on_snapshot)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        for claim in filter(None, (old, new)):
            self._queue.add(key_of(claim))
            source = claim["spec"].get("dataSourceRef") or claim["spec"].get("dataSource")
            if source and source["kind"] == "PersistentVolumeClaim":
                self._queue.add(f"{claim['metadata']['namespace']}/{source['name']}")

    def _on_snapshot(self, old: Manifest | None, new: Manifest | None) -> None:
        for snapshot in filter(None, (old, new)):
            for key in _claim_keys(snapshot):
                self._queue.add(key)

    def observe(self, key: str) -> ObservedSource | None:
        claim = self._claims.get(key)
        if claim is None:
            return None
        clones = self._claims.by_index(BY_SOURCE, f"PersistentVolumeClaim/{key}")
        return ObservedSource(
            claim=claim,
            is_cut=any(map(_is_being_taken, self._snapshots.by_index(BY_CLAIM, key))),
            is_cloned=any(not each["metadata"].get("deletionTimestamp") for each in clones),
        )

    def plan(self, observed: ObservedSource) -> Plan:
        return plan_source(observed)


def _is_being_taken(snapshot: Manifest) -> bool:
    """It has a content, which is not whole yet."""
    status = snapshot.get("status") or {}
    is_begun = bool(status.get("boundVolumeSnapshotContentName"))
    return is_begun and not status.get("readyToUse") and not snapshot["metadata"].get("deletionTimestamp")
