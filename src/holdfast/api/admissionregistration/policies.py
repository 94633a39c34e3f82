"""What admission policies share: parameters, variables, and how policies and bindings are shown (A247)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, forbidden, invalid, not_supported, required
from holdfast.api.field_rules import named, required_and_supported, required_name
from holdfast.api.resource import AGE, NAME, Column, Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.selectors import selector_from_manifest
from holdfast.api.table import age

from .expressions import validate_expression
from .matching import (
    FAILURE_POLICIES,
    OPERATIONS,
    default_match_resources,
    validate_match_conditions,
    validate_match_resources,
)

_UNSET = "<unset>"
_is_identifier = re.compile("[_a-zA-Z][_a-zA-Z0-9]*").fullmatch
_RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"}
    | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
)


def default_policy(policy: Manifest) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if spec.get("matchConstraints") is not None:
        default_match_resources(spec["matchConstraints"])


def default_binding(binding: Manifest) -> None:
    spec = binding.setdefault("spec", {})
    spec.setdefault("policyName", "")
    if spec.get("matchResources") is not None:
        default_match_resources(spec["matchResources"])


def validate_policy(spec: Manifest, operations: Sequence[str] = OPERATIONS) -> Iterator[FieldError]:
    """All of a policy's spec but what it decides."""
    yield from required_and_supported("spec.failurePolicy", spec["failurePolicy"], FAILURE_POLICIES)
    if spec.get("paramKind") is not None:
        yield from _param_kind("spec.paramKind", spec["paramKind"])
    match = spec.get("matchConstraints")
    if match is None:
        yield required("spec.matchConstraints")
    else:
        yield from validate_match_resources("spec.matchConstraints", match, operations)
        if not match.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
    yield from validate_match_conditions("spec.matchConditions", spec.get("matchConditions") or [])
    for i, variable in enumerate(spec.get("variables") or ()):
        yield from _variable(f"spec.variables[{i}]", variable)


def _param_kind(field: str, param: Manifest) -> Iterator[FieldError]:
    api_version, kind = param.get("apiVersion", ""), param.get("kind", "")
    group, _, version = api_version.rpartition("/")
    if not api_version:
        yield required(f"{field}.apiVersion")
    elif "/" in group:
        yield invalid(f"{field}.apiVersion", api_version, f"unexpected GroupVersion string: {api_version}")
    else:
        if group:
            yield from named(f"{field}.apiVersion", group, names.dns_subdomain)
        if not version:
            yield invalid(f"{field}.apiVersion", api_version, "version must be specified")
        else:
            yield from named(f"{field}.apiVersion", version, names.rfc1035_label)
    if not kind:
        yield required(f"{field}.kind")
    elif error := names.rfc1035_label(kind.lower()):
        yield invalid(f"{field}.kind", kind, f"may have mixed case, but should otherwise match: {error}")


def _variable(field: str, variable: Manifest) -> Iterator[FieldError]:
    name = variable.get("name", "")
    if not name.strip():
        yield required(f"{field}.name", "name is not specified")
    elif not _is_identifier(name) or name in _RESERVED:
        yield invalid(f"{field}.name", name, "name is not a valid CEL identifier")
    expression = variable.get("expression", "")
    if not expression.strip():
        yield required(f"{field}.expression", "expression is not specified")
    yield from validate_expression(f"{field}.expression", expression)


def validate_binding(spec: Manifest) -> Iterator[FieldError]:
    yield from required_name("spec.policyName", spec["policyName"], names.dns_subdomain)
    if spec.get("paramRef") is not None:
        yield from _param_reference("spec.paramRef", spec["paramRef"])
    if spec.get("matchResources") is not None:
        yield from validate_match_resources("spec.matchResouces", spec["matchResources"])  # so misspelt upstream


def _param_reference(field: str, reference: Manifest) -> Iterator[FieldError]:
    name, selector = reference.get("name", ""), reference.get("selector")
    exclusive = "name and selector are mutually exclusive"
    yield from named(f"{field}.name", name, names.path_segment_name)
    if selector is not None:
        if name:
            yield forbidden(f"{field}.name", exclusive)
        yield from validate_label_selector(f"{field}.selector", selector)
        if name:
            yield forbidden(f"{field}.selector", exclusive)
    elif not name:
        yield required(field, "one of name or selector must be specified")
    action = reference.get("parameterNotFoundAction", "")
    if not action:
        yield required(f"{field}.parameterNotFoundAction")
    elif action not in ("Deny", "Allow"):
        yield not_supported(f"{field}.parameterNotFoundAction", action, ("Deny", "Allow"))


def policy_columns(name: str, text: str) -> tuple[Column, ...]:
    kind = "ParamKind specifies the kind of resources used to parameterize this policy"
    return (NAME, Column(name, "integer", text=text), Column("ParamKind", text=kind), AGE)


def policy_cells(policy: Manifest, now: datetime, decisions: str) -> list[Any]:
    metadata, spec = policy["metadata"], policy["spec"]
    param = spec.get("paramKind")
    shown = f"{param.get('apiVersion', '')}/{param.get('kind', '')}" if param else _UNSET
    return [metadata["name"], len(spec.get(decisions) or ()), shown, age(metadata.get("creationTimestamp"), now)]


BINDING_COLUMNS = (
    NAME,
    Column("PolicyName", text="PolicyName indicates the policy definition which the policy binding binded to"),
    Column("ParamRef", text="ParamRef indicates the param resource which sets the configration param"),
    AGE,
)


def binding_cells(binding: Manifest, now: datetime) -> list[Any]:
    metadata, spec = binding["metadata"], binding["spec"]
    return [
        metadata["name"],
        spec["policyName"],
        _reference(spec.get("paramRef")),
        age(metadata.get("creationTimestamp"), now),
    ]


def _reference(reference: Manifest | None) -> str:
    if reference is None:
        return _UNSET
    if name := reference.get("name"):
        namespace = reference.get("namespace")
        return f"{namespace}/{name}" if namespace else str(name)
    return str(selector_from_manifest(reference.get("selector")))
