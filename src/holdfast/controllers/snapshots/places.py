"""Where the data of snapshots lie, and the work on them: on this machine, or on the share of a volume (V97). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from holdfast.api.resource import Manifest
from holdfast.api.storage import shares
from holdfast.api.storage.mount_options import mount_options
from holdfast.controllers.actions import Plan
from holdfast.controllers.volumes.effects import Cut, DirectoryWork, ShareWork
from holdfast.controllers.volumes.places import SNAPSHOTS, is_sized, path_of
from holdfast.controllers.volumes.provisioners import DRIVERS
from holdfast.controllers.volumes.share import COPIED_WITHIN_S, copied_within_s, on_share

from .names import handle_of

Failed = Callable[[str], Plan]
Taken = Callable[[Cut], Plan]
_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Place(Protocol):
    """One driver's."""

    def handle(self, content: Manifest) -> str:
        """Of a snapshot that is to be taken, or was being taken. Empty if that cannot be told."""

    def knows(self, handle: str) -> bool:
        """Whether it is a handle of the driver's."""

    def cut(self, handle: str, content: Manifest, volume: Manifest, taken: Taken, failed: Failed) -> Any:
        """Takes a snapshot."""

    def look(self, handle: str, content: Manifest, taken: Taken, failed: Failed) -> Any:
        """Tells of one that is there."""

    def remove(self, handle: str, content: Manifest, gone: Plan, failed: Failed) -> Any:
        """Takes one away; its absence is success."""


class OnDisk:
    """Below the directory of volumes."""

    def __init__(self, root: str) -> None:
        self._root = root

    def handle(self, content: Manifest) -> str:
        return handle_of(content)

    def knows(self, handle: str) -> bool:
        return bool(_HANDLE.fullmatch(handle))

    def path(self, handle: str) -> str:
        return f"{self._root}/{SNAPSHOTS}/{handle}"

    def cut(self, handle: str, content: Manifest, volume: Manifest, taken: Taken, failed: Failed) -> DirectoryWork:
        arguments = (path_of(volume, self._root), is_sized(volume))
        return DirectoryWork("cut", self.path(handle), Plan("taken"), failed, arguments, done_by=taken)

    def look(self, handle: str, content: Manifest, taken: Taken, failed: Failed) -> DirectoryWork:
        return DirectoryWork("look", self.path(handle), Plan("it is there"), failed, done_by=taken)

    def remove(self, handle: str, content: Manifest, gone: Plan, failed: Failed) -> DirectoryWork:
        return DirectoryWork("remove", self.path(handle), gone, failed)


class OnShare:
    """Packed, beside the volume. How the share is to be mounted stands on the content: the class may be gone."""

    def handle(self, content: Manifest) -> str:
        share = shares.of_handle(content["spec"]["source"].get("volumeHandle") or "")
        return shares.snapshot_of(share, handle_of(content)).handle if share else ""

    def knows(self, handle: str) -> bool:
        return shares.of_snapshot(handle) is not None

    def cut(self, handle: str, content: Manifest, volume: Manifest, taken: Taken, failed: Failed) -> ShareWork:
        snapshot, share = shares.of_snapshot(handle), shares.of_volume(volume)
        assert snapshot is not None
        assert share is not None
        within_s = copied_within_s(volume["spec"]["capacity"]["storage"])
        return _work(
            snapshot, "cut", (snapshot.archive, share.sub_dir), content, within_s, Plan("taken"), failed, taken
        )

    def look(self, handle: str, content: Manifest, taken: Taken, failed: Failed) -> ShareWork:
        snapshot = shares.of_snapshot(handle)
        assert snapshot is not None
        return _work(snapshot, "look", (snapshot.archive,), content, COPIED_WITHIN_S, Plan("there"), failed, taken)

    def remove(self, handle: str, content: Manifest, gone: Plan, failed: Failed) -> ShareWork:
        snapshot = shares.of_snapshot(handle)
        assert snapshot is not None
        return _work(snapshot, "remove", (snapshot.share.sub_dir,), content, COPIED_WITHIN_S, gone, failed, None)


def _work(
    snapshot: shares.Snapshot,
    operation: str,
    arguments: tuple[str, ...],
    content: Manifest,
    within_s: float,
    done: Plan,
    failed: Failed,
    taken: Taken | None,
) -> ShareWork:
    work = on_share(snapshot.share, operation, arguments, mount_options(content), within_s, done, failed)
    if taken is None:
        return work
    return replace(work, done_by=lambda told: taken(Cut(told["size_bytes"], told["created_ns"])))


def place_of(content: Manifest, root: str) -> Place | None:
    """None if it is another driver's."""
    driver = content["spec"]["driver"]
    if driver in DRIVERS:
        return OnDisk(root)
    return OnShare() if driver == shares.DRIVER else None
