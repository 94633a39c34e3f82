"""What the controller of gathering ClusterRoles looks at. Keys are their names."""

from __future__ import annotations

from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .plan import Observed, plan


class ClusterRoleAggregation:
    """Any ClusterRole that changes may be one that others gather: there are few who do."""

    name = "clusterrole-aggregation-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._roles = informers.of(CLUSTER_ROLES)
        self._roles.subscribe(self._on_role)

    def _on_role(self, old: Manifest | None, new: Manifest | None) -> None:
        for role in self._roles.list():
            if role.get("aggregationRule"):
                self._queue.add(key_of(role))

    def observe(self, key: str) -> Observed | None:
        role = self._roles.get(key)
        return Observed(role, self._roles.list()) if role is not None and role.get("aggregationRule") else None

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)
