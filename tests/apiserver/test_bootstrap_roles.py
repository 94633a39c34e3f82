"""The roles of every cluster, in a cluster that another holdfast has made (A228)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.apiserver.bootstrap_roles import cluster_role_bindings, cluster_roles
from holdfast.apiserver.role_reconciliation import AUTOUPDATE, reconciled_binding, reconciled_role

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES, BINDINGS = f"{RBAC}/clusterroles", f"{RBAC}/clusterrolebindings"


async def changed(ask: Any, path: str, **members: Any) -> None:
    """Replaces parts of an object, as an older server would have made it."""
    stored = (await ask("GET", path)).body
    metadata = {**stored["metadata"], **members.pop("metadata", {})}
    assert (await ask("PUT", path, {**stored, **members, "metadata": metadata})).code == 200


@pytest.fixture
def restarted(server: Any) -> Any:
    """What the next start of the server does to a cluster that is there."""

    async def restart() -> None:
        await server.close()
        await server.open()

    return restart


async def test_a_role_gains_the_permissions_it_lacks_at_the_next_start(ask: Any, restarted: Any) -> None:
    path = f"{ROLES}/system:aggregate-to-view"
    own = {"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["things"]}
    some = {"verbs": ["get", "list"], "apiGroups": ["batch"], "resources": ["jobs"]}
    stored = (await ask("GET", path)).body
    others = [rule for rule in stored["rules"] if rule["apiGroups"] != ["batch"]]
    await changed(ask, path, rules=[own, some, *others])
    await restarted()
    found = (await ask("GET", path)).body["rules"]
    assert found[: 2 + len(others)] == [own, some, *others]
    added = [(rule["resources"][0], rule["verbs"][0]) for rule in found[2 + len(others) :]]
    resources = ("cronjobs", "cronjobs/status", "jobs", "jobs/status")
    wanted = {(resource, verb) for resource in resources for verb in ("get", "list", "watch")}
    assert sorted(added) == sorted(wanted - {("jobs", "get"), ("jobs", "list")})


async def test_a_binding_gains_its_subjects_and_follows_its_role(ask: Any, restarted: Any) -> None:
    jane = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    await changed(ask, f"{BINDINGS}/system:discovery", subjects=[jane])
    await ask("DELETE", f"{BINDINGS}/system:basic-user")
    other = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    made = {"metadata": {"name": "system:basic-user"}, "roleRef": other, "subjects": [jane]}
    assert (await ask("POST", BINDINGS, made)).code == 201
    await restarted()
    subjects = (await ask("GET", f"{BINDINGS}/system:discovery")).body["subjects"]
    assert [subject["name"] for subject in subjects] == ["jane", "system:authenticated"]
    recreated = (await ask("GET", f"{BINDINGS}/system:basic-user")).body
    assert recreated["roleRef"]["name"] == "system:basic-user"


async def test_what_is_not_to_be_updated_stays_as_it_is(ask: Any, restarted: Any) -> None:
    keep = {"annotations": {AUTOUPDATE: "false"}}
    await changed(ask, f"{ROLES}/system:auth-delegator", rules=[], metadata=keep)
    await changed(ask, f"{BINDINGS}/system:discovery", subjects=[], metadata=keep)
    before = [
        (await ask("GET", path)).body for path in (f"{ROLES}/system:auth-delegator", f"{BINDINGS}/system:discovery")
    ]
    await restarted()
    assert [
        (await ask("GET", path)).body for path in (f"{ROLES}/system:auth-delegator", f"{BINDINGS}/system:discovery")
    ] == before


def test_a_permission_for_one_name_stays_for_that_name() -> None:
    rule = {"verbs": ["approve"], "apiGroups": ["certificates.k8s.io"], "resources": ["signers"]}
    expected = {"metadata": {"name": "r"}, "rules": [{**rule, "resourceNames": ["a", "b"]}]}
    assert reconciled_role(expected, expected) == expected
    only_a = {**expected, "rules": [{**rule, "resourceNames": ["a"]}]}
    assert reconciled_role(only_a, expected)["rules"] == [
        {**rule, "resourceNames": ["a"]},
        {**rule, "resourceNames": ["b"]},
    ]


async def test_a_start_that_adds_nothing_writes_nothing(ask: Any, restarted: Any) -> None:
    before = [item["metadata"]["resourceVersion"] for item in (await ask("GET", ROLES)).body["items"]]
    await restarted()
    assert [item["metadata"]["resourceVersion"] for item in (await ask("GET", ROLES)).body["items"]] == before


async def test_a_role_that_was_whole_gathers_from_now_on(ask: Any, restarted: Any) -> None:
    """As those were that an older holdfast has made."""
    path = f"{ROLES}/edit"
    stored = (await ask("GET", path)).body
    del stored["aggregationRule"]
    assert (await ask("PUT", path, stored)).code == 200
    await restarted()
    found = (await ask("GET", path)).body
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    assert found["aggregationRule"] == {"clusterRoleSelectors": [{"matchLabels": label}]}
    assert found["rules"] == stored["rules"]


def test_labels_that_were_changed_stay_and_those_that_were_lost_come_back() -> None:
    expected = next(role for role in cluster_roles() if role["metadata"]["name"] == "view")
    label, other = sorted(expected["metadata"]["labels"])
    stored = {**expected, "metadata": {"name": "view", "labels": {label: "mine"}, "annotations": None}}
    found = reconciled_role(stored, expected)["metadata"]
    assert found["labels"] == {label: "mine", other: expected["metadata"]["labels"][other]}
    assert found["annotations"] == {AUTOUPDATE: "true"}


@pytest.mark.parametrize("role", cluster_roles(), ids=lambda role: role["metadata"]["name"])
def test_a_role_that_may_do_more_gains_nothing(role: Any) -> None:
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    stored = {**role, "rules": [everything, {"nonResourceURLs": ["*"], "verbs": ["*"]}]}
    assert reconciled_role(stored, role) == stored


def test_every_binding_binds_a_role_that_there_is() -> None:
    names = {role["metadata"]["name"] for role in cluster_roles()}
    for binding in cluster_role_bindings():
        assert binding["roleRef"]["name"] in names
        assert reconciled_binding(binding, binding) == binding


async def test_who_may_edit_may_make_jobs_and_ingresses_and_who_may_view_may_see_them(ask: Any) -> None:
    for role, verb, allowed in (("edit", "create", True), ("view", "create", False), ("view", "watch", True)):
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        user = {"kind": "User", "name": f"{role}or", "apiGroup": "rbac.authorization.k8s.io"}
        await ask("POST", BINDINGS, {"metadata": {"name": f"of-{role}"}, "roleRef": reference, "subjects": [user]})
        for group, resource in (
            ("batch", "jobs"),
            ("batch", "cronjobs"),
            ("networking.k8s.io", "ingresses"),
            ("networking.k8s.io", "networkpolicies"),
            ("autoscaling", "horizontalpodautoscalers"),
        ):
            attributes = {"verb": verb, "group": group, "resource": resource, "namespace": "ns"}
            review = {"spec": {"user": f"{role}or", "resourceAttributes": attributes}}
            answer = await ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
            assert answer["status"]["allowed"] is allowed, (role, verb, resource)
