"""The rules of a ClusterRole that gathers those of others, found by their labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from holdfast.api.resource import Manifest
from holdfast.api.selectors import selector_from_manifest


def aggregated(role: Manifest, roles: Iterable[Manifest]) -> list[Any]:
    """The rules of all roles but this one that a selector of its finds, in the order of their names, each rule once.

    Source: Kubernetes, pkg/controller/clusterroleaggregation.
    """
    name = role["metadata"]["name"]
    others = sorted((one for one in roles if one["metadata"]["name"] != name), key=lambda one: one["metadata"]["name"])
    found: list[Any] = []
    for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
        matches = selector_from_manifest(selector).matches
        for other in others:
            if matches(other["metadata"].get("labels") or {}):
                found += [rule for rule in other.get("rules") or () if rule not in found]
    return found
