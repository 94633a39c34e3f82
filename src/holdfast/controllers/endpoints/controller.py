"""What the two controllers of endpoints look at, and what wakes them. Keys are services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.discovery.listing import Listed, families_of, is_selecting, listed, relevant
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .legacy import ObservedEndpoints, plan_endpoints
from .plan import MANAGED_BY, MANAGER, SERVICE_NAME, ObservedService, plan_slices

BY_LABEL, BY_SELECTOR, BY_SERVICE = "label", "selector", "service"
ZONE = "topology.kubernetes.io/zone"
MANY, TOGETHER_S = 100, 0.1
"""With more pods than this, changes that follow each other closely become one update (D32)."""
LEGACY_TOGETHER_S = 0.5
"""For Endpoints, which are one large object however little changes, and which neither routing nor DNS waits for."""


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

    def are_many(self, service: Manifest) -> bool:
        """Whether its pods are so many that their changes are better taken together."""
        return any(len(self._pods.by_index(BY_LABEL, pair)) > MANY for pair in _one_pair(service))

    def follow(self, queue: WorkQueue, together_s: float) -> None:
        """Adds services that changed, and those for whom a pod came, went or changed in what they see of it.

        Where its pods are many, what they do within `together_s` becomes one update.
        """

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            if old is not None and new is not None and relevant(old) == relevant(new):
                return
            for pod in (old, new):
                for service in self.services_of(pod) if pod is not None else ():
                    queue.add_after(key_of(service), together_s if self.are_many(service) else 0)

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


class Listings:
    """Services' views of their pods, made anew only of pods, or a service, that changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Manifest, dict[str, tuple[Manifest, Listed | None]]]] = {}

    def of(self, service: Manifest, pods: Iterable[Manifest], family: str, zones: Mapping[str, str]) -> list[Listed]:
        """In the order of the pods' names."""
        key = (key_of(service), family)
        for_service, known = self._known.get(key, (service, {}))
        if for_service is not service:
            known = {}
        now: dict[str, tuple[Manifest, Listed | None]] = {}
        for pod in pods:
            name, zone = pod["metadata"]["name"], zones.get(pod["spec"].get("nodeName") or "", "")
            of_pod, made = known.get(name, (None, None))
            if of_pod is not pod or (made is not None and made.zone != zone):
                made = listed(service, pod, family, zone)
            now[name] = (pod, made)
        self._known[key] = (service, now)
        return [made for name in sorted(now) if (made := now[name][1]) is not None]

    def forget(self, service: str) -> None:
        for family in ("IPv4", "IPv6"):
            self._known.pop((service, family), None)


class EndpointSliceController:
    name = "endpoint-slice-controller"
    concurrency = 4

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._services, self._nodes = informers.of(SERVICES), informers.of(NODES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._slices.add_index(BY_SERVICE, _service_of)
        self._selections, self._listings = Selections(informers), Listings()
        self._selections.follow(queue, TOGETHER_S)

        def on_slice(old: Manifest | None, new: Manifest | None) -> None:
            for slice in (old, new):
                for key in _service_of(slice) if slice is not None else ():
                    queue.add(key)

        self._slices.subscribe(on_slice)

    def observe(self, key: str) -> ObservedService | None:
        service = self._services.get(key)
        if service is None or service["metadata"].get("deletionTimestamp") or not is_selecting(service):
            self._listings.forget(key)
            return None
        pods = self._selections.pods_of(service)
        zones = self._zones(pods)
        endpoints = {family: self._listings.of(service, pods, family, zones) for family in families_of(service)}
        return ObservedService(service, endpoints, self._slices.by_index(BY_SERVICE, key))

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
        self._selections, self._listings = Selections(informers), Listings()
        self._left: dict[str, str] = {}
        """The uids of Endpoints whose service was seen to go. One that goes while nobody looks leaves those that
        users made, as upstream does."""
        self._services.subscribe(self._on_service)
        self._selections.follow(queue, LEGACY_TOGETHER_S)

        def on_endpoints(old: Manifest | None, new: Manifest | None) -> None:
            endpoints = new or old
            assert endpoints is not None
            queue.add(key_of(endpoints))

        self._endpoints.subscribe(on_endpoints)

    def _on_service(self, old: Manifest | None, new: Manifest | None) -> None:
        if old is not None and new is None and (endpoints := self._endpoints.get(key_of(old))) is not None:
            self._left[key_of(old)] = endpoints["metadata"]["uid"]

    def observe(self, key: str) -> ObservedEndpoints | None:
        service = self._services.get(key)
        if service is not None and not is_selecting(service):
            return None  # users may make the Endpoints of such a service
        if service is None:
            return self._observe_leftover(key)
        pods, family = self._selections.pods_of(service), families_of(service)[0]
        return ObservedEndpoints(service, self._listings.of(service, pods, family, {}), self._endpoints.get(key))

    def _observe_leftover(self, key: str) -> ObservedEndpoints:
        self._listings.forget(key)
        endpoints = self._endpoints.get(key)
        is_left = endpoints is not None and self._left.get(key) == endpoints["metadata"]["uid"]
        if not is_left:
            self._left.pop(key, None)
        return ObservedEndpoints(None, (), endpoints, is_left)

    def plan(self, observed: ObservedEndpoints) -> Plan:
        return plan_endpoints(observed)
