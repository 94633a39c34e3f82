"""MutatingAdmissionPolicyBindings: where a policy applies (A249)."""

from __future__ import annotations

from holdfast.api.errors import FieldError
from holdfast.api.resource import Manifest, Resource

from .matching import GROUP
from .policies import BINDING_COLUMNS, binding_cells, default_binding, validate_binding


def validate(binding: Manifest) -> list[FieldError]:
    return [*validate_binding(binding["spec"])]


MUTATING_ADMISSION_POLICY_BINDINGS = Resource(
    group=GROUP,
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    namespaced=False,
    categories=("api-extensions",),
    default=default_binding,
    validate=validate,
    columns=BINDING_COLUMNS,
    cells=binding_cells,
    has_generation=True,
    allows_unconditional_update=False,
)
