"""Node selector terms: which nodes a pod, or a volume, may be on.

Terms are alternatives; the requirements inside one must all hold; a term without any matches nothing.
Source: Kubernetes, component-helpers/scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.api.resource import Manifest

NODE_NAME = "metadata.name"
"""The one field that terms may match."""


def matches_selector(selector: Mapping[str, Any], node: Manifest) -> bool:
    """Whether the node satisfies a NodeSelector (`nodeSelectorTerms`)."""
    return any(_matches_term(term, node) for term in selector.get("nodeSelectorTerms") or ())


def volume_allows(volume: Manifest, node: Manifest) -> bool:
    """Whether a volume's node affinity, if it has any, admits the node."""
    selector = ((volume["spec"].get("nodeAffinity") or {}).get("required")) or None
    return selector is None or matches_selector(selector, node)


def pod_allows(pod: Manifest, node: Manifest) -> bool:
    """Whether the pod's `nodeSelector` and required node affinity admit the node."""
    spec = pod["spec"]
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or matches_selector(required, node)


def named_nodes(pod: Manifest) -> frozenset[str] | None:
    """The nodes that the pod's required affinity names, whatever else it asks of them; None if it names none.

    Empty if it names several at once.
    """
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ()
    found: set[str] = set()
    for term in terms:
        fields = term.get("matchFields") or ()
        names = [each["values"] for each in fields if (each["key"], each["operator"]) == (NODE_NAME, "In")]
        if not names:
            return None
        found |= set(names[0]).intersection(*names[1:])
    return frozenset(found) if terms else None


def preference(pod: Manifest, node: Manifest) -> int:
    """The weights of the preferred terms that the node satisfies, added up."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(term["weight"] for term in preferred if _matches_term(term.get("preference") or {}, node))


def _matches_term(term: Mapping[str, Any], node: Manifest) -> bool:
    expressions: Sequence[Mapping[str, Any]] = term.get("matchExpressions") or ()
    fields: Sequence[Mapping[str, Any]] = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = node["metadata"].get("labels") or {}
    names = {NODE_NAME: node["metadata"]["name"]}
    return all(_holds(each, labels) for each in expressions) and all(_holds(each, names) for each in fields)


def _holds(requirement: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    key, wanted = requirement["key"], requirement.get("values") or ()
    actual = values.get(key)
    match requirement["operator"]:
        case "In":
            return actual is not None and actual in wanted
        case "NotIn":
            return actual is None or actual not in wanted
        case "Exists":
            return actual is not None
        case "DoesNotExist":
            return actual is None
        case "Gt" | "Lt" as operator:
            return _compares(operator, actual, wanted)
        case _:
            return False


def _compares(operator: str, actual: str | None, wanted: Sequence[str]) -> bool:
    """Both sides must be integers; anything else matches nothing."""
    try:
        left, right = int(actual or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right
