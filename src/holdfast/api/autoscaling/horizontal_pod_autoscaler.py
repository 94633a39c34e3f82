"""HorizontalPodAutoscalers (W82, W83)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

from .autoscaler_validation import SOURCES, validate, validate_status_update, validate_update
from .scaling_behavior import default_behavior

_MOST_SHOWN = 2
_UNKNOWN = "<unknown>"


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
    source = SOURCES.get(metric.get("type", ""), "")
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
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    validates_updates_whole=False,
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
