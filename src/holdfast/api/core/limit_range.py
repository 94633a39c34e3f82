"""LimitRanges: what containers, pods and claims of a namespace may ask for."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names, quantity
from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, required
from holdfast.api.resource import CREATED_COLUMNS, Manifest, Resource, created_cells

_TYPES = ("Container", "Pod", "PersistentVolumeClaim")
_MEMBERS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def default(limit_range: Manifest) -> None:
    """A container's limit defaults to the most, its request to that limit or else the least (A269)."""
    for limit in limit_range.setdefault("spec", {}).setdefault("limits", []):
        if limit.get("type") != "Container":
            continue
        limits = {**limit.get("max", {}), **limit.get("default", {})}
        requests = {**limit.get("min", {}), **limits, **limit.get("defaultRequest", {})}
        if limits:
            limit["default"] = limits
        if requests:
            limit["defaultRequest"] = requests


def validate(limit_range: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, limit in enumerate(limit_range["spec"]["limits"]):
        kind, at = limit.get("type", ""), f"spec.limits[{i}]"
        if kind in seen:
            errors.append(duplicate(f"{at}.type", kind))
        seen.add(kind)
        errors += [*_type(f"{at}.type", kind), *_limit(at, limit)]
    return errors


def _type(field: str, kind: str) -> Iterator[FieldError]:
    if error := names.qualified_name(kind):
        yield invalid(field, kind, error)
    elif "/" not in kind and kind not in _TYPES:
        yield invalid(field, kind, "must be a standard limit type or fully qualified")


def _limit(field: str, limit: Manifest) -> Iterator[FieldError]:
    if limit.get("type") == "Pod":
        for member in ("default", "defaultRequest"):
            if limit.get(member):
                yield forbidden(f"{field}.{member}", "may not be specified when `type` is 'Pod'")
    bounds = limit.get("min", {}).keys() | limit.get("max", {}).keys()
    if limit.get("type") == "PersistentVolumeClaim" and "storage" not in bounds:
        refusal = "either minimum or maximum storage value is required, but neither was provided"
        yield required(f"{field}.limits", refusal)
    for name in sorted({name for member in _MEMBERS for name in limit.get(member, {})}):
        yield from _order(field, name, limit)
        yield from _ratio(f"{field}.maxLimitRequestRatio[{name}]", name, limit)


def _order(field: str, name: str, limit: Manifest) -> Iterator[FieldError]:
    """The least is not above any other bound, no default above the most."""
    least, most = limit.get("min", {}).get(name), limit.get("max", {}).get(name)
    request, usual = limit.get("defaultRequest", {}).get(name), limit.get("default", {}).get(name)
    if least and most and quantity.compare(least, most) > 0:
        yield invalid(f"{field}.min[{name}]", least, f"min value {least} is greater than max value {most}")
    if request and least and quantity.compare(least, request) > 0:
        refusal = f"min value {least} is greater than default request value {request}"
        yield invalid(f"{field}.defaultRequest[{name}]", request, refusal)
    if request and most and quantity.compare(request, most) > 0:
        refusal = f"default request value {request} is greater than max value {most}"
        yield invalid(f"{field}.defaultRequest[{name}]", request, refusal)
    if request and usual and quantity.compare(request, usual) > 0:
        refusal = f"default request value {request} is greater than default limit value {usual}"
        yield invalid(f"{field}.defaultRequest[{name}]", request, refusal)
    if usual and least and quantity.compare(least, usual) > 0:
        # The value shown is the least, as upstream has it.
        yield invalid(f"{field}.default[{name}]", least, f"min value {least} is greater than default value {usual}")
    if usual and most and quantity.compare(usual, most) > 0:
        yield invalid(f"{field}.default[{name}]", most, f"default value {usual} is greater than max value {most}")


def _ratio(field: str, name: str, limit: Manifest) -> Iterator[FieldError]:
    """How much more a limit may be than its request: not less than once, not more than the bounds allow."""
    ratio, least, most = (limit.get(member, {}).get(name) for member in ("maxLimitRequestRatio", "min", "max"))
    if ratio is None:
        return
    if quantity.compare(ratio, "1") < 0:
        yield invalid(field, ratio, f"ratio {ratio} is less than 1")
    if least and most and quantity.parse(least):
        widest = quantity.parse(most) / quantity.parse(least)
        if quantity.parse(ratio) > widest:
            yield invalid(field, ratio, f"ratio {ratio} is greater than max/min = {float(widest):f}")


LIMIT_RANGES = Resource(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    short_names=("limits",),
    default=default,
    validate=validate,
    columns=CREATED_COLUMNS,
    cells=created_cells,
    creates_on_update=True,
)
