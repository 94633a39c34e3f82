"""HorizontalPodAutoscalers: stored; without metrics there is nothing to scale by (W83)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import named, required_name
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

from .scaling_behavior import default_behavior, validate_behavior

_MOST_SHOWN = 2
_UNKNOWN = "<unknown>"
_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def default(autoscaler: Manifest) -> None:
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    spec.setdefault("maxReplicas", 0)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if spec.get("behavior") is not None:
        default_behavior(spec["behavior"])
    reference = spec.setdefault("scaleTargetRef", {})
    for field in ("kind", "name"):
        reference.setdefault(field, "")
    status = autoscaler.setdefault("status", {})
    status.setdefault("currentMetrics", None)
    status.setdefault("desiredReplicas", 0)


def validate(autoscaler: Manifest) -> list[FieldError]:
    spec = autoscaler["spec"]
    least, most = spec["minReplicas"], spec["maxReplicas"]
    errors: list[FieldError] = []
    can_be_none = any(metric.get("type") in ("Object", "External") for metric in spec["metrics"])
    lowest = 0 if can_be_none else 1
    if least < lowest:
        errors.append(invalid("spec.minReplicas", least, f"must be greater than or equal to {lowest}"))
    if most < 1:
        errors.append(required("spec.maxReplicas", "must be set and greater than 0"))
    if most < least:
        errors.append(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    errors += _target("spec.scaleTargetRef", spec["scaleTargetRef"])
    for i, metric in enumerate(spec["metrics"]):
        errors += _metric(f"spec.metrics[{i}]", metric)
    if behavior := spec.get("behavior"):
        errors += validate_behavior("spec.behavior", behavior)
    if least == 0 and not can_be_none:
        refusal = "must specify at least one Object or External metric to support scaling to zero replicas"
        errors.append(forbidden("spec.metrics", refusal))
    return errors


def _target(field: str, target: Manifest) -> Iterator[FieldError]:
    yield from required_name(f"{field}.kind", target["kind"], names.path_segment_name)
    yield from required_name(f"{field}.name", target["name"], names.path_segment_name)
    version = target.get("apiVersion", "")
    if "/" not in version and not (version == "v1" and target["kind"] == "ReplicationController"):
        yield invalid(f"{field}.apiVersion", version, "apiVersion must specify API group")


def _metric(field: str, metric: Manifest) -> Iterator[FieldError]:
    kind = metric.get("type", "")
    source = _SOURCES.get(kind)
    if not kind:
        yield required(f"{field}.type", "must specify a metric source type")
    elif source is None:
        yield invalid(f"{field}.type", kind, "must be one of Object, Pods, Resource, ContainerResource, External")
    elif source not in metric:
        article = "populate information for the given metric source"
        yield required(f"{field}.{source}", f"must {article}")
    elif kind in ("Resource", "ContainerResource"):
        name = metric[source].get("name", "")
        if not name:
            yield required(f"{field}.{source}.name", "must specify a resource name")
        if "container" in metric[source]:
            yield from named(f"{field}.{source}.container", metric[source]["container"], names.dns_label)


def cells(autoscaler: Manifest, now: datetime) -> list[Any]:
    spec, status = autoscaler["spec"], autoscaler.get("status", {})
    target = spec["scaleTargetRef"]
    return [
        autoscaler["metadata"]["name"],
        f"{target['kind']}/{target['name']}",
        _metrics(spec["metrics"], status.get("currentMetrics") or []),
        str(spec["minReplicas"]),
        spec["maxReplicas"],
        status.get("currentReplicas", 0),
        age(autoscaler["metadata"].get("creationTimestamp"), now),
    ]


def _metrics(metrics: list[Manifest], current: list[Manifest]) -> str:
    shown = [_shown(metric, current[i] if i < len(current) else {}) for i, metric in enumerate(metrics)]
    more = len(shown) - _MOST_SHOWN
    return ", ".join(shown[:_MOST_SHOWN]) + (f" + {more} more..." if more > 0 else "") or "<none>"


def _shown(metric: Manifest, current: Manifest) -> str:
    """`cpu: 30%/80%`; what is not known yet is said to be so."""
    source = _SOURCES.get(metric.get("type", ""), "")
    wanted = metric.get(source, {}).get("target", {})
    is_ = current.get(source, {}).get("current", {})
    prefix = f"{metric[source].get('name', '')}: " if source in ("resource", "containerResource") else ""
    if "averageUtilization" in wanted:
        use = f"{is_['averageUtilization']}%" if "averageUtilization" in is_ else _UNKNOWN
        return f"{prefix}{use}/{wanted['averageUtilization']}%"
    if "averageValue" in wanted:
        suffix = "" if prefix or source == "pods" else " (avg)"
        return f"{prefix}{is_.get('averageValue', _UNKNOWN)}/{wanted['averageValue']}{suffix}"
    return f"{prefix}{is_.get('value', _UNKNOWN)}/{wanted.get('value', '<auto>')}"


HORIZONTAL_POD_AUTOSCALERS = Resource(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
    default=default,
    validate=validate,
    columns=(
        NAME,
        Column("Reference", documents="autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef"),
        Column("Targets", documents="autoscaling.v2.HorizontalPodAutoscalerSpec.metrics"),
        Column("MinPods", documents="autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas"),
        Column("MaxPods", documents="autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas"),
        Column("Replicas", documents="autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"),
        AGE,
    ),
    cells=cells,
    initial_status={"currentMetrics": None, "desiredReplicas": 0},
)
