"""HorizontalPodAutoscalers between autoscaling/v1 and v2.

The older version knows one metric, CPU, and no conditions. What else an autoscaler has goes into annotations as JSON,
so that an object which came in one version and leaves in the other loses nothing.

Source: Kubernetes, pkg/apis/autoscaling/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.api.resource import Manifest
from holdfast.api.schema.structs import conform
from holdfast.api.schema.types import type_of

_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, BEHAVIOR = f"{_PREFIX}metrics", f"{_PREFIX}behavior"
CURRENT_METRICS, CONDITIONS = f"{_PREFIX}current-metrics", f"{_PREFIX}conditions"
OF_STATUS = (CURRENT_METRICS, CONDITIONS)
"""The annotations that stand for a part of status."""
_ALL = (METRICS, BEHAVIOR, *OF_STATUS)
_ALWAYS_IN_STATUS = {"currentReplicas": 0, "desiredReplicas": 0}


def to_older(autoscaler: Manifest) -> Manifest:
    """A v2 autoscaler as v1."""
    spec, status = {**autoscaler.get("spec", {})}, {**autoscaler.get("status", {})}
    metrics, current = spec.pop("metrics", None) or [], status.pop("currentMetrics", None) or []
    rest = [metric for metric in metrics if not _is_cpu_utilization(metric)]
    annotations = _kept(autoscaler["metadata"])
    for name, value in (
        (METRICS, [_older_metric(metric, _TARGETS) for metric in rest]),
        (CURRENT_METRICS, [_older_metric(metric, _CURRENT) for metric in current]),
        (BEHAVIOR, _with_capitals(spec.pop("behavior", None))),
        (CONDITIONS, status.pop("conditions", None)),
    ):
        if value:
            annotations[name] = msgspec.json.encode(value).decode()
    if (target := _cpu(metrics, "target")) is not None:
        spec["targetCPUUtilizationPercentage"] = target
    if (use := _cpu(current, "current")) is not None:
        status["currentCPUUtilizationPercentage"] = use
    return _built(autoscaler, "autoscaling/v1", annotations, spec, _ALWAYS_IN_STATUS | status)


def to_newer(autoscaler: Manifest) -> Manifest:
    """A v1 autoscaler as v2, without the newer version's defaults. Annotations that do not parse are dropped."""
    spec, status = {**autoscaler.get("spec", {})}, {**autoscaler.get("status", {})}
    annotations = autoscaler["metadata"].get("annotations") or {}
    target = spec.pop("targetCPUUtilizationPercentage", None)
    status.pop("currentCPUUtilizationPercentage", None)
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)  # the newer version leaves out the zero
    metrics = [_cpu_metric(target)] if target is not None else []
    others = [_newer_metric(metric, _TARGETS) for metric in _parsed_list(annotations.get(METRICS))]
    metrics += _fitting("spec", "metrics", others) or []
    if metrics:
        spec["metrics"] = metrics
    if behavior := _fitting("spec", "behavior", _without_capitals(_parsed(annotations.get(BEHAVIOR)))):
        spec["behavior"] = behavior
    current = [_newer_metric(metric, _CURRENT) for metric in _parsed_list(annotations.get(CURRENT_METRICS))]
    status["currentMetrics"] = _fitting("status", "currentMetrics", current)
    if conditions := _fitting("status", "conditions", _parsed_list(annotations.get(CONDITIONS))):
        status["conditions"] = conditions
    return _built(autoscaler, "autoscaling/v2", _kept(autoscaler["metadata"]), spec, status)


