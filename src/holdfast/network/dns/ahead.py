"""Pods that are ready before their slice says so, and those that no longer are: found, or not, at once.

The slice of a pod follows within milliseconds where little happens, within a tenth of a second in large services. A pod
may not wait so long for its peers: what it says itself counts until the slice agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.listing import families_of, is_selecting, listed, relevant
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers

from .published import Endpoint, endpoint_of
from .records import Zone

BY_SELECTOR = "dns-selector"


def follow(informers: Informers, zone: Zone) -> Callable[[], None]:
    """Tells `zone` of pods as they change. Returns what ends it."""
    services = informers.of(SERVICES)
    services.add_index(BY_SELECTOR, _one_pair)

    def selecting(pod: Manifest) -> Iterable[Manifest]:
        labels = pod["metadata"].get("labels") or {}
        for pair in _pairs(pod["metadata"]["namespace"], labels):
            for service in services.by_index(BY_SELECTOR, pair):
                if service["spec"]["selector"].items() <= labels.items():
                    yield service

    def on_pod(old: Manifest | None, new: Manifest | None) -> None:
        if old is not None and new is not None and relevant(old) == relevant(new):
            return
        concerned = {}
        for pod in (old, new):
            for service in selecting(pod) if pod is not None else ():
                concerned[service["metadata"]["name"]] = service
        for name, service in concerned.items():
            after = endpoints_of(service, new)
            # Of a pod that is gone, `old` is how it ended: whatever it was found as before, it is no longer.
            before = endpoints_of(service, old) if new is not None else endpoints_of(service, old, if_ready=False)
            if before != after:
                zone.note((service["metadata"]["namespace"], name), before, after)

    return informers.of(PODS).subscribe(on_pod)


def endpoints_of(service: Manifest, pod: Manifest | None, *, if_ready: bool = True) -> Sequence[Endpoint]:
    """As the service's slices list the pod, one for each family; none if they do not, or not as ready (D61)."""
    if pod is None or not service["spec"]["selector"].items() <= (pod["metadata"].get("labels") or {}).items():
        return ()
    if not if_ready:
        pod = {**pod, "status": {**(pod.get("status") or {}), "phase": "Running"}}
    found = (listed(service, pod, family) for family in families_of(service))
    chosen = (each for each in found if each is not None and (each.ready or not if_ready))
    return [endpoint_of(each.hostname, each.addresses) for each in chosen]


def _one_pair(service: Manifest) -> list[str]:
    """A service is filed under one pair of its selector."""
    if not is_selecting(service):
        return []
    key, value = min(service["spec"]["selector"].items())
    return _pairs(service["metadata"]["namespace"], {key: value})


def _pairs(namespace: str, labels: Manifest) -> list[str]:
    return [f"{namespace}/{key}={value}" for key, value in labels.items()]
