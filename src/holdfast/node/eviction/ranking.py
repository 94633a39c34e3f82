"""Which pod goes first when the node is short of something, and what it is told (N146). Pure.

Source: Kubernetes, pkg/kubelet/eviction/helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.api import quantity
from holdfast.api.core.pod_resources import pod_amounts
from holdfast.node.pod import Pod

from .thresholds import Met, in_binary

SYSTEM_CRITICAL = 2_000_000_000
REQUESTABLE = ("memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class Used:
    """What a pod uses of one resource."""

    total: int
    containers: Mapping[str, int] = field(default_factory=dict)
    """Of the containers that are known."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod that runs."""

    pod: Pod
    used: Used | None
    """None if it could not be measured."""


def is_critical(pod: Pod) -> bool:
    """Never evicted by its node."""
    return int(pod.spec.get("priority") or 0) >= SYSTEM_CRITICAL


def victims(candidates: Iterable[Candidate], resource: str) -> list[Candidate]:
    """First those above their request, then by priority, then by how much they are above it."""

    def rank(candidate: Candidate) -> tuple[bool, int, bool, int]:
        excess = _excess(candidate, resource)
        is_within = resource in REQUESTABLE and excess is not None and excess <= 0
        return is_within, int(candidate.pod.spec.get("priority") or 0), excess is not None, -(excess or 0)

    return sorted((one for one in candidates if not is_critical(one.pod)), key=rank)


def _excess(candidate: Candidate, resource: str) -> int | None:
    if candidate.used is None:
        return None
    asked = pod_amounts(candidate.pod.spec, "requests").get(resource, "0") if resource in REQUESTABLE else "0"
    return candidate.used.total - quantity.whole(asked)


def message(victim: Candidate, met: Met) -> str:
    """Why the pod was evicted, and which of its containers are above their requests."""
    resource = met.signal.resource
    text = f"The node was low on resource: {resource}. {met.in_words()}"
    for container in victim.pod.containers():
        used = victim.used.containers.get(container.name, 0) if victim.used and resource in REQUESTABLE else 0
        asked = (container.resources.get("requests") or {}).get(resource, "0")
        if used > quantity.whole(asked):
            excess = f"Container {container.name} was using {in_binary(used)}, request is {quantity.canonical(asked)}"
            text += f"{excess}, has larger consumption of {resource}. "
    return text