def _built(autoscaler: Manifest, api_version: str, annotations: Manifest, spec: Manifest, status: Manifest) -> Manifest:
    metadata = {name: value for name, value in autoscaler["metadata"].items() if name != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    head = {"kind": "HorizontalPodAutoscaler", "apiVersion": api_version}
    return {**head, "metadata": metadata, "spec": spec, "status": status}


def _kept(metadata: Manifest) -> Manifest:
    """The annotations that are the user's own."""
    return {name: value for name, value in (metadata.get("annotations") or {}).items() if name not in _ALL}


# -- the one metric that both versions know


def _is_cpu(metric: Manifest) -> bool:
    return metric.get("type") == "Resource" and metric.get("resource", {}).get("name") == "cpu"


def _is_cpu_utilization(metric: Manifest) -> bool:
    return _is_cpu(metric) and "averageUtilization" in metric["resource"].get("target", {})


def _cpu(metrics: list[Manifest], member: str) -> Any:
    found = (metric["resource"].get(member, {}).get("averageUtilization") for metric in metrics if _is_cpu(metric))
    return next(found, None)


def _cpu_metric(percent: int) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


# -- other metrics, each of which has its members at other places in the older form

_Places = Mapping[str, Mapping[str, tuple[str, ...]]]
"""By the source's field: from the older member to the path of the newer one."""


def _places(target: str, prefix: str) -> _Places:
    """`target` is what the newer form gathers amounts under, `prefix` what the older one puts before their names."""
    average, utilization = f"{prefix}AverageValue", f"{prefix}AverageUtilization"
    metric = {"metricName": ("metric", "name")}
    of_resource = {"name": ("name",), utilization: (target, "averageUtilization"), average: (target, "averageValue")}
    return {
        "resource": of_resource,
        "containerResource": {**of_resource, "container": ("container",)},
        "pods": {**metric, average: (target, "averageValue"), "selector": ("metric", "selector")},
        "object": {
            "target": ("describedObject",),
            **metric,
            f"{prefix}Value": (target, "value"),
            "selector": ("metric", "selector"),
            "averageValue": (target, "averageValue"),
        },
        "external": {
            **metric,
            "metricSelector": ("metric", "selector"),
            f"{prefix}Value": (target, "value"),
            average: (target, "averageValue"),
        },
    }


_TARGETS, _CURRENT = _places("target", "target"), _places("current", "current")
_KINDS = (("averageUtilization", "Utilization"), ("averageValue", "AverageValue"), ("value", "Value"))


def _older_metric(metric: Manifest, places: _Places) -> Manifest:
    older: Manifest = {"type": metric.get("type", "")}
    for source, members in places.items():
        if source in metric:
            found = {old: _at(metric[source], path) for old, path in members.items()}
            older[source] = {old: value for old, value in found.items() if value is not None}
    return older


def _newer_metric(metric: Manifest, places: _Places) -> Manifest:
    newer: Manifest = {"type": metric.get("type", "")}
    for source, members in places.items():
        if isinstance(given := metric.get(source), dict):
            newer[source] = _newer_source(given, members, has_target=places is _TARGETS)
    return newer


def _newer_source(given: Manifest, members: Mapping[str, tuple[str, ...]], *, has_target: bool) -> Manifest:
    newer: Manifest = {"target" if has_target else "current": {}}
    for old, path in members.items():
        if (value := given.get(old)) is not None:
            place = newer
            for part in path[:-1]:
                place = place.setdefault(part, {})
            place[path[-1]] = value
    if has_target:
        target = newer["target"]
        kind = next((name for member, name in _KINDS if member in target), "")
        newer["target"] = {"type": kind, **target}
    return newer


def _at(value: Manifest, path: tuple[str, ...]) -> Any:
    place: Any = value
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    return place


# -- annotations


def _fitting(part: str, member: str, value: Any) -> Any:
    """A member of spec or status in the newer version; None if it is none, or of another type."""
    kind = type_of("autoscaling", "v2", "HorizontalPodAutoscaler")
    assert kind is not None
    try:
        return conform(kind, {part: {member: value}}).get(part, {}).get(member) if value else None
    except (msgspec.ValidationError, RecursionError):
        return None


def _parsed(text: str | None) -> Any:
    try:
        return msgspec.json.decode(text or "null")
    except (msgspec.DecodeError, RecursionError):
        return None


def _parsed_list(text: str | None) -> list[Manifest]:
    found = _parsed(text)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _with_capitals(value: Any) -> Any:
    """Behavior is written with the names of Go's fields."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: _with_capitals(member) for name, member in value.items()}
    return [_with_capitals(entry) for entry in value] if isinstance(value, list) else value


def _without_capitals(value: Any) -> Any:
    if isinstance(value, dict):
        members = ((name[:1].lower() + name[1:], _without_capitals(member)) for name, member in value.items())
        return {name: member for name, member in members if member is not None}
    return [_without_capitals(entry) for entry in value] if isinstance(value, list) else value
