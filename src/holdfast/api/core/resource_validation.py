"""Requests and limits: names of resources and their quantities (A5, N4)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names, quantity
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import quantity_not_negative
from holdfast.api.resource import Manifest

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


def validate_resource_requirements(field: str, resources: Manifest) -> Iterator[FieldError]:
    """Of a container: known names, no negative amounts, no request above its limit."""
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for name, amount in limits.items():
        yield from _container_resource(f"{field}.limits[{name}]", name, amount)
    for name, amount in requests.items():
        yield from _container_resource(f"{field}.requests[{name}]", name, amount)
        yield from _within_limit(field, name, amount, limits.get(name))


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
    yield from validate_resource_name(field, name)
    if "/" not in name and name not in _OF_CONTAINERS and not name.startswith(_HUGE_PAGES):
        yield invalid(field, name, "must be a standard resource for containers")
    yield from validate_amount(field, name, amount)


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
