"""The rules that a gathering ClusterRole should have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.api.errors import NotFound
from holdfast.api.rbac.aggregation import aggregated
from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Patch, Plan


@dataclass(frozen=True, slots=True)
class Observed:
    role: Manifest
    """One that has an aggregationRule."""
    roles: Sequence[Manifest]


def plan(observed: Observed) -> Plan:
    role = observed.role
    rules = aggregated(role, observed.roles)
    if rules == (role.get("rules") or []):
        return Plan("its rules are those of its roles", subject=role)
    patch = Patch(CLUSTER_ROLES, "", role["metadata"]["name"], {"rules": rules}, ignore=(NotFound,))
    return Plan("the roles it gathers say something else", (patch,), subject=role)
