"""What the roles of an older cluster lack: permissions and subjects are added, never taken away.

Who wants to keep such a role as it is says so with its annotation. Source: Kubernetes,
pkg/registry/rbac/reconciliation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.api.resource import Manifest

from .auth.authorization import Attributes, covers

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"


def reconciled_role(stored: Manifest, expected: Manifest) -> Manifest:
    """The stored role with the rules it lacks, one for each permission; the role itself if there is nothing to add.

    Of one that gathers others its selectors are what counts: its rules follow from them.
    """
    if _is_protected(stored):
        return stored
    if "aggregationRule" in expected:
        return _gathering(_labelled(stored, expected), expected["aggregationRule"]["clusterRoleSelectors"])
    held = stored.get("rules") or []
    missing = [simple for rule in expected["rules"] for simple, asked in _parts(rule) if not _has(held, asked)]
    return {**_labelled(stored, expected), "rules": [*held, *missing]} if missing else _labelled(stored, expected)


def _gathering(role: Manifest, selectors: list[Manifest]) -> Manifest:
    held = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
    missing = [selector for selector in selectors if selector not in held]
    return {**role, "aggregationRule": {"clusterRoleSelectors": [*held, *missing]}} if missing else role


def reconciled_binding(stored: Manifest, expected: Manifest) -> Manifest:
    """The stored binding with the subjects it lacks; the expected one if it binds another role, which cannot change."""
    if _is_protected(stored):
        return stored
    if stored["roleRef"] != expected["roleRef"]:
        return expected
    held = stored.get("subjects") or []
    missing = [subject for subject in expected["subjects"] if subject not in held]
    return {**_labelled(stored, expected), "subjects": [*held, *missing]} if missing else _labelled(stored, expected)


def _is_protected(stored: Manifest) -> bool:
    return bool((stored["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "false")


def _labelled(stored: Manifest, expected: Manifest) -> Manifest:
    """With the labels and annotations that are missing; those that are there keep their values."""
    found: Mapping[str, Any] = stored["metadata"]
    added = {
        member: {**expected["metadata"][member], **(found.get(member) or {})}
        for member in ("labels", "annotations")
        if expected["metadata"].get(member)
    }
    return {**stored, "metadata": {**found, **added}}


def _has(held: list[Manifest], asked: Attributes) -> bool:
    return any(covers(rule, asked) for rule in held)


def _parts(rule: Manifest) -> Iterator[tuple[Manifest, Attributes]]:
    """A rule for each single permission, and the permission as a question."""
    for verb in rule["verbs"]:
        for path in rule.get("nonResourceURLs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [path]}, Attributes(verb, path=path)
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                plural, _, sub = resource.partition("/")
                simple = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                for name in rule.get("resourceNames") or ("",):
                    named = {**simple, "resourceNames": [name]} if name else simple
                    yield named, Attributes(verb, group, plural, sub, name=name)
