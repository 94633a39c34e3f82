"""The deletion of a namespace: pods first, then everything else, then the namespace (W94, A256).

Source: Kubernetes, pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.conditions import is_finished, is_terminating
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import parse_time
from holdfast.controllers.actions import Action, Delete, Each, Patch, Plan, Update, Waves

from .conditions import updated

FINALIZER = "kubernetes"
AGAIN_S = 1.0
"""How often the rest is counted while something keeps it."""
UNREAD_AGAIN_S = 5.0
"""The same where somebody else is asked in vain."""


@dataclass(frozen=True, slots=True)
class ObservedNamespace:
    """A namespace on its way out, and what the server says is in it."""

    namespace: Manifest
    content: Mapping[Resource, Sequence[Manifest]]
    """Kinds that have objects here. Only pods, as long as there are any."""
    now: datetime
    unread: Sequence[str] = ()
    """Why it cannot be said of some kinds whether they have any."""


def plan_deletion(observed: ObservedNamespace) -> Plan:
    namespace = observed.namespace
    if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
        return Plan("others' finalizers keep the namespace", subject=namespace)
    if not observed.content and not observed.unread:
        return _release(observed)
    deletes = [_deletion(resource, manifests) for resource, manifests in observed.content.items()]
    if not any(deletes):
        actions = _tell(observed, [*_unexpected(observed), *observed.unread])
        again_s = UNREAD_AGAIN_S if observed.unread else AGAIN_S
        return Plan("waiting for what is in it", actions, subject=namespace, again_after_s=again_s)
    each = Each(tuple(Waves([deletes_of_kind]) for deletes_of_kind in deletes if deletes_of_kind))
    refused = _refused(observed)
    return Plan("deleting what is in it", (each,), subject=namespace, again_after_s=0, failed_status=refused)


def _deletion(resource: Resource, manifests: Sequence[Manifest]) -> Sequence[Delete]:
    """Of the objects of one kind. The first refusal ends it, and is told for all: the next are as likely refused."""
    return [_delete(resource, manifest) for manifest in manifests if not is_terminating(manifest)]


def _delete(resource: Resource, manifest: Manifest) -> Delete:
    metadata = manifest["metadata"]
    return Delete(resource, metadata["namespace"], metadata["name"], metadata["uid"], propagation="Background")


def _release(observed: ObservedNamespace) -> Plan:
    """That nothing is left is told only if somebody will see it."""
    namespace = observed.namespace
    is_kept = bool(namespace["metadata"].get("finalizers")) or namespace["spec"]["finalizers"] != [FINALIZER]
    if is_kept and (told := _tell(observed, ())):
        return Plan("the namespace is empty", told, subject=namespace, again_after_s=0)
    return Plan("the namespace is empty", (_finalize(namespace),), subject=namespace)


def _finalize(namespace: Manifest) -> Update:
    """The only way to take the finalizer off; the server then removes the namespace (A257)."""
    kept = [each for each in namespace["spec"]["finalizers"] if each != FINALIZER]
    return Update(NAMESPACES, {**namespace, "spec": {**namespace["spec"], "finalizers": kept}}, subresource="finalize")


def _tell(observed: ObservedNamespace, failures: Sequence[str]) -> Sequence[Action]:
    """The conditions, if they say anything new (W95)."""
    namespace = observed.namespace
    present = (namespace.get("status") or {}).get("conditions") or []
    wanted = updated(present, observed.content, failures, observed.now)
    if wanted == present:
        return ()
    metadata = namespace["metadata"]
    patch = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "status": {"conditions": wanted},
    }
    return (Patch(NAMESPACES, "", metadata["name"], patch, subresource="status"),)


def _refused(observed: ObservedNamespace) -> Update:
    """What is said if something cannot be deleted; only that is counted which is known to be on its way out (W97)."""
    namespace, status = observed.namespace, observed.namespace.get("status") or {}
    going = {kind: manifests for kind, manifests in observed.content.items() if all(map(is_terminating, manifests))}
    conditions = updated(status.get("conditions") or [], going, (), observed.now, is_refused=True)
    status = {**status, "conditions": conditions}
    return Update(NAMESPACES, {**namespace, "status": status}, subresource="status", insists=True)


def _unexpected(observed: ObservedNamespace) -> Sequence[str]:
    """Of kinds that nothing keeps, and that had the time to go."""
    name = observed.namespace["metadata"]["name"]
    return [
        f"unexpected items still remain in namespace: {name} for gvr: {_shown(kind)}"
        for kind, manifests in observed.content.items()
        if not any(manifest["metadata"].get("finalizers") for manifest in manifests)
        and not (kind is PODS and _have_time(observed, manifests))
    ]


def _shown(kind: Resource) -> str:
    return f"{kind.group}/{kind.version}, Resource={kind.plural}"


def _have_time(observed: ObservedNamespace, pods: Sequence[Manifest]) -> bool:
    """By the longest grace that any of them asks for, from the deletion of the namespace on."""
    deleted = parse_time(observed.namespace["metadata"]["deletionTimestamp"])
    graces = (pod["spec"].get("terminationGracePeriodSeconds") or 0 for pod in pods if not is_finished(pod))
    return observed.now < deleted + timedelta(seconds=max(graces, default=0))


def first_pods(content: Mapping[Resource, Sequence[Manifest]]) -> Mapping[Resource, Sequence[Manifest]]:
    """Nothing but the pods as long as there are any: what they use must outlive them (V59)."""
    return {PODS: content[PODS]} if PODS in content else content
