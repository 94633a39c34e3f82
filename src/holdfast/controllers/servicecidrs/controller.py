"""What the controller of ServiceCIDRs looks at. Keys are their names."""

from __future__ import annotations

from holdfast.api.networking.ip_address import IP_ADDRESSES
from holdfast.api.networking.service_cidr import SERVICE_CIDRS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .plan import Observed, plan


class ServiceCidrController:
    name = "service-cidr-controller"
    concurrency = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._ranges, self._addresses = informers.of(SERVICE_CIDRS), informers.of(IP_ADDRESSES)
        self._ranges.subscribe(self._on_range)
        self._addresses.subscribe(self._on_address)

    def _on_range(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))
        self._wake_those_that_go()

    def _on_address(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            self._wake_those_that_go()

    def _wake_those_that_go(self) -> None:
        for one in self._ranges.list():
            if one["metadata"].get("deletionTimestamp"):
                self._queue.add(key_of(one))

    def observe(self, key: str) -> Observed | None:
        one = self._ranges.get(key)
        if one is None:
            return None
        others = [other for other in self._ranges.list() if key_of(other) != key]
        addresses = [address["metadata"]["name"] for address in self._addresses.list()]
        return Observed(one, others, addresses, self._clock.now())

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)
