"""Rules between pods: affinity, anti-affinity and spreading over topology domains.

A domain is all nodes with the same value of a label; nodes without the label are in none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.api.core import node_affinity
from holdfast.api.core.taints import tolerates
from holdfast.api.resource import Manifest
from holdfast.api.selectors import LabelSelector, selector_from_manifest

from .filters import Objection
from .view import NodeView, running_pods

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

Domain = tuple[str, str]
"""(label key, label value)."""
Namespaces = Callable[[LabelSelector], frozenset[str]]
"""The names of those with such labels."""


@dataclass(frozen=True, slots=True)
class Term:
    """One affinity term: pods of these namespaces that the selector matches, within one domain of the key."""

    topology_key: str
    selector: LabelSelector
    namespaces: frozenset[str] | None
    """None means all of them."""

    def matches(self, pod: Manifest) -> bool:
        metadata = pod["metadata"]
        in_scope = self.namespaces is None or metadata["namespace"] in self.namespaces
        return in_scope and self.selector.matches(metadata.get("labels"))


@dataclass(slots=True)
class PodRules:
    """What the pods that run mean for one pod, gathered in one pass over them."""

    affinity: Sequence[Term] = ()
    affinity_domains: Sequence[set[Domain]] = ()
    matches_itself: bool = False
    anti_affinity_domains: set[Domain] = field(default_factory=set)
    refused_domains: set[Domain] = field(default_factory=set)
    """Domains whose pods do not want this one near."""
    spread: Sequence[tuple[Mapping[str, Any], dict[str, int], int]] = ()
    """Constraint, pods by domain, and 1 if the pod counts itself."""

    def objection(self, node: NodeView) -> Objection | None:
        labels = node.labels
        here = {(key, value) for key, value in labels.items()}
        if blocked := self._spread_objection(labels):
            return blocked
        if not all(self._has_company(term, found, labels) for term, found in self._affinities()):
            return Objection(("node(s) didn't match pod affinity rules",), is_final=True)
        if self.anti_affinity_domains & here:
            return Objection(("node(s) didn't match pod anti-affinity rules",))
        if self.refused_domains & here:
            return Objection(("node(s) didn't satisfy existing pods anti-affinity rules",))
        return None

    def _affinities(self) -> Iterable[tuple[Term, set[Domain]]]:
        return zip(self.affinity, self.affinity_domains, strict=True)

    def _has_company(self, term: Term, found: set[Domain], labels: Mapping[str, str]) -> bool:
        """The first pod of a group that wants to be together may start anywhere."""
        value = labels.get(term.topology_key)
        if value is None:
            return False
        nobody_yet = not any(self.affinity_domains) and self.matches_itself
        return nobody_yet or (term.topology_key, value) in found

    def _spread_objection(self, labels: Mapping[str, str]) -> Objection | None:
        text = "node(s) didn't match pod topology spread constraints"
        for constraint, counts, itself in self.spread:
            domain = labels.get(constraint["topologyKey"])
            if domain is None:
                return Objection((f"{text} (missing required label)",), is_final=True)
            fewest = min(counts.values(), default=0)
            if len(counts) < (constraint.get("minDomains") or 1):
                fewest = 0
            if counts.get(domain, 0) + itself - fewest > constraint["maxSkew"]:
                return Objection((text,))
        return None


def gather(pod: Manifest, nodes: Sequence[NodeView], namespaces: Namespaces) -> PodRules:
    """Everything about other pods that decides where `pod` may go."""
    affinity = _terms(pod, "podAffinity", namespaces)
    anti = _terms(pod, "podAntiAffinity", namespaces)
    rules = PodRules(
        affinity=affinity,
        affinity_domains=[set() for _ in affinity],
        matches_itself=bool(affinity) and all(term.matches(pod) for term in affinity),
        spread=[_count(pod, constraint, nodes) for constraint in _hard_constraints(pod)],
    )
    if affinity or anti:
        for node, other in running_pods(nodes):
            for term, found in zip(affinity, rules.affinity_domains, strict=True):
                _note(found, term, other, node)
            for term in anti:
                _note(rules.anti_affinity_domains, term, other, node)
    rules.refused_domains = {
        (term.topology_key, value)
        for node in nodes
        for other in node.guarded.values()
        for term in _terms(other, "podAntiAffinity", namespaces)
        if term.matches(pod) and (value := node.labels.get(term.topology_key)) is not None
    }
    return rules


def _note(found: set[Domain], term: Term, other: Manifest, node: NodeView) -> None:
    value = node.labels.get(term.topology_key)
    if value is not None and term.matches(other):
        found.add((term.topology_key, value))


def preference(pod: Manifest, node: NodeView, nodes: Sequence[NodeView], namespaces: Namespaces) -> int:
    """Weights of the preferred terms, those of anti-affinity negative, once for each pod that matches."""
    total = 0
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        for entry in _affinity(pod, kind).get(PREFERRED) or ():
            term = _term(pod, entry["podAffinityTerm"], namespaces)
            total += sign * entry["weight"] * _matching_in_domain(term, node, nodes)
    return total


def _matching_in_domain(term: Term, node: NodeView, nodes: Sequence[NodeView]) -> int:
    value = node.labels.get(term.topology_key)
    if value is None:
        return 0
    return sum(
        term.matches(other)
        for other_node, other in running_pods(nodes)
        if other_node.labels.get(term.topology_key) == value
    )


def _affinity(pod: Manifest, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return found


def _terms(pod: Manifest, kind: str, namespaces: Namespaces) -> list[Term]:
    return [_term(pod, term, namespaces) for term in _affinity(pod, kind).get(REQUIRED) or ()]


def _term(pod: Manifest, term: Mapping[str, Any], namespaces: Namespaces) -> Term:
    labels = pod["metadata"].get("labels") or {}
    selector = selector_from_manifest(_with_label_keys(term, labels))
    return Term(term["topologyKey"], selector, _scope(pod, term, namespaces))


def _scope(pod: Manifest, term: Mapping[str, Any], namespaces: Namespaces) -> frozenset[str] | None:
    """The pod's own namespace, if the term names none and selects none; an empty selector selects all."""
    named = frozenset(term.get("namespaces") or ())
    selector = term.get("namespaceSelector")
    if selector is None:
        return named or frozenset({pod["metadata"]["namespace"]})
    if not any(selector.values()):
        return None
    return named | namespaces(selector_from_manifest(selector))


