"""What a pod asks of a node: resources, as whole numbers of the unit that is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.api.quantity import milli, whole
from holdfast.api.resource import Manifest

Amounts = dict[str, int]
"""By resource name: CPU in thousandths, everything else in whole units, rounded up."""


def amounts(quantities: Mapping[str, str] | None) -> Amounts:
    return {name: milli(text) if name == "cpu" else whole(text) for name, text in (quantities or {}).items()}


def add(total: Amounts, more: Mapping[str, int], times: int = 1) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount * times


def requests_of(pod: Manifest) -> Amounts:
    """The sum of the containers, at least as much as the largest init container needs beside the sidecars (N101).

    What the pod asks for as a whole takes the place of its containers' sum. Limits do not count (N224).
    While a resize is under way the larger counts of what is wanted and what is had (N148).
    """
    spec = pod["spec"]
    asked_by = _Asked(pod.get("status") or {})
    running: Amounts = {}
    for container in spec.get("containers") or ():
        add(running, asked_by(container))
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = asked_by(container)
        if container.get("restartPolicy") == "Always":
            add(running, asked)
            add(sidecars, asked)
            asked = {}
        beside = dict(sidecars)
        add(beside, asked)
        _raise_to(largest, beside)
    _raise_to(running, largest)
    running.update(amounts((spec.get("resources") or {}).get("requests")))
    add(running, amounts(spec.get("overhead")))
    return running


class _Asked:
    """What a container asks for, beside what its node says that it has."""

    def __init__(self, status: Manifest) -> None:
        self._status = status
        self._had: dict[str, Manifest] | None = None

    def __call__(self, container: Mapping[str, Any]) -> Amounts:
        asked = amounts((container.get("resources") or {}).get("requests"))
        entry = self._entries().get(container.get("name", "")) if asked else None
        if entry is None or "resources" not in entry:
            return asked
        had = amounts(entry.get("allocatedResources"))
        _raise_to(had, amounts((entry["resources"] or {}).get("requests")))
        if self._is_infeasible():
            return {**asked, **had}
        _raise_to(asked, had)
        return asked

    def _entries(self) -> dict[str, Manifest]:
        if self._had is None:
            fields = ("containerStatuses", "initContainerStatuses")
            self._had = {entry["name"]: entry for field in fields for entry in self._status.get(field) or ()}
        return self._had

    def _is_infeasible(self) -> bool:
        """What its node can never give it is not waited for either."""
        conditions = self._status.get("conditions") or ()
        return any(each["type"] == "PodResizePending" and each.get("reason") == "Infeasible" for each in conditions)


def _raise_to(target: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        target[name] = max(target.get(name, 0), amount)
