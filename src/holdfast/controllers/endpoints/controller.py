"""What the two controllers of endpoints look at, and what wakes them. Keys are services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informer, Informers, key_of, split_key
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .legacy import ObservedEndpoints, plan_endpoints
from .plan import MANAGED_BY, MANAGER, SERVICE_NAME, ObservedService, plan_slices
from .pods import is_selecting, relevant

BY_LABEL, BY_SELECTOR, BY_SERVICE = "label", "selector", "service"
ZONE = "topology.kubernetes.io/zone"


def _labels_in(namespace: str, labels: Mapping[str, str] | None) -> list[str]:
    return [f"{namespace}/{key}={value}" for key, value in (labels or {}).items()]


class Selections:
    """Which services select which pods, without looking at all of either.

    A service is filed under one pair of its selector, a pod under each of its labels.
    """

    def __init__(self, informers: Informers) -> None:
        self._services: Informer = informers.of(SERVICES)
        self._pods: Informer = informers.of(PODS)
        self._services.add_index(BY_SELECTOR, _one_pair)
        self._pods.add_index(BY_LABEL, _pairs)

    def services_of(self, pod: Manifest) -> Iterable[Manifest]:
        labels = pod["metadata"].get("labels") or {}
        for pair in _pairs(pod):
            for service in self._services.by_index(BY_SELECTOR, pair):
                if service["spec"]["selector"].items() <= labels.items():
                    yield service

    def pods_of(self, service: Manifest) -> list[Manifest]:
        (pair,) = _one_pair(service)
        selector = service["spec"]["selector"].items()
        return [
            pod
            for pod in self._pods.by_index(BY_LABEL, pair)
            if selector <= (pod["metadata"].get("labels") or {}).items()
        ]

    def follow(self, queue: WorkQueue) -> None:
        """Adds services that changed, and those for whom a pod came, went or changed in what they see of it."""

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            if old is not None and new is not None and relevant(old) == relevant(new):
                return
            for pod in (old, new):
                for service in self.services_of(pod) if pod is not None else ():
                    queue.add(key_of(service))

        def on_service(old: Manifest | None, new: Manifest | None) -> None:
            service = new or old
            assert service is not None
            queue.add(key_of(service))

        self._services.subscribe(on_service)
        self._pods.subscribe(on_pod)


def _one_pair(service: Manifest) -> list[str]:
    if not is_selecting(service):
        return []
    key, value = min(service["spec"]["selector"].items())
    return _labels_in(service["metadata"]["namespace"], {key: value})


def _pairs(pod: Manifest) -> list[str]:
    return _labels_in(pod["metadata"]["namespace"], pod["metadata"].get("labels"))


class EndpointSliceController:
    name = "endpoint-slice-controller"
    concurrency = 4

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._services, self._nodes = informers.of(SERVICES), informers.of(NODES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._slices.add_index(BY_SERVICE, _service_of)
        self._selections = Selections(informers)
        self._selections.follow(queue)

        def on_slice(old: Manifest | None, new: Manifest | None) -> None:
            for slice in (old, new):
                for key in _service_of(slice) if slice is not None else ():
                    queue.add(key)

        self._slices.subscribe(on_slice)

    def observe(self, key: str) -> ObservedService | None:
        service = self._services.get(key)
        if service is None or service["metadata"].get("deletionTimestamp") or not is_selecting(service):
            return None
        pods = self._selections.pods_of(service)
        return ObservedService(service, pods, self._slices.by_index(BY_SERVICE, key), self._zones(pods))

    def _zones(self, pods: Iterable[Manifest]) -> dict[str, str]:
        zones = {}
        for name in {pod["spec"].get("nodeName") or "" for pod in pods}:
            node = self._nodes.get(name)
            if node is not None and (zone := (node["metadata"].get("labels") or {}).get(ZONE)):
                zones[name] = zone
        return zones

    def plan(self, observed: ObservedService) -> Plan:
        return plan_slices(observed)


def _service_of(slice: Manifest) -> list[str]:
    """The service of a slice that is kept here."""
    labels = slice["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
        return []
    return [f"{slice['metadata']['namespace']}/{labels[SERVICE_NAME]}"]


class EndpointsController:
    name = "endpoint-controller"
    concurrency = 4

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._services, self._endpoints = informers.of(SERVICES), informers.of(ENDPOINTS)
        self._selections = Selections(informers)
        self._selections.follow(queue)

        def on_endpoints(old: Manifest | None, new: Manifest | None) -> None:
            endpoints = new or old
            assert endpoints is not None
            queue.add(key_of(endpoints))

        self._endpoints.subscribe(on_endpoints)

    def observe(self, key: str) -> ObservedEndpoints | None:
        service = self._services.get(key)
        if service is not None and not is_selecting(service):
            return None  # users may make the Endpoints of such a service
        namespace, name = split_key(key)
        pods = self._selections.pods_of(service) if service is not None else []
        return ObservedEndpoints(service, pods, self._endpoints.get(f"{namespace}/{name}"))

    def plan(self, observed: ObservedEndpoints) -> Plan:
        return plan_endpoints(observed)