def _with_label_keys(term: Mapping[str, Any], labels: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The selector, narrowed to pods that agree with this one on `matchLabelKeys`."""
    selector: Mapping[str, Any] | None = term.get("labelSelector")
    keys = [key for key in term.get("matchLabelKeys") or () if key in labels]
    if selector is None or not keys:
        return selector
    return {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), **{key: labels[key] for key in keys}}}


def _hard_constraints(pod: Manifest) -> list[Mapping[str, Any]]:
    constraints = pod["spec"].get("topologySpreadConstraints") or ()
    return [each for each in constraints if each.get("whenUnsatisfiable") == "DoNotSchedule"]


def _count(
    pod: Manifest, constraint: Mapping[str, Any], nodes: Sequence[NodeView]
) -> tuple[Mapping[str, Any], dict[str, int], int]:
    labels = pod["metadata"].get("labels") or {}
    selector = selector_from_manifest(_with_label_keys(constraint, labels))
    counts: dict[str, int] = {}
    for node in nodes:
        domain = node.labels.get(constraint["topologyKey"])
        if domain is None or not _counts_for(pod, constraint, node):
            continue
        matching = sum(
            other["metadata"]["namespace"] == pod["metadata"]["namespace"]
            and not other["metadata"].get("deletionTimestamp")
            and selector.matches(other["metadata"].get("labels"))
            for other in node.pods.values()
        )
        counts[domain] = counts.get(domain, 0) + matching
    return constraint, counts, int(selector.matches(labels))


def _counts_for(pod: Manifest, constraint: Mapping[str, Any], node: NodeView) -> bool:
    """Node affinity is honoured by default, taints are not."""
    if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not node_affinity.pod_allows(pod, node.manifest):
        return False
    if constraint.get("nodeTaintsPolicy") != "Honor":
        return True
    taints = node.manifest["spec"].get("taints") or ()
    return all(each.get("effect") == "PreferNoSchedule" or tolerates(pod, each) for each in taints)
