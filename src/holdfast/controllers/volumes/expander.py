"""What the expansion of volumes looks at, and what wakes it."""

from __future__ import annotations

from holdfast.api.core.machines import machine_of
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .controller import BY_VOLUME, claims_in, volumes_of
from .effects import Work
from .expansion import ObservedGrowth, plan_growth
from .provisioners import LOCAL


class VolumeExpander:
    """Makes the volumes of claims that ask for more larger. Keys are claims."""

    name = f"external-resizer {LOCAL}"
    concurrency = 2

    def __init__(self, clock: Clock, root: str, machine: str = "") -> None:
        """`root` is the directory for volumes, absolute; `machine` the one where it is, as `machine_of` has it."""
        self._clock = clock
        self._root = root
        self._machine = machine

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._claims, self._volumes = claims_in(informers), volumes_of(informers)
        self._claims.subscribe(self._on_claim)
        self._volumes.subscribe(self._on_volume)

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and new["spec"].get("volumeName"):
            self._queue.add(key_of(new))

    def _on_volume(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            for claim in self._claims.by_index(BY_VOLUME, new["metadata"]["name"]):
                self._queue.add(key_of(claim))

    def observe(self, key: str) -> ObservedGrowth | None:
        claim = self._claims.get(key)
        if claim is None:
            return None
        volume = self._volumes.get(claim["spec"].get("volumeName") or "")
        if machine_of(volume) != self._machine:
            return None
        return ObservedGrowth(claim, volume, self._root, self._clock.now())

    def work(self, observed: ObservedGrowth) -> Work:
        return plan_growth(observed)

    def plan(self, observed: ObservedGrowth) -> Plan:
        """What precedes the work on the volume."""
        return plan_growth(observed).before
