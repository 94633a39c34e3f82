"""How many pods a metric asks for, by what each pod uses (W82). Pure.

Amounts are thousandths of a metric's unit.

Source: Kubernetes, pkg/controller/podautoscaler/{replica_calculator.go,metrics/utilization.go}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from holdfast.api import conditions, quantity
from holdfast.api.core.pod_resources import is_of_pods, pod_amounts, with_overhead
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time

INITIALIZATION = timedelta(minutes=5)
"""So long after a pod's start its CPU counts only while it is ready, and only what it used as a ready pod."""
FIRST_READINESS = timedelta(seconds=30)
"""A pod that became unready so soon after its start, and is still so, has never been ready."""


class Unknown(Exception):
    """A metric from which nothing follows; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a pod uses."""

    amount: int
    at: datetime
    window: timedelta
    """Of which it is the average, up to `at`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What each pod is to use of a resource: so much, or that part of what it requests."""

    resource: str
    container: str = ""
    """Only this one counts; empty: all of the pod's."""
    amount: int | None = None
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far use may be from what is wanted before anything is done."""

    down: float = 0.1
    up: float = 0.1

    def holds(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Use:
    """Of several pods together."""

    ratio: float
    """To what is wanted."""
    average: int
    percent: int | None = None
    """Of what is requested, if that is what it is held against."""


@dataclass(frozen=True, slots=True)
class Proposal:
    replicas: int
    use: Use


@dataclass(slots=True)
class _Groups:
    ready: int = 0
    unready: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    """They run, and nobody knows what they use."""
    ignored: set[str] = field(default_factory=set)
    """They end."""


def propose(
    pods: Sequence[Manifest],
    samples: Mapping[str, Sample],
    wanted: Wanted,
    current: int,
    tolerance: Tolerance,
    now: datetime,
) -> Proposal:
    """`samples` are by name of the pod, `current` is how many pods are asked for now. Raises Unknown."""
    if not pods:
        raise Unknown("no pods returned by selector while calculating replica count")
    groups = _grouped(pods, samples, wanted.resource, now)
    left_out = groups.unready | groups.ignored
    amounts = {name: sample.amount for name, sample in samples.items() if name not in left_out}
    if not amounts:
        raise Unknown("did not receive metrics for targeted pods (pods might be unready)")
    measure, full = _measuring(pods, wanted)
    use = measure(amounts)
    begins_more = bool(groups.unready) and use.ratio > 1.0
    if not begins_more and not groups.missing:
        replicas = current if tolerance.holds(use.ratio) else math.ceil(use.ratio * groups.ready)
        return Proposal(replicas, use)
    amounts |= _supposed(groups.missing, use.ratio, full)
    if begins_more:
        amounts |= dict.fromkeys(groups.unready, 0)
    return Proposal(_cautious(current, use.ratio, measure(amounts).ratio, len(amounts), tolerance), use)


def _cautious(current: int, ratio: float, supposed_ratio: float, count: int, tolerance: Tolerance) -> int:
    """What is only supposed may make a change smaller, not turn it round."""
    has_turned = ratio < 1.0 < supposed_ratio or supposed_ratio < 1.0 < ratio
    if tolerance.holds(supposed_ratio) or has_turned:
        return current
    replicas = math.ceil(supposed_ratio * count)
    is_other_way = (supposed_ratio < 1.0 and replicas > current) or (supposed_ratio > 1.0 and replicas < current)
    return current if is_other_way else replicas


def _supposed(missing: Collection[str], ratio: float, full: Callable[[str], int]) -> dict[str, int]:
    """Of pods that nothing is known of: that they use all where there would be fewer, and nothing where more."""
    if ratio < 1.0:
        return {name: full(name) for name in missing}
    return dict.fromkeys(missing, 0) if ratio > 1.0 else {}


Measure = Callable[[Mapping[str, int]], Use]


def _measuring(pods: Sequence[Manifest], wanted: Wanted) -> tuple[Measure, Callable[[str], int]]:
    """How use is held against what is wanted, and what a pod uses that uses all of it. Raises Unknown."""
    if wanted.percent is None:
        amount = wanted.amount or 0
        return lambda amounts: _against_amount(amounts, amount), lambda name: amount
    percent = wanted.percent
    requested = {pod["metadata"]["name"]: _requested(pod, wanted) for pod in pods}
    most = max(100, percent)
    return lambda amounts: _against_requests(amounts, requested, percent), lambda name: requested[name] * most // 100


def _against_amount(amounts: Mapping[str, int], wanted: int) -> Use:
    average = sum(amounts.values()) // len(amounts)
    return Use(average / wanted, average)


def _against_requests(amounts: Mapping[str, int], requested: Mapping[str, int], wanted: int) -> Use:
    known = [name for name in amounts if name in requested]
    request = sum(requested[name] for name in known)
    if not request:
        raise Unknown("no metrics returned matched known pods")
    total = sum(amounts[name] for name in known)
    percent = total * 100 // request
    return Use(percent / wanted, total // len(known), percent)


def _requested(pod: Manifest, wanted: Wanted) -> int:
    """Of the resource, by the pod or by that container. Raises Unknown."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    own = (spec.get("resources") or {}).get("requests") or {}
    if not wanted.container and any(map(is_of_pods, own)):
        requests = with_overhead(spec, "requests", pod_amounts(spec, "requests"))
        if wanted.resource not in requests:
            raise Unknown(f"missing pod-level request for {wanted.resource} in Pod {name}")
        return quantity.milli(requests[wanted.resource])
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    counted = [one for one in (*spec["containers"], *sidecars) if wanted.container in ("", one["name"])]
    if not counted:
        raise Unknown(f"container {wanted.container} not found in Pod {name}")
    return sum(_requested_by(one, wanted.resource, name) for one in counted)


def _requested_by(container: Manifest, resource: str, pod: str) -> int:
    requests = (container.get("resources") or {}).get("requests") or {}
    if resource not in requests:
        raise Unknown(f"missing request for {resource} in container {container['name']} of Pod {pod}")
    return quantity.milli(requests[resource])


def _grouped(pods: Sequence[Manifest], samples: Mapping[str, Sample], resource: str, now: datetime) -> _Groups:
    groups = _Groups()
    for pod in pods:
        name, phase = pod["metadata"]["name"], conditions.phase(pod)
        if conditions.is_terminating(pod) or phase == "Failed":
            groups.ignored.add(name)
        elif phase == "Pending":
            groups.unready.add(name)
        elif name not in samples:
            groups.missing.add(name)
        elif resource == "cpu" and not _counts(pod, samples[name], now):
            groups.unready.add(name)
        else:
            groups.ready += 1
    return groups


def _counts(pod: Manifest, sample: Sample, now: datetime) -> bool:
    """Whether the pod's CPU tells of its work, not of its start."""
    ready, began = conditions.condition(pod, "Ready"), pod["status"].get("startTime")
    if ready is None or not began:
        return False
    started, turned = parse_time(began), parse_time(ready["lastTransitionTime"])
    is_unready = ready.get("status") == "False"
    if started + INITIALIZATION > now:
        return not is_unready and sample.at >= turned + sample.window
    return not (is_unready and started + FIRST_READINESS > turned)
