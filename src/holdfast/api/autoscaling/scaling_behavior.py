"""How fast an autoscaler may scale: `spec.behavior` (autoscaling/v2)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import quantity_not_negative, supported
from holdfast.api.resource import Manifest

_LONGEST_WINDOW_S, _LONGEST_PERIOD_S = 3600, 1800
_BY_PERCENT = {"type": "Percent", "value": 100, "periodSeconds": 15}
_BY_PODS = {"type": "Pods", "value": 4, "periodSeconds": 15}


def default_behavior(behavior: Manifest) -> None:
    """Both directions have rules as soon as one has."""
    up = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [{**_BY_PODS}, {**_BY_PERCENT}]}
    down = {"selectPolicy": "Max", "policies": [{**_BY_PERCENT}]}
    behavior["scaleUp"] = up | (behavior.get("scaleUp") or {})
    behavior["scaleDown"] = down | (behavior.get("scaleDown") or {})


def validate_behavior(field: str, behavior: Manifest) -> Iterator[FieldError]:
    for direction in ("scaleUp", "scaleDown"):
        if rules := behavior.get(direction):
            yield from _rules(f"{field}.{direction}", rules)


def _rules(field: str, rules: Manifest) -> Iterator[FieldError]:
    if (window := rules.get("stabilizationWindowSeconds")) is not None:
        at = f"{field}.stabilizationWindowSeconds"
        if window < 0:
            yield invalid(at, window, "must be greater than or equal to zero")
        elif window > _LONGEST_WINDOW_S:
            yield invalid(at, window, f"must be less than or equal to {_LONGEST_WINDOW_S}")
    yield from supported(f"{field}.selectPolicy", rules.get("selectPolicy", "Max"), ("Disabled", "Max", "Min"))
    if not rules.get("policies"):
        yield required(f"{field}.policies", "must specify at least one Policy")
    for i, policy in enumerate(rules.get("policies", ())):
        yield from _policy(f"{field}.policies[{i}]", policy)
    if "tolerance" in rules:
        yield from quantity_not_negative(f"{field}.tolerance", rules["tolerance"])


def _policy(field: str, policy: Manifest) -> Iterator[FieldError]:
    yield from supported(f"{field}.type", policy.get("type", ""), ("Percent", "Pods"))
    value, period = policy.get("value", 0), policy.get("periodSeconds", 0)
    if value <= 0:
        yield invalid(f"{field}.value", value, "must be greater than zero")
    if period <= 0:
        yield invalid(f"{field}.periodSeconds", period, "must be greater than zero")
    elif period > _LONGEST_PERIOD_S:
        yield invalid(f"{field}.periodSeconds", period, f"must be less than or equal to {_LONGEST_PERIOD_S}")
