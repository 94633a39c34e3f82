"""A pod's claims: whether they let it be scheduled, on which nodes, and what becomes of those that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.api.core import node_affinity
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding

from .filters import Objection
from .view import NodeView

NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True, slots=True)
class ClaimsOf:
    """A pod's claims, sorted out for the filters."""

    bound_volumes: Sequence[Manifest] = ()
    delayed: Sequence[Manifest] = ()
    """Unbound claims that wait for their first consumer, the smallest first."""
    exclusive_in_use: bool = False
    """One of them may be used by one pod only (RWOP), and is by another."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What has to be written so that the delayed claims get volumes at the chosen node."""

    matches: Sequence[tuple[Manifest, Manifest]] = ()
    """(claim, volume) to be bound to each other."""
    provisions: Sequence[Manifest] = ()
    """Claims to be marked with the node."""


@dataclass(frozen=True, slots=True)
class StorageView:
    """What the scheduler knows of storage, as functions of names."""

    claim: Callable[[str, str], Manifest | None]
    """(namespace, name)."""
    volume: Callable[[str], Manifest | None]
    candidates: Callable[[Manifest], Sequence[Manifest]]
    """The volumes that a claim may be matched with: free ones of its class, and those reserved for it."""
    storage_class: Callable[[str], Manifest | None]
    users: Callable[[str, str], Sequence[Manifest]]
    """(namespace, claim): the pods that have a node, have not ended and use the claim."""


def sort_out(pod: Manifest, storage: StorageView) -> ClaimsOf | str:
    """The pod's claims, or the text of what keeps it from any node (N222)."""
    bound, delayed, is_unbound_immediate, exclusive = [], [], False, False
    namespace = pod["metadata"]["namespace"]
    for name, is_ephemeral in binding.claims_of(pod):
        claim = storage.claim(namespace, name)
        if problem := _problem_of(claim, name, is_ephemeral):
            return problem
        if is_ephemeral and claim is not None and not binding.is_owned_by(claim, pod):
            return binding.not_owned(name, pod)
        assert claim is not None
        exclusive = exclusive or _is_taken(pod, claim, storage)
        volume_name = claim["spec"].get("volumeName")
        if binding.annotation(claim, binding.BIND_COMPLETED) is not None and volume_name:
            volume = storage.volume(volume_name)
            if volume is None:
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume_name}"'
            bound.append(volume)
        elif not volume_name and _is_delayed(claim, storage):
            delayed.append(claim)
        else:
            is_unbound_immediate = True
    if is_unbound_immediate:
        return "pod has unbound immediate PersistentVolumeClaims"
    return ClaimsOf(bound, sorted(delayed, key=binding.requested_bytes), exclusive)


def _problem_of(claim: Manifest | None, name: str, is_ephemeral: bool) -> str:
    if claim is None and is_ephemeral:
        return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    if (claim.get("status") or {}).get("phase") == "Lost":
        volume = claim["spec"].get("volumeName", "")
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
    if claim["metadata"].get("deletionTimestamp"):
        return f'persistentvolumeclaim "{name}" is being deleted'
    return ""


def _is_delayed(claim: Manifest, storage: StorageView) -> bool:
    """A class that does not exist counts as immediate (V42)."""
    storage_class = storage.storage_class(binding.class_of(claim))
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def _is_taken(pod: Manifest, claim: Manifest, storage: StorageView) -> bool:
    if "ReadWriteOncePod" not in (claim["spec"].get("accessModes") or ()):
        return False
    users = storage.users(claim["metadata"]["namespace"], claim["metadata"]["name"])
    return any(user["metadata"]["uid"] != pod["metadata"]["uid"] for user in users)


def objection(claims: ClaimsOf, node: NodeView, storage: StorageView) -> Objection | None:
    if claims.exclusive_in_use:
        return Objection(
            (
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by"
                " another pod",
            )
        )
    if not all(node_affinity.volume_allows(volume, node.manifest) for volume in claims.bound_volumes):
        return Objection(("node(s) didn't match PersistentVolume's node affinity",), is_final=True)
    if reserve(claims, node, storage) is None:
        return Objection(("node(s) didn't find available persistent volumes to bind",), is_final=True)
    return None


def reserve(claims: ClaimsOf, node: NodeView, storage: StorageView) -> Reservation | None:
    """Volumes for the delayed claims if the pod goes to this node; None if there are not enough (V37)."""
    matches: list[tuple[Manifest, Manifest]] = []
    provisions: list[Manifest] = []
    taken: set[str] = set()
    for claim in claims.delayed:
        selected = binding.annotation(claim, binding.SELECTED_NODE)
        if selected and selected != node.name:
            return None
        candidates = storage.candidates(claim)
        if not selected and (volume := binding.best_match(claim, candidates, node=node.manifest, taken=taken)):
            taken.add(volume["metadata"]["name"])
            matches.append((claim, volume))
        elif _can_provision(storage.storage_class(binding.class_of(claim)), node):
            provisions.append(claim)
        else:
            return None
    return Reservation(matches, provisions)


def _can_provision(storage_class: Manifest | None, node: NodeView) -> bool:
    if storage_class is None or storage_class["provisioner"] == NO_PROVISIONER:
        return False
    topologies = storage_class.get("allowedTopologies") or ()
    return not topologies or any(_is_within(each, node.labels) for each in topologies)


def _is_within(topology: Mapping[str, Sequence[Mapping[str, Sequence[str]]]], labels: Mapping[str, str]) -> bool:
    expressions = topology.get("matchLabelExpressions") or ()
    return all(labels.get(str(each["key"])) in each["values"] for each in expressions)
