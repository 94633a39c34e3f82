"""Where a pod may run: node selectors, affinity, tolerations and spreading (N-X)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names
from holdfast.api.errors import FieldError, forbidden, invalid, not_supported, required, show
from holdfast.api.field_rules import (
    label_key,
    named,
    required_and_supported,
    supported,
)
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector

from .label_keys import validate_constraint, validate_term

_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate_affinity(field: str, affinity: Manifest) -> Iterator[FieldError]:
    if "nodeAffinity" in affinity:
        yield from _node_affinity(f"{field}.nodeAffinity", affinity["nodeAffinity"])
    for kind in ("podAffinity", "podAntiAffinity"):
        if kind in affinity:
            yield from _pod_affinity(f"{field}.{kind}", affinity[kind])


def validate_node_selector(field: str, selector: Manifest) -> Iterator[FieldError]:
    """The terms of a node affinity or of a volume's; one of them must hold."""
    terms = selector.get("nodeSelectorTerms", ())
    if not terms:
        yield required(f"{field}.nodeSelectorTerms", "must have at least one node selector term")
    for i, term in enumerate(terms):
        yield from _node_selector_term(f"{field}.nodeSelectorTerms[{i}]", term)


def validate_tolerations(field: str, tolerations: list[Manifest]) -> Iterator[FieldError]:
    for i, toleration in enumerate(tolerations):
        yield from _toleration(f"{field}[{i}]", toleration)


def validate_topology_spread(field: str, constraints: list[Manifest]) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for i, constraint in enumerate(constraints):
        at = f"{field}[{i}]"
        yield from _spread_constraint(at, constraint)
        pair = (constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", ""))
        if pair in seen:
            shown = "{" + ", ".join(pair) + "}"
            yield FieldError(f"{at}.{{topologyKey, whenUnsatisfiable}}", "FieldValueDuplicate", _repeated(shown))
        seen.add(pair)


def _repeated(shown: str) -> str:
    return f'Duplicate value: "{shown}"'


def _spread_constraint(field: str, constraint: Manifest) -> Iterator[FieldError]:
    if constraint.get("maxSkew", 0) <= 0:
        yield invalid(f"{field}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero")
    yield from _topology_key(f"{field}.topologyKey", constraint.get("topologyKey", ""))
    action = constraint.get("whenUnsatisfiable", "")
    yield from supported(f"{field}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway"))
    domains = constraint.get("minDomains")
    if domains is not None and domains <= 0:
        yield invalid(f"{field}.minDomains", domains, "must be greater than zero")
    if domains is not None and action != "DoNotSchedule":
        refusal = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        yield invalid(f"{field}.minDomains", domains, refusal)
    for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if policy in constraint:
            yield from supported(f"{field}.{policy}", constraint[policy], ("Honor", "Ignore"))
    yield from validate_constraint(field, constraint)
    yield from validate_label_selector(f"{field}.labelSelector", constraint.get("labelSelector"))


def _topology_key(field: str, key: str) -> Iterator[FieldError]:
    if not key:
        yield required(field, "can not be empty")
    yield from label_key(field, key)


def _node_affinity(field: str, affinity: Manifest) -> Iterator[FieldError]:
    if _REQUIRED in affinity:
        yield from validate_node_selector(f"{field}.{_REQUIRED}", affinity[_REQUIRED])
    for i, preferred in enumerate(affinity.get(_PREFERRED, ())):
        at = f"{field}.{_PREFERRED}[{i}]"
        yield from _weight(f"{at}.weight", preferred.get("weight", 0))
        yield from _node_selector_term(f"{at}.preference", preferred.get("preference", {}), is_preference=True)


def _pod_affinity(field: str, affinity: Manifest) -> Iterator[FieldError]:
    for i, term in enumerate(affinity.get(_REQUIRED, ())):
        yield from _pod_affinity_term(f"{field}.{_REQUIRED}[{i}]", term)
    for i, weighted in enumerate(affinity.get(_PREFERRED, ())):
        at = f"{field}.{_PREFERRED}[{i}]"
        yield from _weight(f"{at}.weight", weighted.get("weight", 0))
        yield from _pod_affinity_term(f"{at}.podAffinityTerm", weighted.get("podAffinityTerm", {}))


