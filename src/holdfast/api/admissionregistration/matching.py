"""Which requests a webhook or a policy is about: rules, selectors, conditions (A246)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.api import names
from holdfast.api.errors import FieldError, duplicate, invalid, required, too_many
from holdfast.api.field_rules import named, required_and_supported, supported, unique
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector

from .expressions import validate_expression

GROUP = "admissionregistration.k8s.io"
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
_SCOPES = ("*", "Cluster", "Namespaced")
_MOST_CONDITIONS = 64


def default_rule(rule: Manifest) -> None:
    rule.setdefault("scope", "*")


def default_match_resources(match: Manifest) -> None:
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for rules in ("resourceRules", "excludeResourceRules"):
        for rule in match.get(rules, ()):
            default_rule(rule)


def validate_rule(field: str, rule: Manifest, operations: Sequence[str] = OPERATIONS) -> Iterator[FieldError]:
    given = rule.get("operations") or []
    yield from _with_wildcard(f"{field}.operations", given, "operations")
    for i, operation in enumerate(given):
        yield from supported(f"{field}.operations[{i}]", operation, operations)
    yield from _with_wildcard(f"{field}.apiGroups", rule.get("apiGroups") or [], "API groups")
    versions = rule.get("apiVersions") or []
    yield from _with_wildcard(f"{field}.apiVersions", versions, "API versions")
    for i, version in enumerate(versions):
        if not version:
            yield required(f"{field}.apiVersions[{i}]")
    yield from _resources(f"{field}.resources", rule.get("resources") or [])
    yield from supported(f"{field}.scope", rule.get("scope", "*"), _SCOPES)


def _with_wildcard(field: str, given: list[str], what: str) -> Iterator[FieldError]:
    if not given:
        yield required(field)
    elif len(given) > 1 and "*" in given:
        yield invalid(field, given, f"if '*' is present, must not specify other {what}")


def _resources(field: str, resources: list[str]) -> Iterator[FieldError]:
    if not resources:
        yield required(field)
    whole: set[str] = set()  # x/*
    anywhere: set[str] = set()  # */x
    for i, text in enumerate(resources):
        if not text:
            yield required(f"{field}[{i}]")
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            continue
        if resource in whole:
            yield invalid(f"{field}[{i}]", text, f"if '{resource}/*' is present, must not specify {text}")
        if sub in anywhere:
            yield invalid(f"{field}[{i}]", text, f"if '*/{sub}' is present, must not specify {text}")
        if sub == "*":
            whole.add(resource)
        if resource == "*":
            anywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        yield invalid(field, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and any(text and text != "*" and "/" not in text for text in resources):
        yield invalid(field, resources, "if '*' is present, must not specify other resources without subresources")


def validate_match_resources(
    field: str, match: Manifest, operations: Sequence[str] = OPERATIONS
) -> Iterator[FieldError]:
    yield from required_and_supported(f"{field}.matchPolicy", match.get("matchPolicy", ""), MATCH_POLICIES)
    for selector, shown in (("namespaceSelector", "namespaceSelector"), ("objectSelector", "labelSelector")):
        if selector in match:
            yield from validate_label_selector(f"{field}.{shown}", match[selector])
        else:
            yield required(f"{field}.{shown}")
    for rules in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(match.get(rules, ())):
            yield from _named_rule(f"{field}.{rules}[{i}]", rule, operations)


def _named_rule(field: str, rule: Manifest, operations: Sequence[str]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, name in enumerate(rule.get("resourceNames") or ()):
        yield from named(f"{field}.resourceNames[{i}]", name, names.path_segment_name)
        if name in seen:
            yield duplicate(f"{field}.resourceNames[{i}]", name)
        seen.add(name)
    yield from validate_rule(field, rule, operations)


def validate_match_conditions(field: str, conditions: list[Manifest]) -> Iterator[FieldError]:
    if len(conditions) > _MOST_CONDITIONS:
        yield too_many(field, len(conditions), _MOST_CONDITIONS)
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        at, name = f"{field}[{i}]", condition.get("name", "")
        expression = condition.get("expression", "")
        if not expression.strip():
            yield required(f"{at}.expression")
        yield from validate_expression(f"{at}.expression", expression)
        if not name:
            yield required(f"{at}.name")
        else:
            yield from named(f"{at}.name", name, names.qualified_name)
        yield from unique(f"{at}.name", name, seen)
