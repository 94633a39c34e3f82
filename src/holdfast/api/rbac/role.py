"""Roles: what may be done in one namespace."""

from __future__ import annotations

from holdfast.api import names
from holdfast.api.errors import FieldError
from holdfast.api.resource import CREATED_COLUMNS, Manifest, Resource, created_cells

from .rules import GROUP, validate_rules


def default(role: Manifest) -> None:
    role.setdefault("rules", [])


def validate(role: Manifest) -> list[FieldError]:
    return [*validate_rules(role["rules"], is_namespaced=True)]


ROLES = Resource(
    group=GROUP,
    version="v1",
    kind="Role",
    plural="roles",
    default=default,
    validate=validate,
    validate_name=names.path_segment_name,
    columns=CREATED_COLUMNS,
    cells=created_cells,
    creates_on_update=True,
)