def _weight(field: str, weight: int) -> Iterator[FieldError]:
    if not 1 <= weight <= 100:
        yield invalid(field, weight, "must be in the range 1-100")


def _pod_affinity_term(field: str, term: Manifest) -> Iterator[FieldError]:
    yield from validate_label_selector(f"{field}.labelSelector", term.get("labelSelector"))
    yield from validate_label_selector(f"{field}.namespaceSelector", term.get("namespaceSelector"))
    for namespace in term.get("namespaces", ()):
        yield from named(f"{field}.namespace", namespace, names.dns_label)
    yield from validate_term(field, term)
    yield from _topology_key(f"{field}.topologyKey", term.get("topologyKey", ""))


def _node_selector_term(field: str, term: Manifest, is_preference: bool = False) -> Iterator[FieldError]:
    """Of a preference, values that no label can have are only warned of."""
    for i, requirement in enumerate(term.get("matchExpressions", ())):
        at = f"{field}.matchExpressions[{i}]"
        yield from _node_requirement(at, requirement)
        yield from label_key(f"{at}.key", requirement.get("key", ""))
        for j, value in enumerate(() if is_preference else requirement.get("values", ())):
            yield from named(f"{at}.values[{j}]", value, names.label_value)
    for i, requirement in enumerate(term.get("matchFields", ())):
        yield from _field_requirement(f"{field}.matchFields[{i}]", requirement)


def _node_requirement(field: str, requirement: Manifest) -> Iterator[FieldError]:
    operator, values = requirement.get("operator", ""), requirement.get("values", ())
    match operator:
        case "In" | "NotIn":
            if not values:
                yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if values:
                yield forbidden(f"{field}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        case "Gt" | "Lt":
            if len(values) != 1:
                yield required(f"{field}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        case _:
            yield invalid(f"{field}.operator", operator, "not a valid selector operator")


def _field_requirement(field: str, requirement: Manifest) -> Iterator[FieldError]:
    """Fields of nodes: only metadata.name is known."""
    if requirement.get("operator") not in ("In", "NotIn"):
        yield invalid(f"{field}.operator", requirement.get("operator", ""), "not a valid selector operator")
    elif len(requirement.get("values", ())) != 1:
        refusal = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{field}.values", refusal)
    if requirement.get("key") != "metadata.name":
        yield invalid(f"{field}.key", requirement.get("key", ""), "not a valid field selector key")


def _toleration(field: str, toleration: Manifest) -> Iterator[FieldError]:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    effect, value = toleration.get("effect", ""), toleration.get("value", "")
    if key:
        yield from label_key(f"{field}.key", key)
    elif operator != "Exists":
        refusal = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{field}.operator", operator, refusal)
    if "tolerationSeconds" in toleration and effect != "NoExecute":
        yield invalid(f"{field}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("Equal", ""):
        yield from named(f"{field}.operator", value, names.label_value)
    elif operator != "Exists":
        yield not_supported(f"{field}.operator", operator, ("Equal", "Exists"))
    elif value:
        yield invalid(f"{field}.operator", value, "value must be empty when `operator` is 'Exists'")
    if effect:
        yield from supported(f"{field}.effect", effect, TAINT_EFFECTS)


def validate_taints(field: str, taints: list[Manifest]) -> Iterator[FieldError]:
    """Of a node: each key and effect at most once."""
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        at, key, effect = f"{field}[{i}]", taint.get("key", ""), taint.get("effect", "")
        yield from label_key(f"{at}.key", key)
        yield from named(f"{at}.value", taint.get("value", ""), names.label_value)
        yield from required_and_supported(f"{at}.effect", effect, TAINT_EFFECTS)
        if (key, effect) in seen:
            shown = show(
                {"Key": key, "Value": taint.get("value", ""), "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            )
            refusal = f"Duplicate value: {shown}: taints must be unique by key and effect pair"
            yield FieldError(at, "FieldValueDuplicate", refusal)
        seen.add((key, effect))
