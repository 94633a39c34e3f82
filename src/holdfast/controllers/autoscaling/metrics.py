"""What each of an autoscaler's metrics asks for, and what its status says of it. Pure.

Measured here is what pods use. Metrics of programs and of the world outside come from APIs that others add to a
cluster (custom.metrics.k8s.io, external.metrics.k8s.io); where there are none, upstream says so in these words.

Source: Kubernetes, pkg/controller/podautoscaler/{horizontal.go,metrics/client.go}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from holdfast.api import quantity
from holdfast.api.resource import Manifest
from holdfast.api.selectors import go_text
from holdfast.api.times import parse_time

from .replicas import Proposal, Sample, Tolerance, Unknown, Wanted, propose

_PART = re.compile(r"([\d.]+)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NO_CUSTOM = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"


class Failed(Exception):
    """A metric that says nothing; the text is what whoever asked for replicas is told."""

    def __init__(self, text: str, reason: str, cause: str) -> None:
        super().__init__(text)
        self.reason, self.cause = reason, cause
        """Of the event and the condition."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics API answered: PodMetrics, or what kept it from that."""

    items: Sequence[Manifest] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a metric is looked at in."""

    namespace: str
    pods: Sequence[Manifest]
    measured: Measured
    current: int
    tolerance: Tolerance
    now: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """What one metric asks for."""

    replicas: int
    name: str
    """As messages call the metric."""
    status: Manifest


def ask(metric: Manifest, around: Surroundings) -> Asked:
    """Raises Failed."""
    match metric["type"]:
        case "Resource":
            return _resource(metric["resource"], around)
        case "ContainerResource":
            return _container_resource(metric["containerResource"], around)
        case "Pods":
            cause = f"unable to get metric {metric['pods']['metric']['name']}: {_NO_CUSTOM}"
            raise Failed(f"failed to get pods metric value: {cause}", "FailedGetPodsMetric", cause)
        case "Object":
            raise _object(metric["object"], around.namespace)
        case "External":
            raise _external(metric["external"], around.namespace)
    cause = f'unknown metric source type "{metric["type"]}"'
    raise Failed(cause, "InvalidMetricSourceType", cause)


def _resource(source: Manifest, around: Surroundings) -> Asked:
    name = source["name"]
    try:
        proposal = _proposal(source, around, "")
    except Unknown as error:
        text = f"failed to get {name} resource metric value: {error}"
        raise Failed(text, "FailedGetResourceMetric", str(error)) from None
    status = {"type": "Resource", "resource": {"name": name, "current": _current(proposal)}}
    return Asked(proposal.replicas, _called(name, proposal, "resource"), status)


def _container_resource(source: Manifest, around: Surroundings) -> Asked:
    name, container = source["name"], source["container"]
    try:
        proposal = _proposal(source, around, container)
    except Unknown as error:
        text = f"failed to get {container} container metric value: {error}"
        raise Failed(text, "FailedGetContainerResourceMetric", str(error)) from None
    told = {"name": name, "container": container, "current": _current(proposal)}
    status = {"type": "ContainerResource", "containerResource": told}
    return Asked(proposal.replicas, _called(name, proposal, "container resource"), status)


def _called(name: str, proposal: Proposal, kind: str) -> str:
    if proposal.use.percent is None:
        return f"{name} resource"
    return f"{name} {kind} utilization (percentage of request)"


def _current(proposal: Proposal) -> Manifest:
    current: Manifest = {"averageValue": quantity.canonical(f"{proposal.use.average}m")}
    if proposal.use.percent is not None:
        current["averageUtilization"] = proposal.use.percent
    return current


def _proposal(source: Manifest, around: Surroundings, container: str) -> Proposal:
    """Raises Unknown."""
    name, wanted = source["name"], _wanted(source, container)
    try:
        samples = _samples(around.measured, name, container)
        return propose(around.pods, samples, wanted, around.current, around.tolerance, around.now)
    except Unknown as error:
        kind = "utilization" if wanted.percent is not None else "usage"
        raise Unknown(f"failed to get {name} {kind}: {error}") from None


def _wanted(source: Manifest, container: str) -> Wanted:
    name, target = source["name"], source["target"]
    if (amount := target.get("averageValue")) is not None:
        return Wanted(name, container, amount=quantity.milli(amount))
    if (percent := target.get("averageUtilization")) is None:
        neither = "neither an average utilization target nor an average value (usage) target was set"
        raise Unknown(f"invalid resource metric source: {neither}")
    return Wanted(name, container, percent=percent)


def _samples(measured: Measured, resource: str, container: str) -> Mapping[str, Sample]:
    """By pod. Raises Unknown."""
    unable = f"unable to get metrics for resource {resource}: "
    if measured.error:
        raise Unknown(f"{unable}unable to fetch metrics from resource metrics API: {measured.error}")
    if not measured.items:
        raise Unknown(f"{unable}no metrics returned from resource metrics API")
    found = {item["metadata"]["name"]: _sample(item, resource, container) for item in measured.items}
    return {name: sample for name, sample in found.items() if sample is not None}


def _sample(item: Manifest, resource: str, container: str) -> Sample | None:
    """None if anything that counts was not measured."""
    counted = [one["usage"] for one in item["containers"] if container in ("", one["name"])]
    if not counted or any(resource not in usage for usage in counted):
        return None
    amount = sum(quantity.milli(usage[resource]) for usage in counted)
    return Sample(amount, parse_time(item["timestamp"]), _duration(item["window"]))


def _duration(text: str) -> timedelta:
    """Of `1m0.5s`."""
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))


def _object(source: Manifest, namespace: str) -> Failed:
    name, described = source["metric"]["name"], source["describedObject"]
    # Upstream's own order of words.
    cause = f"unable to get metric {name}: {described['kind']} on {namespace} {described['name']}/{_NO_CUSTOM}"
    told = cause if _is_of_all(source) else f"failed to get {name} object metric: {cause}"
    return Failed(f"failed to get object metric value: {told}", "FailedGetObjectMetric", cause)


def _external(source: Manifest, namespace: str) -> Failed:
    name = source["metric"]["name"]
    missing = f"the server could not find the requested resource (get {name}.external.metrics.k8s.io)"
    what = f"{namespace}/{name}/{go_text(source['metric'].get('selector'))}"
    cause = f"unable to get external metric {what}: unable to fetch metrics from external metrics API: {missing}"
    told = f"external metric {name}" if _is_of_all(source) else f"{name} external metric"
    text = f"failed to get {name} external metric value: failed to get {told}: {cause}"
    return Failed(text, "FailedGetExternalMetric", cause)


def _is_of_all(source: Manifest) -> bool:
    """The target is of all pods together."""
    target: dict[str, Any] = source["target"]
    return "averageValue" not in target
