"""ClusterRoles: what may be done everywhere, or in any namespace a RoleBinding grants it in."""

from __future__ import annotations

from holdfast.api import names
from holdfast.api.errors import FieldError
from holdfast.api.resource import CREATED_COLUMNS, Manifest, Resource, created_cells

from .rules import GROUP, validate_aggregation, validate_rules


def default(role: Manifest) -> None:
    role.setdefault("rules", [])


def validate(role: Manifest) -> list[FieldError]:
    return [*validate_rules(role["rules"], is_namespaced=False), *validate_aggregation(role)]


CLUSTER_ROLES = Resource(
    group=GROUP,
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    namespaced=False,
    default=default,
    validate=validate,
    validate_name=names.path_segment_name,
    columns=CREATED_COLUMNS,
    cells=created_cells,
    creates_on_update=True,
)
