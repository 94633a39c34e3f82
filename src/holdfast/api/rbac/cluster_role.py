"""ClusterRoles: what may be done everywhere, or in any namespace a RoleBinding grants it in."""

from __future__ import annotations

from holdfast.api import names
from holdfast.api.errors import FieldError
from holdfast.api.resource import Manifest, Resource

from .rules import GROUP, ROLE_COLUMNS, role_cells, validate_aggregation, validate_rules


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
    columns=ROLE_COLUMNS,
    cells=role_cells,
    creates_on_update=True,
)
