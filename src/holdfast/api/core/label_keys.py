"""`matchLabelKeys` and `mismatchLabelKeys`: a new pod's own labels become part of the selectors that name them.

Source: KEP-3633 and KEP-3243; Kubernetes, pkg/registry/core/pod (mutatePodAffinity, mutateTopologySpreadConstraints).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.api.errors import FieldError, forbidden, invalid
from holdfast.api.field_rules import label_key
from holdfast.api.resource import Manifest

_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
MATCH, MISMATCH = "matchLabelKeys", "mismatchLabelKeys"


def merge_into_selectors(pod: Manifest) -> None:
    """The pod is new and private to the request; it is changed in place."""
    labels, spec = pod["metadata"].get("labels") or {}, pod.get("spec", {})
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = spec.get("affinity", {}).get(kind, {})
        for term in affinity.get(_REQUIRED, ()):
            _merge(term, labels)
        for weighted in affinity.get(_PREFERRED, ()):
            _merge(weighted.get("podAffinityTerm", {}), labels)
    for constraint in spec.get("topologySpreadConstraints", ()):
        _merge(constraint, labels)


def _merge(term: Manifest, labels: Manifest) -> None:
    """A term without selector matches no pod, and goes on doing so."""
    selector = term.get("labelSelector")
    if selector is None:
        return
    added = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for member, operator in ((MATCH, "In"), (MISMATCH, "NotIn"))
        for key in term.get(member, ())
        if key in labels
    ]
    if added:
        term["labelSelector"] = {**selector, "matchExpressions": [*selector.get("matchExpressions", ()), *added]}


def validate_term(field: str, term: Manifest) -> Iterator[FieldError]:
    """Of pod affinity. That a key is in the selector too shows by its being there twice, once merged."""
    for member in (MATCH, MISMATCH):
        yield from _keys(f"{field}.{member}", term.get(member, []), term.get("labelSelector"))
    yield from _repeated(field, term.get(MATCH, []), term.get("labelSelector"))
    mismatching = set(term.get(MISMATCH, ()))
    for i, key in enumerate(term.get(MATCH, ())):
        if key in mismatching:
            yield invalid(f"{field}.{MATCH}[{i}]", key, "exists in both matchLabelKeys and mismatchLabelKeys")


def validate_constraint(field: str, constraint: Manifest) -> Iterator[FieldError]:
    """Of topology spreading, which has only keys that match."""
    at, keys = f"{field}.{MATCH}", constraint.get(MATCH, [])
    yield from _keys(at, keys, constraint.get("labelSelector"))
    yield from _repeated(at, keys, constraint.get("labelSelector"))


def _keys(field: str, keys: list[str], selector: Any) -> Iterator[FieldError]:
    if keys and selector is None:
        yield forbidden(field, "must not be specified when labelSelector is not set")
        return
    for i, key in enumerate(keys):
        yield from label_key(f"{field}[{i}]", key)


def _repeated(field: str, keys: list[str], selector: Manifest | None) -> Iterator[FieldError]:
    if selector is None:
        return
    seen = set(selector.get("matchLabels") or ())
    for expression in selector.get("matchExpressions", ()):
        key = expression.get("key", "")
        if key in keys and key in seen:
            yield invalid(f"{field}[{keys.index(key)}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)
