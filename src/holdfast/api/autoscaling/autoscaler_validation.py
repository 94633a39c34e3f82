"""What is wrong with a HorizontalPodAutoscaler: its bounds, its target, its metrics, its pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from holdfast.api import names, quantity
from holdfast.api.core.resource_validation import validate_container_resource_name
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import named, not_negative, required_name, supported
from holdfast.api.resource import Manifest

from .scaling_behavior import validate_behavior

SOURCES = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
"""Where a metric's source stands, by the metric's type; upstream looks at them in this order."""
_TARGETS = ("Utilization", "Value", "AverageValue")


def validate(autoscaler: Manifest) -> list[FieldError]:
    return [*_spec(autoscaler["spec"], 1)]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Who could once scale to nothing still can."""
    return [*_spec(new["spec"], 0 if old["spec"].get("minReplicas") == 0 else 1)]


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    status = new.get("status", {})
    counts = ("currentReplicas", "desiredReplicas")
    return [error for count in counts for error in not_negative(f"status.{count}", status.get(count))]


def _spec(spec: Manifest, lowest: int) -> Iterator[FieldError]:
    least, most, metrics = spec["minReplicas"], spec["maxReplicas"], spec["metrics"]
    if least < lowest:
        yield invalid("spec.minReplicas", least, f"must be greater than or equal to {lowest}")
    if most < 1:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    if most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _target("spec.scaleTargetRef", spec["scaleTargetRef"])
    for i, metric in enumerate(metrics):
        yield from _metric(f"spec.metrics[{i}]", metric)
    if least == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        refusal = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", refusal)
    yield from validate_behavior("spec.behavior", spec.get("behavior") or {})


def _target(field: str, target: Manifest) -> Iterator[FieldError]:
    yield from _reference(field, target)
    version = target.get("apiVersion", "")
    if "/" not in version and not (version == "v1" and target["kind"] == "ReplicationController"):
        yield invalid(f"{field}.apiVersion", version, "apiVersion must specify API group")


def _reference(field: str, target: Manifest) -> Iterator[FieldError]:
    for member in ("kind", "name"):
        yield from required_name(f"{field}.{member}", target.get(member, ""), names.path_segment_name)


def _metric(field: str, metric: Manifest) -> Iterator[FieldError]:
    kind, kinds = metric.get("type", ""), sorted(SOURCES)
    if not kind:
        yield required(f"{field}.type", "must specify a metric source type")
    yield from supported(f"{field}.type", kind, kinds)
    given = [source for source in SOURCES.values() if source in metric]
    if given:
        yield from _CHECKS[given[0]](f"{field}.{given[0]}", metric[given[0]])
    expected = SOURCES.get(kind)
    if expected is None:
        yield from supported(f"{field}.type", kind, kinds)
    elif expected not in given:
        yield required(f"{field}.{expected}", "must populate information for the given metric source")
    if len(given) != 1:
        for source in sorted({*given} - {expected}):
            yield forbidden(f"{field}.{source}", "must populate the given metric source only")


def _object(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _reference(f"{field}.describedObject", source.get("describedObject", {}))
    yield from _identifier_and_target(field, source)
    if not _has(source, "value", "averageValue"):
        yield required(f"{field}.target.averageValue", "must set either a target value or averageValue")


def _external(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _identifier_and_target(field, source)
    target = source.get("target", {})
    if not _has(source, "value", "averageValue"):
        refusal = "must set either a target value for metric or a per-pod target"
        yield required(f"{field}.target.averageValue", refusal)
    if "value" in target and "averageValue" in target:
        yield forbidden(f"{field}.target.value", "may not set both a target value for metric and a per-pod target")


def _pods(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _identifier_and_target(field, source)
    if not _has(source, "averageValue"):
        yield required(f"{field}.target.averageValue", "must specify a positive target averageValue")


def _resource(field: str, source: Manifest) -> Iterator[FieldError]:
    if not source.get("name"):
        yield required(f"{field}.name", "must specify a resource name")
    yield from _use(f"{field}.target", source.get("target", {}))


def _container_resource(field: str, source: Manifest) -> Iterator[FieldError]:
    if source.get("name"):
        yield from validate_container_resource_name(f"{field}.name", source["name"])
    else:
        yield required(f"{field}.name", "must specify a resource name")
    if source.get("container"):
        yield from named(f"{field}.container", source["container"], names.dns_label)
    else:
        yield required(f"{field}.container", "must specify a container")
    yield from _use(f"{field}.target", source.get("target", {}))


_CHECKS: Mapping[str, Callable[[str, Manifest], Iterator[FieldError]]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _has(source: Manifest, *members: str) -> bool:
    return any(member in source.get("target", {}) for member in members)


def _use(field: str, target: Manifest) -> Iterator[FieldError]:
    """Of a resource: a share of what was asked for, or an amount."""
    yield from _metric_target(field, target)
    has_share, has_amount = "averageUtilization" in target, "averageValue" in target
    if not has_share and not has_amount:
        yield required(f"{field}.averageUtilization", "must set either a target raw value or a target utilization")
    if has_share and has_amount:
        yield forbidden(f"{field}.averageValue", "may not set both a target raw value and a target utilization")


def _identifier_and_target(field: str, source: Manifest) -> Iterator[FieldError]:
    name = source.get("metric", {}).get("name", "")
    if not name:
        yield required(f"{field}.metric.name", "must specify a metric name")
    else:
        yield from named(f"{field}.metric.name", name, names.path_segment_name)
    yield from _metric_target(f"{field}.target", source.get("target", {}))


def _metric_target(field: str, target: Manifest) -> Iterator[FieldError]:
    kind = target.get("type", "")
    if not kind:
        yield required(f"{field}.type", "must specify a metric target type")
    if kind not in _TARGETS:
        yield invalid(f"{field}.type", kind, "must be either Utilization, Value, or AverageValue")
    for member in ("value", "averageValue"):
        if member in target and quantity.parse(target[member]) <= 0:
            yield invalid(f"{field}.{member}", target[member], "must be positive")
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        yield invalid(f"{field}.averageUtilization", share, "must be greater than 0")
