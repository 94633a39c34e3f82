"""Mutating and validating webhooks as users meet them (A246-A248)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

CONFIG_MAPS = "/api/v1/namespaces/ns/configmaps"
PODS = "/api/v1/namespaces/ns/pods"
ALLOWED = {"allowed": True}


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str = "p", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def allow(request: dict[str, Any]) -> dict[str, Any]:
    return ALLOWED


def deny(message: str = "", **status: Any) -> Any:
    return lambda request: {"allowed": False, "status": {**({"message": message} if message else {}), **status}}


# -- what is asked


async def test_a_validating_webhook_is_told_all_of_a_creation(web: Any, cluster: Any) -> None:
    await cluster.validating(allow)
    answer = await web("POST", f"{CONFIG_MAPS}?fieldManager=me", config_map(k="v"), token="jane-token")
    assert answer.code == 403  # those who may not are not asked about
    answer = await web("POST", f"{CONFIG_MAPS}?fieldManager=me", config_map(k="v"))
    ((path, review),) = cluster.hooks.seen
    assert (path, review["kind"], review["apiVersion"]) == (
        "/check.example.com", "AdmissionReview", "admission.k8s.io/v1"
    )  # fmt: skip
    assert cluster.hooks.queries == ["timeout=10s"]
    request = review["request"]
    assert len(request.pop("uid")) == 36
    assert request.pop("object") == answer.body | {
        "metadata": {k: v for k, v in answer["metadata"].items() if k != "resourceVersion"}
    }
    assert request == {
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "requestResource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": "a",
        "namespace": "ns",
        "operation": "CREATE",
        "userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"},
    }


async def test_an_update_shows_what_was_and_what_will_be(web: Any, cluster: Any) -> None:
    await web("POST", CONFIG_MAPS, config_map(k="v"))
    await cluster.validating(allow)
    await web("PUT", f"{CONFIG_MAPS}/a?dryRun=All", config_map(k="w"))
    merge = {"content-type": "application/merge-patch+json"}
    await web("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "x"}}, headers=merge)
    first, second = cluster.hooks.requests()
    assert [first["operation"], second["operation"]] == ["UPDATE", "UPDATE"]
    assert [first["dryRun"], second["dryRun"]] == [True, False]
    assert first["options"] == {"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]}
    assert [request["object"]["data"]["k"] for request in (first, second)] == ["w", "x"]
    assert [request["oldObject"]["data"]["k"] for request in (first, second)] == ["v", "v"]


async def test_an_update_that_changes_nothing_is_asked_about_as_well(web: Any, cluster: Any) -> None:
    made = await web("POST", CONFIG_MAPS, config_map(k="v"))
    await cluster.validating(allow)
    again = await web("PUT", f"{CONFIG_MAPS}/a", made.body)
    assert len(cluster.hooks.seen) == 1
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_deletion_shows_what_is_to_go(web: Any, cluster: Any) -> None:
    await web("POST", CONFIG_MAPS, config_map(k="v"))
    await cluster.validating(deny("not this one"))
    body = {"propagationPolicy": "Orphan", "gracePeriodSeconds": 3}
    answer = await web("DELETE", f"{CONFIG_MAPS}/a", body)
    assert answer["message"] == 'admission webhook "check.example.com" denied the request: not this one'
    (request,) = cluster.hooks.requests()
    assert (request["operation"], request["object"], request["name"]) == ("DELETE", None, "a")
    assert request["oldObject"]["data"] == {"k": "v"}
    assert request["options"] == {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", **body}
    assert (await web("GET", f"{CONFIG_MAPS}/a")).code == 200


async def test_each_of_many_that_are_deleted_is_asked_about(web: Any, cluster: Any) -> None:
    for name in ("a", "b"):
        await web("POST", CONFIG_MAPS, config_map(name))
    await cluster.validating(allow)
    await web("DELETE", CONFIG_MAPS)
    assert [(r["operation"], r.get("name"), r["oldObject"]["metadata"]["name"]) for r in cluster.hooks.requests()] == [
        ("DELETE", None, "a"),
        ("DELETE", None, "b"),
    ]


async def test_status_is_a_resource_of_its_own(web: Any, cluster: Any, on: Any) -> None:
    made = await web("POST", PODS, pod())
    await cluster.validating(allow, rules=[on("pods/status")])
    await web("PUT", f"{PODS}/p", made.body)
    assert cluster.hooks.seen == []
    changed = await web("PUT", f"{PODS}/p/status", {**made.body, "status": {"phase": "Running"}})
    assert changed.code == 200
    (request,) = cluster.hooks.requests()
    assert (request["subResource"], request["requestSubResource"]) == ("status", "status")
    assert (request["resource"]["resource"], request["kind"]["kind"]) == ("pods", "Pod")
    assert request["object"]["status"]["phase"] == "Running"


async def test_a_scale_is_shown_as_such_and_may_be_changed(web: Any, cluster: Any, on: Any, patch: Any) -> None:
    path = "/apis/apps/v1/namespaces/ns/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await web("POST", path, {"metadata": {"name": "d"}, "spec": spec})
    most = patch({"op": "replace", "path": "/spec/replicas", "value": 3})
    await cluster.mutating(lambda request: most, rules=[on("deployments/scale")])
    await cluster.validating(allow, rules=[on("*/scale")])
    answer = await web("PUT", f"{path}/d/scale", {"metadata": {"name": "d"}, "spec": {"replicas": 9}})
    assert (answer.code, answer["spec"]["replicas"]) == (200, 3)
    asked, judged = cluster.hooks.requests()
    assert asked["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert asked["resource"] == {"group": "apps", "version": "v1", "resource": "deployments"}
    shown = [asked["oldObject"], asked["object"], judged["object"]]
    assert [each["spec"]["replicas"] for each in shown] == [1, 9, 3]
    stored = await web("GET", f"{path}/d")
    assert (stored["spec"]["replicas"], stored["metadata"]["generation"]) == (3, 2)
    merge = {"content-type": "application/apply-patch+yaml"}
    config = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 5}}
    applied = await web("PATCH", f"{path}/d/scale?fieldManager=x&force=1", config, headers=merge)
    assert (applied.code, applied["spec"]["replicas"]) == (200, 3)


async def test_an_eviction_and_a_binding_are_created(web: Any, cluster: Any, on: Any) -> None:
    await web("POST", PODS, pod())
    await cluster.validating(
        deny("no"), rules=[on("pods/eviction", "pods/binding", "pods"), on("serviceaccounts/token")]
    )
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    assert (await web("POST", f"{PODS}/p/eviction", eviction)).code == 400
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    assert (await web("POST", f"{PODS}/p/binding", binding)).code == 400
    token = await web("POST", "/api/v1/namespaces/ns/serviceaccounts/default/token", {"spec": {}})
    assert token.code == 400
    told = [(r["operation"], r["kind"]["kind"], r["subResource"], r["name"]) for r in cluster.hooks.requests()]
    assert told == [
        ("CREATE", "Eviction", "eviction", "p"),
        ("CREATE", "Binding", "binding", "p"),
        ("CREATE", "TokenRequest", "token", "default"),
    ]
    assert (await web("GET", f"{PODS}/p"))["spec"].get("nodeName") is None


async def test_an_eviction_that_is_let_pass_is_no_deletion_to_be_asked_about(web: Any, cluster: Any, on: Any) -> None:
    await web("POST", PODS, pod())
    await cluster.validating(allow, rules=[on("pods/*")])
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    assert (await web("POST", f"{PODS}/p/eviction", eviction)).code == 201
    assert [request["kind"]["kind"] for request in cluster.hooks.requests()] == ["Eviction"]


async def test_who_connects_to_a_pod_is_asked_about(web: Any, cluster: Any, on: Any) -> None:
    await web("POST", PODS, pod())
    connect = on("pods/exec", "pods/portforward", "pods/proxy", operations=("CONNECT",))
    await cluster.validating(deny("stay out"), rules=[connect])
    for target in ("exec?command=a&command=b&container=c&stdin=1", "portforward?ports=80", "proxy/x/y?z=1"):
        accept = "text/html" if target.startswith("proxy") else "*/*"
        answer = await web("GET", f"{PODS}/p/{target}", headers={"accept": accept})
        assert answer["message"] == 'admission webhook "check.example.com" denied the request: stay out', target
    assert [request["object"] for request in cluster.hooks.requests()] == [
        {"kind": "PodExecOptions", "apiVersion": "v1", "stdin": True, "container": "c", "command": ["a", "b"]},
        {"kind": "PodPortForwardOptions", "apiVersion": "v1", "ports": [80]},
        {"kind": "PodProxyOptions", "apiVersion": "v1", "path": "/x/y"},
    ]
    request = cluster.hooks.requests()[0]
    assert (request["operation"], request["subResource"], request["options"]) == ("CONNECT", "exec", None)
    assert request["kind"]["kind"] == request["requestKind"]["kind"] == "PodExecOptions"


async def test_what_parts_of_the_server_write_is_asked_about_too(server: Any, cluster: Any) -> None:
    from holdfast.api.core.config_map import CONFIG_MAPS
    from holdfast.api.errors import ApiError

    await cluster.validating(deny("no"))
    with pytest.raises(ApiError, match="denied the request: no"):
        await server.client("some-controller").create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "ns"}})
    (request,) = cluster.hooks.requests()
    assert request["userInfo"]["username"] == "system:some-controller"


async def test_nobody_is_asked_about_configurations_and_reviews(web: Any, cluster: Any, on: Any) -> None:
    await cluster.validating(deny("no"), rules=[on("*/*")])
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    answer = await web("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.code == 201
    assert (await web("DELETE", f"{path}/check.example.com")).code == 200
    assert cluster.hooks.seen == []
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201


async def test_v1beta1_is_spoken_to_who_knows_nothing_else(web: Any, cluster: Any, patch: Any) -> None:
    def old(request: dict[str, Any]) -> dict[str, Any]:
        said = patch({"op": "add", "path": "/data", "value": {"k": "old"}})
        return {"uid": "another", "allowed": True, "patch": said["patch"]}

    await cluster.mutating(old, admissionReviewVersions=["v7", "v1beta1", "v1"])
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert (answer.code, answer["data"]) == (201, {"k": "old"})
    assert cluster.hooks.seen[0][1]["apiVersion"] == "admission.k8s.io/v1beta1"


# -- what is refused


@pytest.mark.parametrize(
    ("status", "code", "reason", "said"),
    [
        pytest.param({"message": "no thanks"}, 400, None, ": no thanks", id="a message"),
        pytest.param({}, 400, None, " without explanation", id="nothing"),
        pytest.param({"reason": "Because"}, 400, "Because", ": Because", id="a reason alone"),
        pytest.param({"code": 403, "reason": "Forbidden", "message": "x"}, 403, "Forbidden", ": x", id="a code"),
        pytest.param({"code": 200, "message": "x"}, 400, None, ": x", id="no code of a refusal"),
    ],
)
async def test_a_refusal_is_told_as_the_webhook_gives_it(
    web: Any, cluster: Any, status: dict[str, Any], code: int, reason: str | None, said: str
) -> None:
    await cluster.validating(lambda request: {"allowed": False, "status": status})
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert (answer.code, answer.body.get("reason")) == (code, reason)
    assert answer["message"] == f'admission webhook "check.example.com" denied the request{said}'
    assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Failure", code)
    assert (await web("GET", f"{CONFIG_MAPS}/a")).code == 404


async def test_details_of_a_refusal_reach_the_client(web: Any, cluster: Any) -> None:
    details = {"name": "a", "kind": "configmaps", "causes": [{"field": "data.k", "reason": "Odd", "message": "is odd"}]}
    await cluster.mutating(deny("x", code=422, reason="Invalid", details=details))
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert (answer.code, answer["details"]) == (422, details)


async def test_warnings_come_with_the_answer_and_with_the_refusal(web: Any, cluster: Any) -> None:
    await cluster.mutating(lambda request: {**ALLOWED, "warnings": ["mind the gap"]})
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert answer.headers["Warning"] == ['299 - "mind the gap"']
    await cluster.validating(lambda request: {"allowed": False, "warnings": ["and the train"]})
    answer = await web("POST", CONFIG_MAPS, config_map("b"))
    assert answer.headers["Warning"] == ['299 - "mind the gap"', '299 - "and the train"']


async def test_validating_webhooks_are_asked_at_the_same_time(web: Any, cluster: Any) -> None:
    met = asyncio.Event()
    waiting = 0

    async def meet(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            met.set()
        await met.wait()
        return ALLOWED

    for name in ("a.example.com", "b.example.com"):
        await cluster.validating(meet, name=name, timeoutSeconds=5)
    assert (await web("POST", CONFIG_MAPS, config_map())).code == 201


async def test_what_is_invalid_anyway_is_not_shown_to_those_who_judge(web: Any, cluster: Any) -> None:
    await cluster.mutating(allow)
    await cluster.validating(allow)
    answer = await web("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"not a key!": ""}})
    assert answer.code == 422
    assert [path for path, _ in cluster.hooks.seen] == ["/mutate.example.com"]


# -- concurrency


async def test_an_update_that_was_overtaken_meanwhile_is_made_anew(web: Any, cluster: Any) -> None:
    await web("POST", CONFIG_MAPS, config_map(k="v"))
    merge = {"content-type": "application/merge-patch+json"}
    asked = 0

    async def slow(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked == 1:
            await web("PATCH", f"{CONFIG_MAPS}/a", {"data": {"other": "1"}}, headers=merge)
        return ALLOWED

    await cluster.validating(slow)
    answer = await web("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "w"}}, headers=merge)
    assert (answer.code, answer["data"]) == (200, {"k": "w", "other": "1"})
    assert asked == 3
    seen = [request["object"]["data"] for request in cluster.hooks.requests()]
    assert seen == [{"k": "w"}, {"k": "v", "other": "1"}, {"k": "w", "other": "1"}]


async def test_a_stale_update_is_a_conflict(web: Any, cluster: Any) -> None:
    made = await web("POST", CONFIG_MAPS, config_map(k="v"))
    merge = {"content-type": "application/merge-patch+json"}

    async def overtaking(request: dict[str, Any]) -> dict[str, Any]:
        if "other" not in request["object"]["data"]:
            await web("PATCH", f"{CONFIG_MAPS}/a", {"data": {"other": "1"}}, headers=merge)
        return ALLOWED

    await cluster.validating(overtaking)
    assert (await web("PUT", f"{CONFIG_MAPS}/a", {**made.body, "data": {"k": "w"}})).code == 409


async def test_a_namespace_that_begins_to_go_meanwhile_takes_nothing_new(web: Any, cluster: Any) -> None:
    async def doom(request: dict[str, Any]) -> dict[str, Any]:
        await web("DELETE", "/api/v1/namespaces/ns")
        return ALLOWED

    await cluster.validating(doom)
    answer = await web("POST", CONFIG_MAPS, config_map())
    assert (answer.code, answer["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")


async def test_a_deletion_that_was_overtaken_is_asked_about_again(web: Any, cluster: Any) -> None:
    await web("POST", CONFIG_MAPS, config_map(k="v"))
    merge = {"content-type": "application/merge-patch+json"}

    async def overtaking(request: dict[str, Any]) -> dict[str, Any]:
        if request["operation"] == "DELETE" and "other" not in request["oldObject"]["data"]:
            await web("PATCH", f"{CONFIG_MAPS}/a", {"data": {"other": "1"}}, headers=merge)
        return ALLOWED

    await cluster.validating(overtaking)
    assert (await web("DELETE", f"{CONFIG_MAPS}/a")).code == 200
    told = [request["operation"] for request in cluster.hooks.requests()]
    assert told == ["DELETE", "UPDATE", "DELETE"]
