"""A ClusterRole with an aggregationRule has the rules of the roles it finds, and is written only when they differ."""

from __future__ import annotations

from typing import Any

from holdfast.apiserver.bootstrap_roles import cluster_roles
from holdfast.controllers.actions import Patch
from holdfast.controllers.clusterroles.plan import Observed, plan


def rule(resource: str) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}


def role(name: str, *resources: str, labels: Any = None, selectors: Any = None) -> dict[str, Any]:
    made: dict[str, Any] = {"metadata": {"name": name, "labels": labels or {}}, "rules": [*map(rule, resources)]}
    if selectors is not None:
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": labels} for labels in selectors]}
    return made


def rules_after(gathering: dict[str, Any], *others: dict[str, Any]) -> Any:
    """None if nothing is written."""
    found = plan(Observed(gathering, [gathering, *others]))
    if not found.actions:
        return None
    (patch,) = found.actions
    assert isinstance(patch, Patch)
    return [one["resources"][0] for one in patch.patch["rules"]]


def test_rules_come_in_the_order_of_selectors_and_names_and_each_once() -> None:
    gathering = role("all", selectors=[{"b": "1"}, {"a": "1"}])
    others = [
        role("z", "pods", "secrets", labels={"a": "1"}),
        role("y", "nodes", labels={"a": "1", "b": "1"}),
        role("x", "pods", "events", labels={"b": "1"}),
        role("w", "leases", labels={"c": "1"}),
    ]
    assert rules_after(gathering, *others) == ["pods", "events", "nodes", "secrets"]


def test_what_it_has_by_itself_goes_and_it_never_gathers_itself() -> None:
    gathering = role("all", "leases", labels={"a": "1"}, selectors=[{"a": "1"}])
    assert rules_after(gathering) == []


def test_nothing_is_written_when_nothing_differs() -> None:
    gathering = role("all", "pods", selectors=[{"a": "1"}])
    assert rules_after(gathering, role("z", "pods", labels={"a": "1"})) is None
    assert rules_after(role("none", selectors=[{"a": "1"}])) is None


def test_the_roles_of_every_cluster_are_made_as_the_controller_keeps_them() -> None:
    made = cluster_roles()
    gathering = [one for one in made if "aggregationRule" in one]
    assert [one["metadata"]["name"] for one in gathering] == ["view", "edit", "admin"]
    for one in gathering:
        assert one["rules"]
        assert plan(Observed(one, made)).actions == ()
