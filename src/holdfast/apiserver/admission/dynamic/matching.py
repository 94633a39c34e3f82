"""Which attempts a webhook or a policy is about (A247): pure.

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/webhook/{predicates,generic}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from holdfast.api.admissionregistration.matching import GROUP
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.resource import Manifest, Resource
from holdfast.api.selectors import LabelSelector, selector_from_manifest
from holdfast.apiserver.auth.reviews import is_review

from .attempt import CREATE, UPDATE, Attempt

EXEMPT = frozenset(
    {
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    }
)
"""Nobody is asked about what says who is asked: else nobody could put it right."""

LabelsOfNamespace = Callable[[str], Manifest]
"""Raises NotFound."""
Equivalents = Callable[[Resource], Sequence[Resource]]
"""The other forms in which the objects of a resource are served."""


def is_exempt(resource: Resource) -> bool:
    return (resource.group == GROUP and resource.plural in EXEMPT) or is_review(resource)


def matched(
    match: Manifest, rules: Iterable[Manifest], attempt: Attempt, equivalents: Equivalents, labels: LabelsOfNamespace
) -> Resource | None:
    """The resource in whose form the object is shown; None if the attempt is none of those that are meant.

    `match` has the selectors and the matchPolicy. Raises NotFound for a namespace that there is not.
    """
    rules = list(rules)
    found = _resource(rules, attempt, match.get("matchPolicy"), equivalents)
    if found is None or not _has_labels(selector_from_manifest(match.get("objectSelector")), attempt):
        return None
    selector = selector_from_manifest(match.get("namespaceSelector"))
    return found if _is_in_namespace(selector, attempt, labels) else None


def matched_by_policy(
    match: Manifest, attempt: Attempt, equivalents: Equivalents, labels: LabelsOfNamespace
) -> Resource | None:
    """The same for the `matchConstraints` of a policy or the `matchResources` of a binding.

    Without rules everything is meant. Raises NotFound.
    """
    excluded = match.get("excludeResourceRules") or ()
    if excluded and _resource(list(excluded), attempt, match.get("matchPolicy"), equivalents) is not None:
        return None
    rules = match.get("resourceRules") or (_EVERYTHING,)
    return matched(match, rules, attempt, equivalents, labels)


_EVERYTHING = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}


def _resource(
    rules: Sequence[Manifest], attempt: Attempt, policy: str | None, equivalents: Equivalents
) -> Resource | None:
    if any(is_ruled(rule, attempt, attempt.resource) for rule in rules):
        return attempt.resource
    if policy == "Equivalent":
        others = equivalents(attempt.resource)
        return next((other for rule in rules for other in others if is_ruled(rule, attempt, other)), None)
    return None


def is_ruled(rule: Manifest, attempt: Attempt, resource: Resource) -> bool:
    """Whether a rule is about the attempt, were it on `resource`."""
    names = rule.get("resourceNames")
    return (
        _names(rule.get("operations"), attempt.operation)
        and _names(rule.get("apiGroups"), resource.group)
        and _names(rule.get("apiVersions"), resource.version)
        and any(_is_resource(text, resource.plural, attempt.call.subresource) for text in rule.get("resources") or ())
        and _is_in_scope(rule.get("scope"), attempt)
        and (not names or attempt.name in names)
    )


def _names(given: Sequence[str] | None, wanted: str) -> bool:
    return bool(given) and ("*" in (given or ()) or wanted in (given or ()))


def _is_resource(text: str, plural: str, subresource: str) -> bool:
    resource, _, below = text.partition("/")
    return resource in ("*", plural) and below in ("*", subresource)


def _is_in_scope(scope: str | None, attempt: Attempt) -> bool:
    if scope in (None, "*"):
        return True
    is_namespaced = bool(attempt.namespace) and attempt.resource is not NAMESPACES
    return is_namespaced == (scope == "Namespaced")


def _has_labels(selector: LabelSelector, attempt: Attempt) -> bool:
    """The object has them, or had them before."""
    if selector.is_empty:
        return True
    return any(selector.matches(_labels(each)) for each in (attempt.object, attempt.old) if each is not None)


def _labels(manifest: Manifest) -> dict[str, str]:
    return (manifest.get("metadata") or {}).get("labels") or {}


def _is_in_namespace(selector: LabelSelector, attempt: Attempt, labels: LabelsOfNamespace) -> bool:
    is_namespace = attempt.resource is NAMESPACES
    if selector.is_empty or not (attempt.namespace or is_namespace):
        return True  # what is in no namespace is never spared
    if is_namespace and attempt.is_of_object and attempt.operation in (CREATE, UPDATE):
        assert attempt.object is not None
        return selector.matches(_labels(attempt.object))
    return selector.matches(labels(attempt.namespace))
