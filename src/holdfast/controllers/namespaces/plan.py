"""The deletion of a namespace: pods first, then everything else, then the namespace (W94, A256).

Source: Kubernetes, pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time
from holdfast.controllers.actions import Action, Delete, Each, Patch, Plan, Update

FINALIZER = "kubernetes"
AGAIN_S = 1.0
"""How often the rest is counted while something keeps it."""


@dataclass(frozen=True, slots=True)
class ObservedNamespace:
    """A namespace on its way out, and what the server says is in it."""

    namespace: Manifest
    content: Mapping[Resource, Sequence[Manifest]]
    """Kinds that have objects here. Only pods, as long as there are any."""
    now: datetime


def plan_deletion(observed: ObservedNamespace) -> Plan:
    namespace = observed.namespace
    if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
        return Plan("others' finalizers keep the namespace", subject=namespace)
    if not observed.content:
        return Plan("the namespace is empty", (_finalize(namespace),), subject=namespace)
    deletes = [
        _delete(resource, manifest)
        for resource, manifests in observed.content.items()
        for manifest in manifests
        if not manifest["metadata"].get("deletionTimestamp")
    ]
    if deletes:
        return Plan("deleting what is in it", (Each(tuple(deletes)),), subject=namespace, again_after_s=0)
    actions = _tell(observed)
    return Plan("waiting for what is in it", actions, subject=namespace, again_after_s=AGAIN_S)


def _delete(resource: Resource, manifest: Manifest) -> Delete:
    metadata = manifest["metadata"]
    return Delete(resource, metadata["namespace"], metadata["name"], metadata["uid"], propagation="Background")


def _finalize(namespace: Manifest) -> Update:
    """The only way to take the finalizer off; the server then removes the namespace (A257)."""
    kept = [each for each in namespace["spec"]["finalizers"] if each != FINALIZER]
    return Update(NAMESPACES, {**namespace, "spec": {**namespace["spec"], "finalizers": kept}}, subresource="finalize")


def _tell(observed: ObservedNamespace) -> Sequence[Action]:
    """The conditions, if they say anything new (W95)."""
    namespace = observed.namespace
    existing = {each["type"]: each for each in (namespace.get("status") or {}).get("conditions") or ()}
    wanted = [_kept(existing.get(type), condition) for type, condition in _conditions(observed).items()]
    others = [each for type, each in existing.items() if type not in _conditions(observed)]
    if [*others, *wanted] == list(existing.values()):
        return ()
    metadata = namespace["metadata"]
    patch = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "status": {"conditions": [*others, *wanted]},
    }
    return (Patch(NAMESPACES, "", metadata["name"], patch, subresource="status"),)


def _kept(before: Manifest | None, condition: Manifest) -> Manifest:
    """The time of the last flip stays as long as the status does (W7)."""
    if before is not None and before["status"] == condition["status"]:
        return {**condition, "lastTransitionTime": before["lastTransitionTime"]}
    return condition


def _conditions(observed: ObservedNamespace) -> dict[str, Manifest]:
    remaining = ", ".join(
        f"{resource.plural}.{resource.group} has {len(manifests)} resource instances"
        for resource, manifests in sorted(observed.content.items(), key=lambda item: (item[0].group, item[0].plural))
    )
    finalizers = _count_finalizers(each for manifests in observed.content.values() for each in manifests)
    held = ", ".join(f"{name} in {times} resource instances" for name, times in sorted(finalizers.items()))
    said = {
        "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": ("True", "SomeResourcesRemain", f"Some resources are remaining: {remaining}"),
        "NamespaceFinalizersRemaining": (
            ("True", "SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {held}")
            if held
            else ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
        ),
    }
    at = format_time(observed.now)
    return {
        type: {"type": type, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
        for type, (status, reason, message) in said.items()
    }


def _count_finalizers(manifests: Iterable[Manifest]) -> Counter[str]:
    return Counter(name for manifest in manifests for name in manifest["metadata"].get("finalizers") or ())


def first_pods(content: Mapping[Resource, Sequence[Manifest]]) -> Mapping[Resource, Sequence[Manifest]]:
    """Nothing but the pods as long as there are any: what they use must outlive them (V59)."""
    return {PODS: content[PODS]} if PODS in content else content
