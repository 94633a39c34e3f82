"""What a pod's containers ask for together (N4).

Source: Kubernetes, component-helpers/resource (AggregateContainerRequests).
"""

from __future__ import annotations

from holdfast.api import quantity
from holdfast.api.resource import Manifest


def container_requests(spec: Manifest) -> dict[str, str]:
    """Per resource: all that runs side by side, or the largest init container with the sidecars before it."""
    return container_amounts(spec, "requests")


def container_amounts(spec: Manifest, kind: str) -> dict[str, str]:
    """The same of `requests` or `limits`."""
    running: dict[str, str] = {}
    largest: dict[str, str] = {}
    sidecars: dict[str, str] = {}
    for container in spec.get("containers", ()):
        _add(running, container, kind)
    for container in spec.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            _add(running, container, kind)
            _add(sidecars, container, kind)
            step = sidecars
        else:
            step = dict(sidecars)
            _add(step, container, kind)
        _raise_to(largest, step)
    _raise_to(running, largest)
    return running


def pod_amounts(spec: Manifest, kind: str) -> dict[str, str]:
    """`requests` or `limits` of the pod: its own where it has any, else its containers'."""
    own = spec.get("resources", {}).get(kind, {})
    return {**container_amounts(spec, kind), **{name: amount for name, amount in own.items() if is_of_pods(name)}}


def with_overhead(spec: Manifest, kind: str, amounts: dict[str, str]) -> dict[str, str]:
    """The same with what the runtime class adds; to limits only where there are any."""
    overhead = spec.get("overhead", {})
    added = {name: quantity.add(amounts[name], overhead[name]) for name in overhead if name in amounts}
    return {**(overhead if kind == "requests" else {}), **amounts, **added}


def is_of_pods(name: str) -> bool:
    """Whether a pod as a whole may have requests and limits for that resource."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _add(amounts: dict[str, str], container: Manifest, kind: str) -> None:
    for name, amount in container.get("resources", {}).get(kind, {}).items():
        amounts[name] = quantity.add(amounts[name], amount) if name in amounts else amount


def _raise_to(amounts: dict[str, str], least: dict[str, str]) -> None:
    for name, amount in least.items():
        if name not in amounts or quantity.compare(amounts[name], amount) < 0:
            amounts[name] = amount
