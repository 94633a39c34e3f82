"""What is wrong with the policies of a Job: which failures count how, and when it has succeeded early."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names
from holdfast.api.errors import FieldError, duplicate, invalid, invalid_whole, required, show, too_long, too_many
from holdfast.api.field_rules import named, not_negative, supported
from holdfast.api.resource import Manifest

from .job_indexes import check_indexes

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
_MOST_RULES = 20
_MOST_CODES = 255
_MOST_INDEXES_TEXT = 64 * 1024


def validate_failure_policy(field: str, spec: Manifest) -> Iterator[FieldError]:
    """Of `spec`, that of a Job."""
    rules = (spec.get("podFailurePolicy") or {}).get("rules", [])
    if len(rules) > _MOST_RULES:
        yield too_many(f"{field}.rules", len(rules), _MOST_RULES)
    pod = spec.get("template", {}).get("spec", {})
    containers = {each.get("name") for kind in ("containers", "initContainers") for each in pod.get(kind, ())}
    for i, rule in enumerate(rules):
        at = f"{field}.rules[{i}]"
        yield from _action(f"{at}.action", rule.get("action", ""), spec)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes:
            yield from _exit_codes(f"{at}.onExitCodes", codes, containers)
        if conditions:
            yield from _conditions(f"{at}.onPodConditions", conditions)
        if codes and conditions:
            yield invalid_whole(at, "specifying both OnExitCodes and OnPodConditions is not supported")
        elif not codes and not conditions:
            yield invalid_whole(at, "specifying one of OnExitCodes and OnPodConditions is required")


def _action(field: str, action: str, spec: Manifest) -> Iterator[FieldError]:
    if action == "FailIndex":
        if "backoffLimitPerIndex" not in spec:
            yield invalid(field, action, "requires the backoffLimitPerIndex to be set")
    else:
        yield from _given(field, action, _ACTIONS)


def _given(field: str, value: str, values: tuple[str, ...]) -> Iterator[FieldError]:
    if not value:
        yield required(field, f"valid values: [{' '.join(show(each) for each in values)}]")
    else:
        yield from supported(field, value, values)


def _exit_codes(field: str, codes: Manifest, containers: set[str]) -> Iterator[FieldError]:
    operator, values = codes.get("operator", ""), codes.get("values", [])
    yield from _given(f"{field}.operator", operator, ("In", "NotIn"))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        refusal = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{field}.containerName", name, refusal)
    if not values:
        yield invalid(f"{field}.values", values, "at least one value is required")
    elif len(values) > _MOST_CODES:
        yield too_many(f"{field}.values", len(values), _MOST_CODES)
    seen: set[int] = set()
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid(f"{field}.values[{i}]", value, "must not be 0 for the In operator")
        if value in seen:
            yield duplicate(f"{field}.values[{i}]", value)
        seen.add(value)
    if values != sorted(values):
        yield invalid(f"{field}.values", values, "must be ordered")


def _conditions(field: str, patterns: list[Manifest]) -> Iterator[FieldError]:
    if len(patterns) > _MOST_RULES:
        yield too_many(field, len(patterns), _MOST_RULES)
    for i, pattern in enumerate(patterns):
        yield from named(f"{field}[{i}].type", pattern.get("type", ""), names.qualified_name)
        yield from _given(f"{field}[{i}].status", pattern.get("status", ""), _STATUSES)


def validate_success_policy(field: str, spec: Manifest) -> Iterator[FieldError]:
    """Of `spec`, that of a Job."""
    policy = spec.get("successPolicy")
    if policy is None:
        return
    if spec.get("completionMode") != "Indexed":
        yield invalid(field, policy, "requires indexed completion mode")
        return
    rules = policy.get("rules", [])
    if not rules:
        yield required(f"{field}.rules", "at least one rules must be specified when the successPolicy is specified")
    elif len(rules) > _MOST_RULES:
        yield too_many(f"{field}.rules", len(rules), _MOST_RULES)
    for i, rule in enumerate(rules):
        yield from _success_rule(f"{field}.rules[{i}]", rule, spec.get("completions") or 0)


def _success_rule(field: str, rule: Manifest, completions: int) -> Iterator[FieldError]:
    text, count = rule.get("succeededIndexes"), rule.get("succeededCount")
    if text is None and count is None:
        yield required(field, "at least one of succeededCount or succeededIndexes must be specified")
    named_indexes = 0
    if text is not None:
        at = f"{field}.succeededIndexes"
        if len(text) > _MOST_INDEXES_TEXT:
            yield too_long(at, _MOST_INDEXES_TEXT)
        try:
            named_indexes = check_indexes(text, completions)
        except ValueError as error:
            yield invalid(at, text, f"error parsing succeededIndexes: {error}")
    if count is None:
        return
    at = f"{field}.succeededCount"
    yield from not_negative(at, count)
    if count > completions:
        refusal = f"must be less than or equal to {completions} (the number of specified completions)"
        yield invalid(at, count, refusal)
    if text is not None and count > named_indexes:
        refusal = f"must be less than or equal to {named_indexes} "
        yield invalid(at, count, refusal + "(the number of indexes in the specified succeededIndexes field)")
