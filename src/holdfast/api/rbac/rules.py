"""What RBAC objects share: rules, references to roles, subjects (A269)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, not_supported, required
from holdfast.api.field_rules import named
from holdfast.api.resource import AGE, NAME, Column, Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.table import age

GROUP = "rbac.authorization.k8s.io"
_NO_SELECTORS = "at least one clusterRoleSelector required if aggregationRule is non-nil"
_OF_ROLE = "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace."


def validate_rules(rules: list[Manifest], is_namespaced: bool) -> Iterator[FieldError]:
    for i, rule in enumerate(rules):
        field = f"rules[{i}]"
        if not rule.get("verbs"):
            yield required(f"{field}.verbs", "verbs must contain at least one value")
        if urls := rule.get("nonResourceURLs"):
            if is_namespaced:
                yield invalid(f"{field}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                refusal = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{field}.nonResourceURLs", urls, refusal)
            continue
        if not rule.get("apiGroups"):
            yield required(f"{field}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{field}.resources", "resource rules must supply at least one resource")


def validate_aggregation(cluster_role: Manifest) -> Iterator[FieldError]:
    rule = cluster_role.get("aggregationRule")
    if rule is None:
        return
    selectors = rule.get("clusterRoleSelectors", ())
    if not selectors:
        yield required("aggregationRule.clusterRoleSelectors", _NO_SELECTORS)
    for i, selector in enumerate(selectors):
        field = f"aggregationRule.clusterRoleSelectors[{i}]"
        malformed = [*validate_label_selector(field, selector)]
        yield from malformed
        if malformed:
            # Upstream shows what could not be made of it.
            yield invalid(field, None, "invalid label selector.")


def default_binding(binding: Manifest) -> None:
    role = binding.setdefault("roleRef", {})
    role["apiGroup"] = role.get("apiGroup") or GROUP
    for field in ("kind", "name"):
        role.setdefault(field, "")
    for subject in binding.get("subjects", ()):
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = GROUP


def validate_binding(binding: Manifest, kinds: tuple[str, ...]) -> list[FieldError]:
    """`kinds` of roles that it may grant."""
    role = binding["roleRef"]
    errors: list[FieldError] = []
    if role["apiGroup"] != GROUP:
        errors.append(not_supported("roleRef.apiGroup", role["apiGroup"], (GROUP,)))
    if role["kind"] not in kinds:
        errors.append(not_supported("roleRef.kind", role["kind"], kinds))
    if not role["name"]:
        errors.append(required("roleRef.name"))
    else:
        errors += named("roleRef.name", role["name"], names.path_segment_name)
    is_namespaced = "Role" in kinds
    for i, subject in enumerate(binding.get("subjects", ())):
        errors += _subject(f"subjects[{i}]", subject, is_namespaced)
    return errors


def validate_binding_update(new: Manifest, old: Manifest) -> list[FieldError]:
    if new["roleRef"] == old["roleRef"]:
        return []
    role = new["roleRef"]
    shown = {"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]}
    return [invalid("roleRef", shown, "cannot change roleRef")]


def _subject(field: str, subject: Manifest, is_namespaced: bool) -> Iterator[FieldError]:
    name, group = subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        yield required(f"{field}.name")
    match subject.get("kind", ""):
        case "ServiceAccount":
            if name:
                yield from named(f"{field}.name", name, names.dns_subdomain)
            if group:
                yield not_supported(f"{field}.apiGroup", group, ("",))
            if not is_namespaced and not subject.get("namespace"):
                yield required(f"{field}.namespace")
        case "User" | "Group":
            if group != GROUP:
                yield not_supported(f"{field}.apiGroup", group, (GROUP,))
        case kind:
            yield not_supported(f"{field}.kind", kind, ("ServiceAccount", "User", "Group"))


def binding_columns(kind: str) -> tuple[Column, ...]:
    """`kind` is roleBinding or clusterRoleBinding."""
    return (
        NAME,
        Column("Role", text=_role_text(kind)),
        AGE,
        Column("Users", priority=1, text=f"Users in the {kind}"),
        Column("Groups", priority=1, text=f"Groups in the {kind}"),
        Column("ServiceAccounts", priority=1, text=f"ServiceAccounts in the {kind}"),
    )


def _role_text(kind: str) -> str:
    unresolved = "If the RoleRef cannot be resolved, the Authorizer must return an error."
    if kind == "roleBinding":
        return f"{_OF_ROLE} {unresolved}"
    return f"RoleRef can only reference a ClusterRole in the global namespace. {unresolved}"


def binding_cells(binding: Manifest, now: datetime) -> list[Any]:
    role, subjects = binding["roleRef"], binding.get("subjects", ())
    return [
        binding["metadata"]["name"],
        f"{role['kind']}/{role['name']}",
        age(binding["metadata"].get("creationTimestamp"), now),
        ", ".join(s.get("name", "") for s in subjects if s.get("kind") == "User"),
        ", ".join(s.get("name", "") for s in subjects if s.get("kind") == "Group"),
        ", ".join(_account(s) for s in subjects if s.get("kind") == "ServiceAccount"),
    ]


def _account(subject: Manifest) -> str:
    namespace, name = subject.get("namespace", ""), subject.get("name", "")
    return f"{namespace}/{name}" if namespace else str(name)
