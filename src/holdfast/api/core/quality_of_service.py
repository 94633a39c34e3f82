"""A pod's class of service: what its requests and limits promise it when the machine runs short (N140)."""

from __future__ import annotations

from holdfast.api import quantity
from holdfast.api.resource import Manifest

_COUNTED = ("cpu", "memory")


def qos_class(pod: Manifest) -> str:
    """`BestEffort`, `Burstable` or `Guaranteed`; resources of the pod as a whole count for all containers."""
    spec = pod.get("spec", {})
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    resources = [spec["resources"]] if spec.get("resources") else [c.get("resources", {}) for c in containers]
    if not any(_positive(r, kind) for r in resources for kind in ("requests", "limits")):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(r) for r in resources) else "Burstable"


def _positive(resources: Manifest, kind: str) -> dict[str, str]:
    amounts: dict[str, str] = resources.get(kind, {})
    return {name: amounts[name] for name in _COUNTED if name in amounts and quantity.parse(amounts[name]) > 0}


def _is_guaranteed(resources: Manifest) -> bool:
    limits, requests = _positive(resources, "limits"), _positive(resources, "requests")
    if len(limits) != len(_COUNTED):
        return False
    return all(quantity.compare(requests.get(name, limit), limit) == 0 for name, limit in limits.items())
