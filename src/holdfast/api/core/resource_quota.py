"""ResourceQuotas: what a namespace may use in all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

from .resource_validation import is_standard, validate_amount, validate_resource_name

_OF_PODS = frozenset({"pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_COUNTED = {
    "Terminating": _OF_PODS,
    "NotTerminating": _OF_PODS,
    "BestEffort": frozenset({"pods"}),
    "NotBestEffort": _OF_PODS,
    "PriorityClass": _OF_PODS,
    "CrossNamespacePodAffinity": _OF_PODS,
    "VolumeAttributesClass": frozenset({"persistentvolumeclaims", "requests.storage"}),
}
"""What a quota with a scope can limit."""
_SCOPES = _COUNTED.keys()
_OPPOSITES = (frozenset({"BestEffort", "NotBestEffort"}), frozenset({"Terminating", "NotTerminating"}))
_PLAIN_SCOPES = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_MUST_EXIST = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)
_REQUEST = "Request represents a minimum amount of cpu/memory that a container may consume."
_LIMIT = (
    "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."
)


def default(quota: Manifest) -> None:
    quota.setdefault("spec", {})
    quota.setdefault("status", {})


def validate(quota: Manifest) -> list[FieldError]:
    spec = quota["spec"]
    hard = spec.get("hard", {})
    return [*_amounts("spec.hard", hard), *_scopes(spec.get("scopes", []), hard), *_selector(spec, hard)]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    scopes = new["spec"].get("scopes", [])
    if set(scopes) == set(old["spec"].get("scopes", [])):
        return []
    return [invalid("spec.scopes", scopes or None, "field is immutable")]


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    status = new.get("status", {})
    return [error for member in ("hard", "used") for error in _amounts(f"status.{member}", status.get(member, {}))]


def _amounts(field: str, amounts: dict[str, str]) -> Iterator[FieldError]:
    for name, amount in amounts.items():
        at = f"{field}[{name}]"
        yield from validate_resource_name(at, name)
        if "/" not in name and not _can_be_counted(name):
            yield invalid(at, name, "must be a standard resource for quota")
        yield from validate_amount(at, name, amount)


def _can_be_counted(name: str) -> bool:
    return is_standard(name) and name != "storage"


def _scopes(scopes: list[str], hard: dict[str, str]) -> Iterator[FieldError]:
    """Which pods a quota counts; of the rest, such as secrets, it then cannot speak."""
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid("spec.scopes", scopes, "unsupported scope")
        for _ in _outside(scope, hard):
            yield invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    for pair in _OPPOSITES:
        if pair <= set(scopes):
            yield invalid("spec.scopes", scopes, "conflicting scopes")


def _outside(scope: str, hard: dict[str, str]) -> list[str]:
    """What the quota limits although pods of that scope do not use it."""
    counted = _COUNTED.get(scope)
    return [] if counted is None else [name for name in hard if _can_be_counted(name) and name not in counted]


def _selector(spec: Manifest, hard: dict[str, str]) -> Iterator[FieldError]:
    selector = spec.get("scopeSelector")
    if selector is None:
        return
    field, requirements = "spec.scopeSelector.matchExpressions", selector.get("matchExpressions", [])
    for requirement in requirements:
        scope = requirement.get("scopeName", "")
        if scope not in _SCOPES:
            yield invalid(f"{field}.scopeName", scope, "unsupported scope")
        for _ in _outside(scope, hard):
            yield invalid(field, _structure(requirements), "unsupported scope applied to resource")
        yield from _operator(field, scope, requirement.get("operator", ""), requirement.get("values"))
    for pair in _OPPOSITES:
        if pair <= {requirement.get("scopeName") for requirement in requirements}:
            # Upstream shows the other list of scopes here.
            yield invalid(field, spec.get("scopes"), "conflicting scopes")


def _operator(field: str, scope: str, operator: str, values: list[str] | None) -> Iterator[FieldError]:
    if scope in _PLAIN_SCOPES and operator != "Exists":
        yield invalid(f"{field}.operator", operator, _MUST_EXIST)
    if operator in ("In", "NotIn"):
        if not values:
            refusal = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            yield required(f"{field}.values", refusal)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            refusal = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            yield invalid(f"{field}.values", values, refusal)
    else:
        yield invalid(f"{field}.operator", operator, "not a valid selector operator")


def _structure(requirements: list[Manifest]) -> Manifest:
    """Upstream's message shows its internal structure."""
    shown = [
        {"ScopeName": each.get("scopeName", ""), "Operator": each.get("operator", ""), "Values": each.get("values")}
        for each in requirements
    ]
    return {"MatchExpressions": shown or None}


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
    validate_status_update=validate_status_update,
    columns=(NAME, Column("Request", text=_REQUEST), Column("Limit", text=_LIMIT), AGE),
    cells=cells,
    initial_status={},
    delete_returns_object=True,
)
