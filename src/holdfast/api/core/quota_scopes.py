"""Which objects a resource quota is about: its scopes (A243).

Source: Kubernetes, pkg/quota/v1/evaluator/core/pods.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.resource import Manifest, Resource

from .quality_of_service import qos_class


def is_in_scope(quota: Manifest, resource: Resource, manifest: Manifest) -> bool:
    """Whether the object meets all of the quota's scopes; all do where there are none."""
    return all(_meets(one, resource, manifest) for one in _requirements(quota.get("spec") or {}))


def _requirements(spec: Manifest) -> Iterator[Manifest]:
    for scope in spec.get("scopes") or ():
        yield {"scopeName": scope, "operator": "Exists"}
    yield from (spec.get("scopeSelector") or {}).get("matchExpressions") or ()


def _meets(requirement: Manifest, resource: Resource, manifest: Manifest) -> bool:
    scope, spec = requirement.get("scopeName"), manifest.get("spec") or {}
    match resource.qualified, scope:
        case "pods", "Terminating":
            return "activeDeadlineSeconds" in spec
        case "pods", "NotTerminating":
            return "activeDeadlineSeconds" not in spec
        case "pods", "BestEffort":
            return qos_class(manifest) == "BestEffort"
        case "pods", "NotBestEffort":
            return qos_class(manifest) != "BestEffort"
        case "pods", "PriorityClass":
            return _selects(requirement, spec.get("priorityClassName") or "")
        case "pods", "CrossNamespacePodAffinity":
            return any(term.get("namespaces") or "namespaceSelector" in term for term in _affinity_terms(spec))
        case "persistentvolumeclaims", "VolumeAttributesClass":
            return _selects(requirement, spec.get("volumeAttributesClassName") or "")
    return False


def _selects(requirement: Manifest, name: str) -> bool:
    values = requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return name in values and bool(name)
        case "NotIn":
            return name not in values
        case "Exists":
            return bool(name)
        case "DoesNotExist":
            return not name
    return False


def _affinity_terms(spec: Manifest) -> Iterator[Manifest]:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        of_kind = affinity.get(kind) or {}
        yield from of_kind.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in of_kind.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted.get("podAffinityTerm") or {}
