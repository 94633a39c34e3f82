"""Who may do what (A51, A58, A59, A216, A222-A225, A231)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.api.errors import Unauthorized
from holdfast.apiserver.auth.authentication import authenticate
from holdfast.apiserver.auth.tokens import Tokens
from holdfast.apiserver.auth.user import User

RBAC = "/apis/rbac.authorization.k8s.io/v1"
CERTIFICATE = {
    "subject": ((("organizationName", "system:masters"),), (("organizationName", "devs"),), (("commonName", "ada"),))
}

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NONE = cast(Tokens, None)
"""No token is looked at where there is none."""


def test_a_certificate_names_user_and_groups() -> None:
    user = authenticate({}, CERTIFICATE, NONE, NOW)
    assert user == User("ada", ("system:masters", "devs", "system:authenticated"))


def test_without_credentials_one_is_anonymous() -> None:
    assert authenticate({}, None, NONE, NOW).name == "system:anonymous"
    assert authenticate({}, {}, NONE, NOW).groups == ("system:unauthenticated",)


@pytest.mark.parametrize(("left_s", "holds"), [(1, True), (0, True), (-1, False)])
def test_a_certificate_is_good_until_it_ends_however_old_its_connection_is(left_s: int, holds: bool) -> None:
    end = (NOW + timedelta(seconds=left_s)).strftime("%b %d %H:%M:%S %Y GMT")
    ending = {**CERTIFICATE, "notAfter": end}
    if holds:
        assert authenticate({}, ending, NONE, NOW).name == authenticate({}, CERTIFICATE, NONE, NOW).name
        return
    with pytest.raises(Unauthorized, match="Unauthorized"):
        authenticate({}, ending, NONE, NOW)


def test_with_a_certificate_that_has_ended_a_token_still_counts() -> None:
    tokens = cast(Tokens, SimpleNamespace(user_of=lambda token: User(token, ())))
    ended = {**CERTIFICATE, "notAfter": "Jan  1 00:00:00 2020 GMT"}
    assert authenticate({"authorization": "Bearer t"}, ended, tokens, NOW).name == "t"


async def test_a_bad_token_is_unauthorized(web: Any) -> None:
    answer = await web("GET", "/api/v1/pods", token="nonsense")
    assert (answer.code, answer["reason"], answer["message"]) == (401, "Unauthorized", "Unauthorized")
    assert "details" not in answer.body


async def test_anonymous_is_forbidden_not_unauthorized(web: Any) -> None:
    answer = await web("GET", "/api/v1/pods", token="")
    assert answer.code == 403
    assert answer["message"] == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope'
    )


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/readyz/ping", "/version"])
async def test_health_and_version_are_public(web: Any, path: str) -> None:
    assert (await web("GET", path, token="")).code == 200


@pytest.mark.parametrize("path", ["/api", "/apis", "/apis/apps", "/api/v1", "/openapi/v3"])
async def test_discovery_is_for_everyone_who_is_known(web: Any, jane_token: str, path: str) -> None:
    assert (await web("GET", path, token=jane_token)).code == 200
    assert (await web("GET", path, token="")).code == 403


async def test_access_is_decided_before_existence(web: Any, jane_token: str) -> None:
    answer = await web("GET", "/apis/apps/v1/namespaces/ns/statefulsets/none/scale", token=jane_token)
    assert (answer.code, answer["details"]) == (403, {"name": "none", "group": "apps", "kind": "statefulsets"})


async def grant(web: Any, rules: list[dict[str, Any]], user: str = "jane") -> None:
    """A role in `ns` for the user."""
    role = {"metadata": {"name": "r"}, "rules": rules}
    assert (await web("POST", f"{RBAC}/namespaces/ns/roles", role)).code == 201
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
    }
    assert (await web("POST", f"{RBAC}/namespaces/ns/rolebindings", binding)).code == 201


async def test_a_role_allows_what_its_rules_say_where_it_is_bound(web: Any, jane_token: str) -> None:
    path = "/api/v1/namespaces/ns/pods"
    assert (await web("GET", path, token=jane_token)).code == 403
    await grant(web, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}])
    assert (await web("GET", path, token=jane_token)).code == 200
    assert (await web("GET", "/api/v1/namespaces/default/pods", token=jane_token)).code == 403
    assert (await web("GET", f"{path}/a/log", token=jane_token)).code == 403
    assert (await web("DELETE", f"{path}/a", token=jane_token)).code == 403
    await web("DELETE", f"{RBAC}/namespaces/ns/rolebindings/b")
    assert (await web("GET", path, token=jane_token)).code == 403


async def test_a224_an_account_without_a_namespace_is_of_the_binding_s(web: Any) -> None:
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    await web("POST", f"{RBAC}/namespaces/ns/roles", role)
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "app"}],
    }
    assert (await web("POST", f"{RBAC}/namespaces/ns/rolebindings", binding)).code == 201
    for namespace, code in {"ns": 200, "default": 403}.items():
        headers = {"impersonate-user": f"system:serviceaccount:{namespace}:app"}
        assert (await web("GET", "/api/v1/namespaces/ns/pods", headers=headers)).code == code


async def test_a164_starting_a_program_needs_create_whatever_the_method(web: Any, jane_token: str) -> None:
    path = "/api/v1/namespaces/ns/pods/a/exec?command=sh&stdout=true"
    await grant(web, [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}])
    refused = await web("GET", path, token=jane_token)
    assert refused.code == 403
    assert 'cannot create resource "pods/exec"' in refused.body["message"]
    await web("DELETE", f"{RBAC}/namespaces/ns/roles/r")
    await web("DELETE", f"{RBAC}/namespaces/ns/rolebindings/b")
    await grant(web, [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]}])
    assert (await web("GET", path, token=jane_token)).code == 404


async def test_a_rule_by_name_covers_the_name_and_lists_of_it(web: Any, jane_token: str) -> None:
    path = "/api/v1/namespaces/ns/secrets"
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["*"]}
    await grant(web, [rule])
    assert (await web("GET", f"{path}/a", token=jane_token)).code == 404
    assert (await web("GET", f"{path}/b", token=jane_token)).code == 403
    assert (await web("GET", path, token=jane_token)).code == 403
    assert (await web("GET", f"{path}?fieldSelector=metadata.name%3Da", token=jane_token)).code == 200
    assert (await web("POST", path, {"metadata": {"name": "a"}}, token=jane_token)).code == 403


async def test_a_master_may_be_somebody_else(web: Any, jane_token: str) -> None:
    headers = {"impersonate-user": "jane", "impersonate-group": "devs"}
    answer = await web("GET", "/api/v1/pods", headers=headers)
    assert (answer.code, answer["message"].split('"')[1]) == (403, "jane")
    refused = await web("GET", "/api/v1/pods", headers={"impersonate-user": "ada"}, token=jane_token)
    assert refused["message"] == (
        'pods is forbidden: User "jane" cannot impersonate-on:user-info:list resource "pods" in API group "" '
        "at the cluster scope"
    )


async def test_one_may_be_an_account_of_a_namespace_by_a_role_there(web: Any, jane_token: str) -> None:
    """A222: `edit` grants it."""
    await grant(web, [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}])
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    bot = {"impersonate-user": "system:serviceaccount:ns:bot"}
    answer = await web("POST", path, {}, headers=bot, token=jane_token)
    groups = ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]
    assert answer["status"]["userInfo"] == {"username": bot["impersonate-user"], "groups": groups}
    for other in (
        {"impersonate-user": "system:serviceaccount:default:bot"},
        {"impersonate-user": "admin"},
        {**bot, "impersonate-group": "system:masters"},
    ):
        assert (await web("POST", path, {}, headers=other, token=jane_token)).code == 403


async def test_constrained_impersonation_is_for_some_requests_only(web: Any, jane_token: str) -> None:
    """KEP-5284: who one may be, and what for. What is done must be allowed to both."""
    identity = {"apiGroups": ["authentication.k8s.io"], "resources": ["users"], "resourceNames": ["ada"]}
    role = {"metadata": {"name": "be-ada"}, "rules": [{**identity, "verbs": ["impersonate:user-info"]}]}
    await web("POST", f"{RBAC}/clusterroles", role)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "be-ada"}
    subjects = [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {"metadata": {"name": "be-ada"}, "roleRef": reference, "subjects": subjects}
    await web("POST", f"{RBAC}/clusterrolebindings", binding)
    path, ada = "/api/v1/namespaces/ns/pods", {"impersonate-user": "ada"}
    assert (await web("GET", path, headers=ada, token=jane_token)).code == 403
    await grant(web, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:user-info:list"]}])
    refused = await web("GET", path, headers=ada, token=jane_token)
    assert (refused.code, refused["message"].split('"')[1]) == (403, "ada")
    reads = {"metadata": {"name": "reads"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}]}
    await web("POST", f"{RBAC}/namespaces/ns/roles", reads)
    to_ada = {
        "metadata": {"name": "reads"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"},
        "subjects": [{"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await web("POST", f"{RBAC}/namespaces/ns/rolebindings", to_ada)
    assert (await web("GET", path, headers=ada, token=jane_token)).code == 200
    assert (await web("DELETE", f"{path}/x", headers=ada, token=jane_token)).code == 403
    assert (await web("GET", path, headers={"impersonate-user": "eve"}, token=jane_token)).code == 403


async def test_the_default_roles_are_there(web: Any) -> None:
    listed = await web("GET", f"{RBAC}/clusterroles")
    names = {item["metadata"]["name"] for item in listed["items"]}
    assert {"cluster-admin", "admin", "edit", "view", "system:discovery", "system:basic-user"} <= names


MAKES_ROLES = {
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles", "rolebindings"],
    "verbs": ["create", "update"],
}


def role(name: str, *verbs: str, resources: tuple[str, ...] = ("secrets",)) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": list(resources), "verbs": list(verbs)}],
    }


async def test_nobody_grants_what_they_do_not_hold(web: Any, jane_token: str) -> None:
    """A226."""
    await grant(web, [MAKES_ROLES, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
    path = f"{RBAC}/namespaces/ns/roles"
    answer = await web("POST", path, role("more", "get", "list", resources=("pods", "secrets")), token=jane_token)
    assert answer.code == 403
    assert answer["message"] == (
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'
    )
    same = role("same", "get", resources=("pods",))
    assert (await web("POST", path, same, token=jane_token)).code == 201


async def test_binding_a_role_takes_its_permissions_too(web: Any, jane_token: str) -> None:
    await grant(web, [MAKES_ROLES])
    binding = {
        "metadata": {"name": "more"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    path = f"{RBAC}/namespaces/ns/rolebindings"
    assert (await web("POST", path, binding, token=jane_token)).code == 403
    assert (await web("POST", path, binding)).code == 201


async def test_the_verb_escalate_says_otherwise(web: Any, jane_token: str) -> None:
    await grant(web, [MAKES_ROLES, {**MAKES_ROLES, "verbs": ["escalate"]}])
    assert (await web("POST", f"{RBAC}/namespaces/ns/roles", role("more", "get"), token=jane_token)).code == 201


async def test_a_role_that_gathers_others_takes_everything(web: Any, jane_token: str) -> None:
    path = f"{RBAC}/clusterroles"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "makes"}
    jane = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]
    makes = [{**MAKES_ROLES, "resources": ["clusterroles"]}]
    await web("POST", path, {"metadata": {"name": "makes"}, "rules": makes})
    binding = {"metadata": {"name": "makes"}, "roleRef": reference, "subjects": jane}
    await web("POST", f"{RBAC}/clusterrolebindings", binding)
    gathering = {
        "metadata": {"name": "all"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    }
    refused = await web("POST", path, gathering, token=jane_token)
    assert (refused.code, refused["message"]) == (
        403,
        'clusterroles.rbac.authorization.k8s.io "all" is forbidden: '
        "must have cluster-admin privileges to use the aggregationRule",
    )
    made = (await web("POST", path, gathering)).body
    plain = {name: value for name, value in made.items() if name != "aggregationRule"}
    assert (await web("PUT", f"{path}/all", plain, token=jane_token)).code == 403
    labelled = {**made, "metadata": {**made["metadata"], "labels": {"c": "d"}}}
    assert (await web("PUT", f"{path}/all", labelled, token=jane_token)).code == 200


async def may(web: Any, token: str, **attributes: str) -> bool:
    body = {"spec": {"resourceAttributes": attributes}}
    answer = await web("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, token=token)
    assert answer.code == 201
    allowed: bool = answer["status"]["allowed"]
    return allowed


async def test_one_may_ask_what_one_may(web: Any, admin_token: str, jane_token: str) -> None:
    """A229, A350."""
    question = {"verb": "list", "resource": "pods", "namespace": "ns"}
    assert await may(web, admin_token, **question)
    assert not await may(web, jane_token, **question)
    await grant(web, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
    assert await may(web, jane_token, **question)
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    rules = await web("POST", path, {"spec": {"namespace": "ns"}}, token=jane_token)
    assert {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]} in rules["status"]["resourceRules"]


async def test_a_master_may_ask_for_others(web: Any) -> None:
    await grant(web, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
    spec = {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "ns"}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    jane = await web("POST", path, {"spec": {**spec, "user": "jane"}})
    nobody = await web("POST", path, {"spec": spec})
    both = await web("POST", path, {"spec": {**spec, "user": "x", "nonResourceAttributes": {"path": "/"}}})
    reason = 'RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "jane"'
    assert jane["status"] == {"allowed": True, "reason": reason}
    assert (nobody.code, both.code) == (422, 422)


AUTHORIZATION = "/apis/authorization.k8s.io/v1"


async def test_a_review_comes_back_with_what_go_always_writes(web: Any) -> None:
    """What was asked incompletely is completed with empty texts, as upstream's structures are."""
    selector = {"requirements": [{"key": "a"}]}
    attributes = {"verb": "list", "resource": "pods", "namespace": "ns", "labelSelector": selector}
    answer = await web(
        "POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": attributes}}
    )
    found = answer["spec"]["resourceAttributes"]["labelSelector"]["requirements"]
    assert found == [{"key": "a", "operator": ""}]
    body = {"metadata": {"ownerReferences": [{"name": "o"}]}}
    answer = await web("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    assert answer["metadata"]["ownerReferences"] == [{"apiVersion": "", "kind": "", "name": "o", "uid": ""}]


PODS_OF_JANE = {"user": "jane", "resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "ns"}}
SELECTOR = "spec.resourceAttributes.{}Selector"


def selecting(kind: str, **selector: Any) -> dict[str, Any]:
    return {"user": "jane", "resourceAttributes": {f"{kind}Selector": selector}}


@pytest.mark.parametrize(
    ("review", "refusal"),
    [
        ({"metadata": {"name": "a"}, "spec": PODS_OF_JANE}, 'metadata: Invalid value: {"name":"a"}: must be empty'),
        (
            {"spec": selecting("label")},
            f"{SELECTOR.format('label')}.requirements: Required value: "
            f"when {SELECTOR.format('label')} is specified, requirements or rawSelector is required",
        ),
        (
            {"spec": selecting("field", rawSelector="a=b", requirements=[{"key": "a", "operator": "Exists"}])},
            f"{SELECTOR.format('field')}.rawSelector: "
            'Invalid value: "a=b": may not specified at the same time as requirements',
        ),
        (
            {"spec": selecting("field", requirements=[{"operator": "In"}])},
            f"[{SELECTOR.format('field')}.requirements[0].key: Required value: must be specified, "
            f"{SELECTOR.format('field')}.requirements[0].values: Required value: "
            "must be specified when `operator` is 'In' or 'NotIn']",
        ),
        (
            {"spec": selecting("label", requirements=[{"key": "a", "operator": "Exists", "values": ["b"]}])},
            f"{SELECTOR.format('label')}.requirements[0].values: Forbidden: "
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
    ],
)
async def test_an_ill_formed_review_is_refused(web: Any, review: dict[str, Any], refusal: str) -> None:
    answer = await web("POST", f"{AUTHORIZATION}/subjectaccessreviews", review)
    assert answer.code == 422
    assert answer["message"] == f'SubjectAccessReview.authorization.k8s.io "" is invalid: {refusal}'


async def test_a_local_review_has_no_name_and_asks_of_its_own_namespace(web: Any) -> None:
    path = f"{AUTHORIZATION}/namespaces/ns/localsubjectaccessreviews"
    assert (await web("POST", path, {"metadata": {"namespace": "ns"}, "spec": PODS_OF_JANE})).code == 201
    named = await web("POST", path, {"metadata": {"name": "a"}, "spec": PODS_OF_JANE})
    assert "must be empty except for namespace" in named["message"]
    asked = {"user": "jane", "nonResourceAttributes": {"verb": "get", "path": "/x"}}
    elsewhere = await web("POST", path, {"spec": asked})
    assert elsewhere["message"].endswith(
        'spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":"get"}: disallowed on this kind of request'
    )


async def test_a_review_tells_of_bindings_for_the_whole_cluster_too(web: Any) -> None:
    group, resource = "authorization.k8s.io", "selfsubjectaccessreviews"
    question = {"resourceAttributes": {"verb": "create", "group": group, "resource": resource}}
    answer = await web(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {"spec": {**question, "groups": ["system:authenticated"]}},
    )
    assert answer["status"]["reason"] == (
        'RBAC: allowed by ClusterRoleBinding "system:basic-user" of ClusterRole "system:basic-user" '
        'to Group "system:authenticated"'
    )


async def test_one_may_ask_who_one_is(web: Any, jane_token: str) -> None:
    me = await web("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token=jane_token)
    assert me["status"]["userInfo"] == {"username": "jane", "groups": ["system:authenticated"]}


async def test_tokens_are_reviewed_for_those_who_may(web: Any, jane_token: str) -> None:
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    known = await web("POST", path, {"spec": {"token": jane_token}})
    assert (known["status"]["authenticated"], known["status"]["user"]["username"]) == (True, "jane")
    unknown = await web("POST", path, {"spec": {"token": "x"}})
    assert unknown["status"] == {"user": {}, "error": "invalid bearer token"}
    assert (await web("POST", path, {"spec": {"token": "x"}}, token=jane_token)).code == 403
