"""Label selectors as parts of objects: keys, operators and values (S166)."""

from __future__ import annotations

from collections.abc import Iterator

from . import names
from .errors import FieldError, forbidden, invalid, required
from .field_rules import label_key, label_map, named
from .resource import Manifest


def validate_label_selector(field: str, selector: Manifest | None) -> Iterator[FieldError]:
    """Nothing is wrong with a selector that is not there."""
    if not selector:
        return
    yield from label_map(f"{field}.matchLabels", selector.get("matchLabels", {}))
    for i, requirement in enumerate(selector.get("matchExpressions", ())):
        yield from _requirement(f"{field}.matchExpressions[{i}]", requirement)


def _requirement(field: str, requirement: Manifest) -> Iterator[FieldError]:
    operator, values = requirement.get("operator", ""), requirement.get("values", ())
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    else:
        yield invalid(f"{field}.operator", operator, "not a valid selector operator")
    yield from label_key(f"{field}.key", requirement.get("key", ""))
    for i, value in enumerate(values):
        yield from named(f"{field}.values[{i}]", value, names.label_value)
