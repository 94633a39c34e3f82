"""Changing requests and limits of containers that run: what a node grants, and how it tells (N148). Pure.

Source: Kubernetes, pkg/kubelet/allocation and pkg/kubelet/events/resize.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from holdfast.api import quantity
from holdfast.api.resource import Manifest

from .amounts import Amounts
from .observed import Waiting
from .pod import Container, Pod
from .status import old_entry

RESIZABLE = ("cpu", "memory")

Granted = Mapping[str, Manifest]
"""Requests and limits by container name; those of the pod as a whole by `OF_POD`."""
OF_POD = ""


def granted_before(pod: Pod) -> dict[str, Manifest]:
    """What an agent of before has granted, out of the status it wrote; else what the spec asks for."""
    return {OF_POD: _granted_as_a_whole(pod)} | {one.name: _granted(pod, one) for one in _resizable(pod)}


def _granted_as_a_whole(pod: Pod) -> Manifest:
    own, status = _own(pod), pod.status
    if pod.spec.get("overhead"):
        return own  # what was told includes it
    told = {
        "limits": (status.get("resources") or {}).get("limits") or {},
        "requests": status.get("allocatedResources") or {},
    }
    return {
        kind: {name: amounts.get(name, amount) for name, amount in own[kind].items()}
        for kind, amounts in told.items()
        if kind in own
    }


def _own(pod: Pod) -> Manifest:
    return pod.spec.get("resources") or {}


def _granted(pod: Pod, container: Container) -> Manifest:
    entry = old_entry(pod.status, container)
    if "resources" not in entry:
        return container.resources
    told = {"limits": entry["resources"].get("limits") or {}, "requests": entry.get("allocatedResources") or {}}
    return container.resources if not changed(container.resources, told) else _replaced(container.resources, told)


def _replaced(wanted: Manifest, told: Manifest) -> Manifest:
    """`wanted`, with what can be resized as it was told; all else cannot have changed."""
    result = dict(wanted)
    for kind in ("limits", "requests"):
        amounts = {name: amount for name, amount in (wanted.get(kind) or {}).items() if name not in RESIZABLE}
        amounts |= {name: amount for name, amount in (told.get(kind) or {}).items() if name in RESIZABLE}
        result[kind] = amounts
    return result


def granted_to(pod: Pod) -> dict[str, Manifest]:
    """All that the spec asks for."""
    return {OF_POD: _own(pod)} | {container.name: container.resources for container in _resizable(pod)}


def as_granted(pod: Pod, granted: Granted) -> Pod:
    """The pod as the node runs it; itself if it has all it asks for."""
    own = granted.get(OF_POD, _own(pod))
    is_whole = not changed(own, _own(pod))
    if is_whole and all(one.resources == granted.get(one.name, one.resources) for one in _resizable(pod)):
        return pod
    spec = dict(pod.spec) if is_whole else {**pod.spec, "resources": own}
    for field in ("initContainers", "containers"):
        if field in spec:
            spec[field] = [
                {**one, "resources": granted[one["name"]]} if one["name"] in granted else one for one in spec[field]
            ]
    return Pod({**pod.manifest, "spec": spec})


def _resizable(pod: Pod) -> Iterator[Container]:
    yield from pod.init_containers
    yield from pod.app_containers


def changed(one: Manifest, other: Manifest) -> set[str]:
    """Of `RESIZABLE`, those of which requests or limits are not the same."""
    return {
        name
        for name in RESIZABLE
        for kind in ("limits", "requests")
        if not _same((one.get(kind) or {}).get(name), (other.get(kind) or {}).get(name))
    }


def _same(one: str | None, other: str | None) -> bool:
    return one == other or (one is not None and other is not None and quantity.compare(one, other) == 0)


def needs_restart(container: Container, names: Iterable[str]) -> bool:
    """Whether the container wants to be started anew for a change of any of these."""
    policies = {entry["resourceName"]: entry["restartPolicy"] for entry in container.manifest.get("resizePolicy") or ()}
    return any(policies.get(name) == "RestartContainer" for name in names)


def requested(pods: Iterable[Pod]) -> Amounts:
    """By all of them together."""
    total: Amounts = {}
    for pod in pods:
        for name, amount in pod.requests.items():
            total[name] = total.get(name, 0) + amount
    return total


def refusal(pod: Pod, allocatable: Amounts, used: Amounts) -> Waiting | None:
    """Why the pod cannot have what it asks for: never on this node, or not beside what others use there."""
    asked = requested([pod])
    for name in reversed(RESIZABLE):
        if name in allocatable and asked.get(name, 0) > allocatable[name]:
            text = f"{name}, requested: {asked[name]}, capacity: {allocatable[name]}"
            return Waiting("Infeasible", f"Node didn't have enough capacity: {text}")
    for name in RESIZABLE:
        others = used.get(name, 0)
        if name in allocatable and asked.get(name, 0) > max(0, allocatable[name] - others):
            text = f"{name}, requested: {asked[name]}, used: {others}, capacity: {allocatable[name]}"
            return Waiting("Deferred", f"Node didn't have enough resource: {text}")
    return None


def in_words(happened: str, pod: Pod, error: str = "") -> str:
    """The message of an event: what happened, and what the pod asks for or has."""
    told: Manifest = {}
    if pod.init_containers:
        told["initContainers"] = [_told(container) for container in pod.init_containers]
    told["containers"] = [_told(container) for container in pod.app_containers]
    told["generation"] = pod.generation
    if error:
        told["error"] = error
    return f"Pod resize {happened}: {msgspec.json.encode(told).decode()}"


def _told(container: Container) -> Manifest:
    kinds = {kind: container.resources[kind] for kind in ("limits", "requests") if container.resources.get(kind)}
    return {"name": container.name, "resources": {kind: dict(sorted(kinds[kind].items())) for kind in kinds}}
