"""How many pods a budget's pods should be: the sum of what their controllers are scaled to (W75)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast.api import registry
from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.metadata import controller_of
from holdfast.api.resource import Manifest, Resource

SCALED = (STATEFUL_SETS, REPLICA_SETS, REPLICATION_CONTROLLERS, DEPLOYMENTS)

Lookup = Callable[[Resource, str], Manifest | None]
"""From one of `SCALED` and "namespace/name" to the object."""


class Uncountable(Exception):
    """Some controller's scale cannot be found; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Expected:
    count: int
    unmanaged: Sequence[str] = ()
    """Names of pods that have no controller: they count for nothing."""


def expected_pods(pods: Sequence[Manifest], lookup: Lookup) -> Expected:
    """Raises Uncountable."""
    scales: dict[str, int] = {}
    seen: set[str] = set()
    unmanaged = []
    for pod in pods:
        reference = controller_of(pod)
        if reference is None:
            unmanaged.append(pod["metadata"]["name"])
        elif reference["uid"] not in seen:
            seen.add(reference["uid"])
            owner = _scaled_owner(pod, reference, lookup)
            scales[owner["metadata"]["uid"]] = (owner.get("spec") or {}).get("replicas", 0)
    return Expected(sum(scales.values()), unmanaged)


def _scaled_owner(pod: Manifest, reference: Manifest, lookup: Lookup) -> Manifest:
    """The pod's controller; of a ReplicaSet the Deployment that controls it, if there is one."""
    resource = _resource_of(reference)
    namespace = pod["metadata"]["namespace"]
    owner = lookup(resource, f"{namespace}/{reference['name']}")
    if owner is None or owner["metadata"]["uid"] != reference["uid"]:
        raise Uncountable(f'found no controllers for pod "{pod["metadata"]["name"]}"')
    above = controller_of(owner)
    if resource is REPLICA_SETS and above is not None and above["kind"] == DEPLOYMENTS.kind:
        deployment = lookup(DEPLOYMENTS, f"{namespace}/{above['name']}")
        if deployment is not None and deployment["metadata"]["uid"] == above["uid"]:
            return deployment
    return owner


def _resource_of(reference: Manifest) -> Resource:
    kind, version = reference["kind"], reference["apiVersion"]
    group = version.rpartition("/")[0]
    for resource in SCALED:
        if (resource.kind, resource.group) == (kind, group):
            return resource
    for resource in registry.RESOURCES:
        if (resource.kind, resource.group) == (kind, group):
            raise Uncountable(f"{resource.qualified} does not implement the scale subresource")
    raise Uncountable(f'no matches for kind "{kind}" in version "{version}"')
