"""The objects that every cluster has from its first moment on (A228, A236, A238)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.errors import AlreadyExists
from holdfast.api.networking.service_cidr import DEFAULT, SERVICE_CIDRS
from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from holdfast.api.rbac.role import ROLES
from holdfast.api.rbac.role_binding import ROLE_BINDINGS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.scheduling.priority_class import PRIORITY_CLASSES

from .bootstrap_roles import cluster_role_bindings, cluster_roles
from .joining_roles import for_newcomers, joining_role_bindings, joining_roles
from .local import LocalClient, exists
from .own_service import OwnService
from .role_reconciliation import reconciled_binding, reconciled_role

NAMES = ("default", "kube-system", "kube-public", "kube-node-lease")

CRITICAL = (
    ("system-cluster-critical", 2000000000,
     "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
    ("system-node-critical", 2000001000,
     "Used for system critical pods that must not be moved from their current node."),
)  # fmt: skip


async def ensure(client: LocalClient, service_cidrs: Sequence[str], own: OwnService) -> None:
    """Makes what is missing; what is there stays, and roles gain what they lack. All at once: they share a commit."""
    async with asyncio.TaskGroup() as group:
        for name in NAMES:
            group.create_task(_ensure(client, NAMESPACES, {"metadata": {"name": name}}))
    async with asyncio.TaskGroup() as group:
        for name, value, description in CRITICAL:
            manifest = {"metadata": {"name": name}, "value": value, "description": description}
            group.create_task(_ensure(client, PRIORITY_CLASSES, manifest))
        for role in (*cluster_roles(), *joining_roles()):
            group.create_task(_reconcile(client, CLUSTER_ROLES, role, reconciled_role))
        for binding in (*cluster_role_bindings(), *joining_role_bindings()):
            group.create_task(_reconcile(client, CLUSTER_ROLE_BINDINGS, binding, reconciled_binding))
        for resource, manifest in zip((ROLES, ROLE_BINDINGS), for_newcomers(), strict=True):
            group.create_task(_ensure(client, resource, manifest))
        group.create_task(_ensure_service_cidr(client, [*service_cidrs]))
        group.create_task(own.ensure())


async def _ensure(client: LocalClient, resource: Resource, manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    if await exists(client, resource, metadata["name"], metadata.get("namespace", "")):
        return
    try:
        await client.create(resource, manifest)
    except AlreadyExists:
        return


async def _reconcile(
    client: LocalClient, resource: Resource, expected: Manifest, reconciled: Callable[[Manifest, Manifest], Manifest]
) -> None:
    """Makes it, or adds what an older holdfast, or somebody since, has left out of it."""
    name = expected["metadata"]["name"]
    if not await exists(client, resource, name):
        await _ensure(client, resource, expected)
        return
    stored = await client.get(resource, name)
    wanted = reconciled(stored, expected)
    if wanted.get("roleRef") != stored.get("roleRef"):
        await client.delete(resource, name, uid=stored["metadata"]["uid"])
        await client.create(resource, wanted)
    elif wanted != stored:
        await client.update(resource, wanted)


async def _ensure_service_cidr(client: LocalClient, service_cidrs: list[str]) -> None:
    """The ranges that services' addresses come from, as an object. A cluster may gain its second family later."""
    await _ensure(client, SERVICE_CIDRS, {"metadata": {"name": DEFAULT}, "spec": {"cidrs": service_cidrs}})
    made = await client.get(SERVICE_CIDRS, DEFAULT)
    if len(service_cidrs) > len(made["spec"]["cidrs"]):
        made = await client.update(SERVICE_CIDRS, {**made, "spec": {"cidrs": service_cidrs}})
    if made["status"].get("conditions"):
        return
    ready = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes default Service CIDR is ready"}
    condition = {**ready, "lastTransitionTime": made["metadata"]["creationTimestamp"]}
    await client.update(SERVICE_CIDRS, {**made, "status": {"conditions": [condition]}}, subresource="status")
