"""How many pods a budget's pods should be: the sum of what their controllers are scaled to (W75)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast.api import registry
from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.custom import paths
from holdfast.api.metadata import controller_of
from holdfast.api.resource import Manifest, Resource

SCALED = (STATEFUL_SETS, REPLICA_SETS, REPLICATION_CONTROLLERS, DEPLOYMENTS)

Lookup = Callable[[Resource, str], Manifest | None]
"""From one of `SCALED`, or a defined kind that scales, and "namespace/name" to the object."""

Defined = Callable[[str, str], Resource | None]
"""From group and kind to what a definition makes of it."""


class Uncountable(Exception):
    """Some controller's scale cannot be found; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Expected:
    count: int
    unmanaged: Sequence[str] = ()
    """Names of pods that have no controller: they count for nothing."""


def none_defined(group: str, kind: str) -> Resource | None:
    return None


def expected_pods(pods: Sequence[Manifest], lookup: Lookup, defined: Defined = none_defined) -> Expected:
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
            resource = _resource_of(reference, defined)
            owner = _scaled_owner(pod, resource, reference, lookup)
            scales[owner["metadata"]["uid"]] = scale_of(resource, owner)
    return Expected(sum(scales.values()), unmanaged)


def scale_of(resource: Resource, owner: Manifest) -> int:
    """How many pods it wants. Raises Uncountable if it should say so and does not."""
    scale = resource.custom.scale if resource.custom is not None else None
    if scale is None:
        return int((owner.get("spec") or {}).get("replicas", 0))
    wanted = paths.find(scale.spec_replicas, owner)
    if not wanted:
        raise Uncountable(f'Internal error occurred: the spec replicas field "{scale.spec_replicas}" does not exist')
    return int(wanted[0])


def _scaled_owner(pod: Manifest, resource: Resource, reference: Manifest, lookup: Lookup) -> Manifest:
    """The pod's controller; of a ReplicaSet the Deployment that controls it, if there is one."""
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


def _resource_of(reference: Manifest, defined: Defined) -> Resource:
    kind, version = reference["kind"], reference["apiVersion"]
    group = version.rpartition("/")[0]
    for resource in SCALED:
        if (resource.kind, resource.group) == (kind, group):
            return resource
    found = registry.by_group_kind(group, kind) or defined(group, kind)
    if found is None:
        raise Uncountable(f'no matches for kind "{kind}" in version "{version}"')
    if found.custom is None or found.custom.scale is None:
        raise Uncountable(f"{found.qualified} does not implement the scale subresource")
    return found
