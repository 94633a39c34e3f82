"""RoleBindings: who has a role in one namespace."""

from __future__ import annotations

from holdfast.api import names
from holdfast.api.errors import FieldError
from holdfast.api.resource import Manifest, Resource

from .rules import GROUP, binding_cells, binding_columns, default_binding, validate_binding, validate_binding_update


def validate(binding: Manifest) -> list[FieldError]:
    return validate_binding(binding, ("Role", "ClusterRole"))


ROLE_BINDINGS = Resource(
    group=GROUP,
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    default=default_binding,
    validate=validate,
    validate_update=validate_binding_update,
    validate_name=names.path_segment_name,
    columns=binding_columns("roleBinding"),
    cells=binding_cells,
    creates_on_update=True,
)
