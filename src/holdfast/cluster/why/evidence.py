"""What a cluster's API says, read once. What may not be read is known to be unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.batch.job import JOBS
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.secret import SECRETS
from holdfast.api.core.service import SERVICES
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest, Resource
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.client import Client, Unreachable

from .chain import name_of, namespace_of

NAMESPACED = (
    PODS,
    PERSISTENT_VOLUME_CLAIMS,
    STATEFUL_SETS,
    DEPLOYMENTS,
    REPLICA_SETS,
    DAEMON_SETS,
    JOBS,
    SERVICES,
    ENDPOINT_SLICES,
    SERVICE_ACCOUNTS,
    CONFIG_MAPS,
    SECRETS,
    EVENTS,
)
CLUSTER_WIDE = (NODES, PERSISTENT_VOLUMES, STORAGE_CLASSES, NAMESPACES)


@dataclass(slots=True)
class Evidence:
    """The objects of one namespace, and those of the whole cluster, at one moment."""

    namespace: str
    now: datetime
    objects: dict[Resource, Sequence[Manifest]] = field(default_factory=dict)
    """Kinds that could not be read are missing."""

    def is_known(self, resource: Resource) -> bool:
        return resource in self.objects

    def all(self, resource: Resource) -> Sequence[Manifest]:
        return self.objects.get(resource, ())

    def get(self, resource: Resource, name: str) -> Manifest | None:
        return next((found for found in self.all(resource) if name_of(found) == name), None)

    def is_absent(self, resource: Resource, name: str) -> bool:
        """Known not to be there."""
        return self.is_known(resource) and self.get(resource, name) is None

    def events(self, manifest: Manifest, *reasons: str) -> list[Manifest]:
        """Those about the object, of any of the reasons, or of any at all; the latest first."""
        uid = manifest["metadata"].get("uid")
        found = [
            event
            for event in self.all(EVENTS)
            if (event.get("involvedObject") or {}).get("uid") == uid and (not reasons or event.get("reason") in reasons)
        ]
        return sorted(found, key=_when, reverse=True)

    def last_message(self, manifest: Manifest, *reasons: str) -> str:
        """Of the latest such event; empty if there is none."""
        found = self.events(manifest, *reasons)
        return str(found[0].get("message") or "").strip() if found else ""


def _when(event: Manifest) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


async def gather(client: Client, namespace: str, now: datetime) -> Evidence:
    """Raises Unreachable if there is nobody to ask; what is forbidden stays unknown."""
    evidence = Evidence(namespace, now)

    async def read(resource: Resource) -> None:
        try:
            found = await client.list(resource, namespace if resource.namespaced else "")
        except Unreachable:
            raise
        except ApiError:
            return
        evidence.objects[resource] = found.items

    await asyncio.gather(*(read(resource) for resource in (*NAMESPACED, *CLUSTER_WIDE)))
    return evidence


def pods_of(evidence: Evidence, owner: Manifest) -> list[Manifest]:
    """Those that the object controls, in the order of their names."""
    uid = owner["metadata"].get("uid")
    return [pod for pod in evidence.all(PODS) if controller_uid(pod) == uid and namespace_of(pod) == evidence.namespace]


def controller_uid(manifest: Manifest) -> str:
    for reference in manifest["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""
