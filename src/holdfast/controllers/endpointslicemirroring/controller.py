"""What the mirroring of Endpoints looks at, and what wakes it. Keys are those of Services and Endpoints alike."""

from __future__ import annotations

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .plan import MANAGED_BY, MANAGER, SERVICE_NAME, Observed, is_mirrored, plan

BY_ENDPOINTS = "mirrors"


class EndpointSliceMirroring:
    name = "endpoint-slice-mirroring-controller"
    concurrency = 4

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._services, self._endpoints = informers.of(SERVICES), informers.of(ENDPOINTS)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._slices.add_index(BY_ENDPOINTS, _mirrors)

        def on_either(old: Manifest | None, new: Manifest | None) -> None:
            if (found := new or old) is not None:
                queue.add(key_of(found))

        def on_slice(old: Manifest | None, new: Manifest | None) -> None:
            for slice in (old, new):
                for key in _mirrors(slice) if slice is not None else ():
                    queue.add(key)

        self._services.subscribe(on_either)
        self._endpoints.subscribe(on_either)
        self._slices.subscribe(on_slice)

    def observe(self, key: str) -> Observed | None:
        slices = [
            slice
            for slice in self._slices.by_index(BY_ENDPOINTS, key)
            if not slice["metadata"].get("deletionTimestamp")
        ]
        service, endpoints = self._services.get(key), self._endpoints.get(key)
        if service is None or service["spec"].get("selector") or endpoints is None or not is_mirrored(endpoints):
            endpoints = None
        return Observed(endpoints, slices) if endpoints is not None or slices else None

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)


def _mirrors(slice: Manifest) -> list[str]:
    """The Endpoints that a slice made here mirrors."""
    labels = slice["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
        return []
    return [f"{slice['metadata']['namespace']}/{labels[SERVICE_NAME]}"]
