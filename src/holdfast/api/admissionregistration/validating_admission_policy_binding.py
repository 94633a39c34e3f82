"""ValidatingAdmissionPolicyBindings: where a policy applies, and what follows from it (A249)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.errors import FieldError, duplicate, invalid, required
from holdfast.api.field_rules import supported
from holdfast.api.resource import Manifest, Resource

from .matching import GROUP
from .policies import BINDING_COLUMNS, binding_cells, default_binding, validate_binding

_ACTIONS = ("Audit", "Deny", "Warn")
_TWICE = (
    'must not contain both "Deny" and "Warn" (repeating the same validation failure information in the API response '
    "and headers serves no purpose)"
)


def validate(binding: Manifest) -> list[FieldError]:
    spec = binding["spec"]
    return [*validate_binding(spec), *_actions("spec.validationActions", spec.get("validationActions") or [])]


def _actions(field: str, actions: list[str]) -> Iterator[FieldError]:
    for i, action in enumerate(actions):
        yield from supported(f"{field}[{i}]", action, _ACTIONS)
        if action in actions[:i]:
            yield duplicate(f"{field}[{i}]", action)
    if {"Deny", "Warn"} <= set(actions):
        yield invalid(field, actions, _TWICE)
    if not actions:
        yield required(field, "at least one validation action is required")


VALIDATING_ADMISSION_POLICY_BINDINGS = Resource(
    group=GROUP,
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
    categories=("api-extensions",),
    default=default_binding,
    validate=validate,
    columns=BINDING_COLUMNS,
    cells=binding_cells,
    has_generation=True,
    allows_unconditional_update=False,
)
