"""Directories that were being made when something ended: the claim, or the process (V40).

Between making a directory and creating the volume's object, nobody knows of the directory but its mark. It is finished
by the provisioner if the claim still wants it, and taken away again here if not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.informer import Informers
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .controller import claims_in
from .effects import DirectoryWork, VolumeDirectories, Work
from .plan import RESYNC_S
from .provision import volume_name
from .share import taking_away


@dataclass(frozen=True, slots=True)
class ObservedMark:
    """All that the decision about an unsettled directory reads."""

    path: str
    is_wanted: bool
    """Whether there is a claim for which the directory is being made."""
    is_known: bool = False
    """Whether there is a volume of that name; read live."""
    remains: str = ""
    """What was written down of it, if it is not of this machine."""


def plan_abandoned(observed: ObservedMark) -> Work:
    """Pure."""
    path, unsettled = observed.path, Plan("unsettled")
    if observed.is_known:
        return Work({}, unsettled, DirectoryWork("settle", path, Plan("the volume is there"), _later))
    if observed.is_wanted:
        return Work({}, Plan("its claim waits for it"))
    if observed.remains:
        return Work({}, unsettled, taking_away(observed.remains, path, _later))
    gone = Plan("nobody wants it any more")
    return Work({}, unsettled, DirectoryWork("discard", path, gone, _later, settles=True))


def _later(error: str) -> Plan:
    return Plan(error, again_after_s=RESYNC_S)


class AbandonedVolumes:
    """Takes away what was begun for claims that are gone. Keys are volumes' names."""

    name = "abandoned-volumes"
    concurrency = 4

    def __init__(self, root: str, directories: VolumeDirectories) -> None:
        self._root = root
        self._directories = directories

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._claims = claims_in(informers)
        self._claims.subscribe(self._on_claim)
        for name in self._directories.unsettled(self._root):
            queue.add(name)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None and old is not None and self._directories.is_unsettled(self._path(volume_name(old))):
            self._queue.add(volume_name(old))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def observe(self, key: str) -> ObservedMark | None:
        if not self._directories.is_unsettled(self._path(key)):
            return None
        path, is_wanted = self._path(key), any(_waits_for(claim, key) for claim in self._claims.list())
        return ObservedMark(path, is_wanted, remains=self._directories.remains(path))

    async def verify(self, observed: ObservedMark, client: Client) -> ObservedMark:
        """A volume that has not come into view yet has data."""
        try:
            await client.get(PERSISTENT_VOLUMES, observed.path.rpartition("/")[2])
        except NotFound:
            return observed
        return replace(observed, is_known=True)

    def work(self, observed: ObservedMark) -> Work:
        return plan_abandoned(observed)

    def plan(self, observed: ObservedMark) -> Plan:
        """What precedes the work on the directory."""
        return plan_abandoned(observed).before


def _waits_for(claim: Manifest, name: str) -> bool:
    return volume_name(claim) == name and claim["spec"].get("volumeName") in (None, "", name)
