"""Label selectors as parts of objects: keys, operators and values (S166)."""

from __future__ import annotations

from collections.abc import Iterator

from . import names
from .errors import FieldError, forbidden, invalid, required
from .field_rules import label_key, label_map, named
from .resource import Manifest

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def validate_label_selector(field: str, selector: Manifest | None) -> Iterator[FieldError]:
    """Nothing is wrong with a selector that is not there."""
    if not selector:
        return
    yield from label_map(f"{field}.matchLabels", selector.get("matchLabels", {}))
    for i, requirement in enumerate(selector.get("matchExpressions", ())):
        at = f"{field}.matchExpressions[{i}]"
        if (operator := requirement.get("operator", "")) not in OPERATORS:
            yield invalid(f"{at}.operator", operator, "not a valid selector operator")
        yield from validate_requirement(at, requirement)


def values_fit(field: str, requirement: Manifest) -> Iterator[FieldError]:
    """As many values as the operator takes; an unknown one takes any."""
    operator, values = requirement.get("operator", ""), requirement.get("values", ())
    if operator in ("In", "NotIn") and not values:
        yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist") and values:
        yield forbidden(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")


def validate_requirement(field: str, requirement: Manifest) -> Iterator[FieldError]:
    """Of a label selector, whatever its operator is called."""
    yield from values_fit(field, requirement)
    yield from label_key(f"{field}.key", requirement.get("key", ""))
    for i, value in enumerate(requirement.get("values", ())):
        yield from named(f"{field}.values[{i}]", value, names.label_value)
