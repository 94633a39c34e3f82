"""What a pod's containers ask for together (N4).

Source: Kubernetes, component-helpers/resource (AggregateContainerRequests).
"""

from __future__ import annotations

from holdfast.api import quantity
from holdfast.api.resource import Manifest


def container_requests(spec: Manifest) -> dict[str, str]:
    """Per resource: all that runs side by side, or the largest init container with the sidecars before it."""
    running: dict[str, str] = {}
    largest: dict[str, str] = {}
    sidecars: dict[str, str] = {}
    for container in spec.get("containers", ()):
        _add(running, container)
    for container in spec.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            _add(running, container)
            _add(sidecars, container)
            step = sidecars
        else:
            step = dict(sidecars)
            _add(step, container)
        _raise_to(largest, step)
    _raise_to(running, largest)
    return running


def is_of_pods(name: str) -> bool:
    """Whether a pod as a whole may have requests and limits for that resource."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _add(amounts: dict[str, str], container: Manifest) -> None:
    for name, amount in container.get("resources", {}).get("requests", {}).items():
        amounts[name] = quantity.add(amounts[name], amount) if name in amounts else amount


def _raise_to(amounts: dict[str, str], least: dict[str, str]) -> None:
    for name, amount in least.items():
        if name not in amounts or quantity.compare(amounts[name], amount) < 0:
            amounts[name] = amount
