"""Requests and limits: names of resources and their quantities (A5, N4)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names, quantity
from holdfast.api.errors import FieldError, forbidden, invalid, not_supported, required
from holdfast.api.field_rules import quantity_not_negative
from holdfast.api.resource import Manifest

from .pod_resources import container_requests, is_of_pods

STANDARD = frozenset(
    {"cpu", "memory", "ephemeral-storage", "storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"}
    | {"requests.storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas"}
    | {"services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps"}
    | {"services.nodeports", "services.loadbalancers"}
)
COUNTS = frozenset(
    {"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims"}
    | {"services.nodeports", "services.loadbalancers"}
)
_OF_CONTAINERS = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE_PAGES = "hugepages-"
_OF_PODS = ("cpu", _HUGE_PAGES, "memory")


def validate_resource_requirements(field: str, resources: Manifest) -> Iterator[FieldError]:
    """Of a container: known names, no negative amounts, no request above its limit."""
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for name, amount in limits.items():
        yield from _container_resource(f"{field}.limits[{name}]", name, amount)
    for name, amount in requests.items():
        yield from _container_resource(f"{field}.requests[{name}]", name, amount)
        yield from _within_limit(field, name, amount, limits.get(name))


def validate_overhead(field: str, overhead: Manifest) -> Iterator[FieldError]:
    """What a runtime class adds to a pod; upstream checks it as limits."""
    yield from validate_resource_requirements(field, {"limits": overhead})


def validate_pod_resources(field: str, spec: Manifest) -> Iterator[FieldError]:
    """Of the pod as a whole: enough for what its containers ask for, and not less than any may have."""
    resources = spec.get("resources")
    if resources is None:
        return
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    if "claims" in resources:
        yield forbidden(f"{field}.claims", "claims cannot be set for Resources at pod-level")
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if not is_of_pods(name):
                yield not_supported(f"{field}.{kind}[{name}]", name, _OF_PODS)
            yield from validate_amount(f"{field}.{kind}[{name}]", name, amount)
            if kind == "requests":
                yield from _within_limit(field, name, amount, limits.get(name))
    for name, total in container_requests(spec).items():
        own = requests.get(name, "0")
        if quantity.compare(total, own) > 0:
            refusal = f"must be greater than or equal to aggregate container requests of {total}"
            yield invalid(f"{field}.requests[{name}]", own, refusal)
    for i, container in enumerate(spec.get("containers", ())):
        for name, limit in container.get("resources", {}).get("limits", {}).items():
            if name in limits and quantity.compare(limit, limits[name]) > 0:
                at = f"{field}.containers[{i}][{name}].limits"
                yield invalid(at, limit, f"must be less than or equal to pod limits of {limits[name]}")


def validate_resource_name(field: str, name: str) -> Iterator[FieldError]:
    """A resource is one of Kubernetes' own or belongs to a domain, as `example.com/gpu`."""
    if error := names.qualified_name(name):
        yield invalid(field, name, error)
    elif "/" not in name and not is_standard(name):
        yield invalid(field, name, "must be a standard resource type or fully qualified")


def validate_amount(field: str, name: str, amount: str) -> Iterator[FieldError]:
    yield from quantity_not_negative(field, amount)
    if (name in COUNTS or "/" in name) and quantity.milli(amount) % 1000:
        yield invalid(field, amount, "must be an integer")


def is_standard(name: str) -> bool:
    return name in STANDARD or name.startswith((_HUGE_PAGES, f"requests.{_HUGE_PAGES}"))


def _container_resource(field: str, name: str, amount: str) -> Iterator[FieldError]:
    yield from validate_container_resource_name(field, name)
    yield from validate_amount(field, name, amount)


def validate_container_resource_name(field: str, name: str) -> Iterator[FieldError]:
    yield from validate_resource_name(field, name)
    if "/" not in name and name not in _OF_CONTAINERS and not name.startswith(_HUGE_PAGES):
        yield invalid(field, name, "must be a standard resource for containers")


def _within_limit(field: str, name: str, amount: str, limit: str | None) -> Iterator[FieldError]:
    """Only Kubernetes' own resources may be shared by more than there is of them."""
    can_overcommit = "/" not in name and not name.startswith(_HUGE_PAGES)
    if limit is None:
        if not can_overcommit:
            yield required(f"{field}.limits", "Limit must be set for non overcommitable resources")
    elif not can_overcommit and quantity.compare(amount, limit):
        yield invalid(f"{field}.requests", amount, f"must be equal to {name} limit of {limit}")
    elif quantity.compare(amount, limit) > 0:
        yield invalid(f"{field}.requests", amount, f"must be less than or equal to {name} limit of {limit}")
