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
    """
    spec = pod["spec"]
    running: Amounts = {}
    for container in spec.get("containers") or ():
        add(running, _requests(container))
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = _requests(container)
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


def _requests(container: Mapping[str, Any]) -> Amounts:
    return amounts((container.get("resources") or {}).get("requests"))


def _raise_to(target: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        target[name] = max(target.get(name, 0), amount)
