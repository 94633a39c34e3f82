"""ResourceQuotas: what a namespace may use in all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

from .resource_validation import is_standard, validate_amount, validate_resource_name

_SCOPES = frozenset(
    {"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"}
    | {"VolumeAttributesClass"}
)
_REQUEST = "Request represents a minimum amount of cpu/memory that a container may consume."
_LIMIT = (
    "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."
)


def default(quota: Manifest) -> None:
    quota.setdefault("spec", {})
    quota.setdefault("status", {})


def validate(quota: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, amount in quota["spec"].get("hard", {}).items():
        field = f"spec.hard[{name}]"
        errors += validate_resource_name(field, name)
        if "/" not in name and not is_standard(name):
            errors.append(invalid(field, name, "must be a standard resource for quota"))
        errors += validate_amount(field, name, amount)
    scopes = quota["spec"].get("scopes", [])
    if any(scope not in _SCOPES for scope in scopes):
        errors.append(invalid("spec.scopes", scopes, "unsupported scope"))
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    scopes = new["spec"].get("scopes", [])
    if sorted(scopes) == sorted(old["spec"].get("scopes", [])):
        return []
    return [invalid("spec.scopes", scopes, "field is immutable")]


def cells(quota: Manifest, now: datetime) -> list[Any]:
    hard, used = quota.get("status", {}).get("hard", {}), quota.get("status", {}).get("used", {})
    shown = {name: f"{name}: {used.get(name, '0')}/{amount}" for name, amount in sorted(hard.items())}
    limits = [text for name, text in shown.items() if name.startswith("limits.")]
    requests = [text for name, text in shown.items() if not name.startswith("limits.")]
    return [
        quota["metadata"]["name"],
        ", ".join(requests),
        ", ".join(limits),
        age(quota["metadata"].get("creationTimestamp"), now),
    ]


RESOURCE_QUOTAS = Resource(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    short_names=("quota",),
    subresources=(STATUS,),
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(NAME, Column("Request", text=_REQUEST), Column("Limit", text=_LIMIT), AGE),
    cells=cells,
    initial_status={},
    delete_returns_object=True,
)
