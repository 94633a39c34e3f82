"""The objects that a policy's binding takes its parameters from (A249).

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go (CollectParams).
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.api.kinds import Kinds
from holdfast.api.resource import Manifest, Resource
from holdfast.api.selectors import selector_from_manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.conversion import served


class Misconfigured(Exception):
    """A policy or binding that cannot be acted on."""


def parameters(
    cache: Cache, kinds: Kinds, policy: Manifest, binding: Manifest, namespace: str
) -> Sequence[Manifest | None]:
    """The policy is evaluated once for each. None stands for no parameters; nothing means that it does not apply.

    Raises Misconfigured.
    """
    kind, reference = policy["spec"].get("paramKind"), binding["spec"].get("paramRef")
    if not kind or not reference:
        return (None,)
    resource = _resource(kinds, kind)
    if resource is None:
        raise Misconfigured(f"paramKind kind `{kind.get('apiVersion', '')}, Kind={kind.get('kind', '')}` not known")
    found = _found(cache, resource, reference, _namespace(resource, reference, namespace))
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found


def _resource(kinds: Kinds, kind: Manifest) -> Resource | None:
    group, _, version = kind.get("apiVersion", "").rpartition("/")
    return next((each for each in kinds.in_group_version(group, version) if each.kind == kind.get("kind")), None)


def _namespace(resource: Resource, reference: Manifest, namespace: str) -> str:
    """Where they are: named, or that of the object in question."""
    given = reference.get("namespace") or ""
    if not resource.namespaced:
        if given:
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        return ""
    if not given and not namespace:
        raise Misconfigured("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    return given or namespace


def _found(cache: Cache, resource: Resource, reference: Manifest, namespace: str) -> list[Manifest]:
    objects = cache.of(resource)
    if name := reference.get("name"):
        stored = objects.get(namespace, name)
        return [] if stored is None else [served(resource, stored.manifest)]
    selector = selector_from_manifest(reference.get("selector"))
    return [
        served(resource, stored.manifest) for stored in objects.select(namespace) if selector.matches(stored.labels)
    ]
