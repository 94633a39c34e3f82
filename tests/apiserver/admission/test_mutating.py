"""What mutating webhooks make of objects, and in which order (A246, A247)."""

from __future__ import annotations

from typing import Any

import pytest

CONFIG_MAPS = "/api/v1/namespaces/ns/configmaps"
PODS = "/api/v1/namespaces/ns/pods"
MERGE = {"content-type": "application/merge-patch+json"}


def pod(name: str = "p") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


@pytest.fixture
def adding(patch: Any) -> Any:
    """Sets one key of a config map's data."""

    def act(key: str, value: str = "1") -> Any:
        def review(request: dict[str, Any]) -> dict[str, Any]:
            if "data" not in request["object"]:
                return patch({"op": "add", "path": "/data", "value": {key: value}})
            return patch({"op": "add", "path": f"/data/{key}", "value": value})

        return review

    return act


async def test_a_container_that_is_injected_gets_defaults_and_all_that_containers_get(
    web: Any, cluster: Any, on: Any, patch: Any
) -> None:
    sidecar = {"name": "sidecar", "image": "proxy"}
    inject = patch({"op": "add", "path": "/spec/containers/-", "value": sidecar})
    await cluster.mutating(lambda request: inject, rules=[on("pods", operations=("CREATE",))])
    answer = await web("POST", PODS, pod())
    assert answer.code == 201, answer.body
    first, second = answer["spec"]["containers"]
    assert second["name"] == "sidecar"
    assert second.keys() == first.keys()  # imagePullPolicy and the like, and the token's mount
    assert second["volumeMounts"] == first["volumeMounts"]
    assert len(answer["spec"]["volumes"]) == 1
    (request,) = cluster.hooks.requests()
    assert request["object"]["spec"]["serviceAccountName"] == "default"  # the server's own plugins come first
    assert "uid" not in request["object"]["metadata"]
    assert request["object"]["metadata"]["managedFields"][0]["operation"] == "Update"


async def test_what_webhooks_add_belongs_to_nobody(web: Any, cluster: Any, adding: Any) -> None:
    await cluster.mutating(adding("hooked"))
    made = await web("POST", f"{CONFIG_MAPS}?fieldManager=me", {"metadata": {"name": "a"}, "data": {"k": "v"}})
    assert made["data"] == {"k": "v", "hooked": "1"}
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["fieldsV1"]) == ("me", {"f:data": {".": {}, "f:k": {}}})
    changed = await web("PATCH", f"{CONFIG_MAPS}/a?fieldManager=me", {"data": {"k": "w"}}, headers=MERGE)
    assert changed["data"] == {"k": "w", "hooked": "1"}


async def test_an_applied_configuration_is_changed_and_applied_again_without_conflict(
    web: Any, cluster: Any, adding: Any
) -> None:
    apply = {"content-type": "application/apply-patch+yaml"}
    await cluster.mutating(adding("k", "hooked"))
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    for code in (201, 200):
        applied = await web("PATCH", f"{CONFIG_MAPS}/a?fieldManager=me", config, headers=apply)
        assert (applied.code, applied["data"]) == (code, {"k": "hooked"})


async def test_a_change_that_leads_to_the_old_state_writes_nothing(web: Any, cluster: Any, adding: Any) -> None:
    made = await web("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    await cluster.mutating(adding("k"))
    again = await web("PUT", f"{CONFIG_MAPS}/a", made.body)
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_an_update_that_changes_nothing_may_still_be_changed(web: Any, cluster: Any, adding: Any) -> None:
    made = await web("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    await cluster.mutating(adding("late"))
    again = await web("PUT", f"{CONFIG_MAPS}/a", made.body)
    assert again["data"] == {"k": "v", "late": "1"}
    assert (await web("GET", f"{CONFIG_MAPS}/a"))["data"] == {"k": "v", "late": "1"}


async def test_a_change_by_a_webhook_raises_the_generation(web: Any, cluster: Any, on: Any, patch: Any) -> None:
    path = "/apis/apps/v1/namespaces/ns/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    made = await web("POST", path, {"metadata": {"name": "d"}, "spec": spec})
    two = patch({"op": "replace", "path": "/spec/replicas", "value": 2})
    await cluster.mutating(lambda request: two, rules=[on("deployments")])
    for _ in range(2):
        changed = await web("PUT", f"{path}/d", made.body | {"metadata": {"name": "d"}})
        assert (changed["spec"]["replicas"], changed["metadata"]["generation"]) == (2, 2)


async def test_what_a_webhook_breaks_is_invalid(web: Any, cluster: Any, on: Any, patch: Any) -> None:
    wrong = patch({"op": "replace", "path": "/spec/containers/0/name", "value": "NOT A NAME"})
    await cluster.mutating(lambda request: wrong, rules=[on("pods")])
    answer = await web("POST", PODS, pod())
    assert (answer.code, answer["reason"]) == (422, "Invalid")
    assert 'spec.containers[0].name: Invalid value: "NOT A NAME"' in answer["message"]


async def test_a_webhook_may_not_rename_what_exists(web: Any, cluster: Any, patch: Any) -> None:
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    rename = patch({"op": "replace", "path": "/metadata/name", "value": "b"})
    await cluster.mutating(lambda request: rename)
    answer = await web("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "v"}}, headers=MERGE)
    assert (answer.code, answer["reason"]) == (422, "Invalid")
    made = await web("POST", CONFIG_MAPS, {"metadata": {"name": "c"}})
    assert made["metadata"]["name"] == "b"  # which is the first to have that name


async def test_webhooks_are_called_by_the_configurations_names_then_in_their_order(
    web: Any, cluster: Any, patch: Any
) -> None:
    def signing(request: dict[str, Any]) -> dict[str, Any]:
        return {"allowed": True}

    await cluster.configure("mutating", {"name": "x.example.com"}, name="second", review=signing)
    first = ({"name": "z.example.com"}, {"name": "a.example.com"})
    await cluster.configure("mutating", *first, name="first", review=signing)
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert [path for path, _ in cluster.hooks.seen] == ["/z.example.com", "/a.example.com", "/x.example.com"]


async def test_the_next_webhook_sees_what_the_one_before_has_made(web: Any, cluster: Any, adding: Any) -> None:
    for name in ("a.example.com", "b.example.com"):
        await cluster.mutating(adding(name[0]), name=name)
    made = await web("POST", CONFIG_MAPS, {"metadata": {"name": "m"}})
    assert made["data"] == {"a": "1", "b": "1"}
    assert [request["object"].get("data") for request in cluster.hooks.requests()] == [None, {"a": "1"}]


async def test_who_wants_it_is_called_again_when_others_changed_the_object_later(
    web: Any, cluster: Any, adding: Any
) -> None:
    await cluster.mutating(adding("a"), name="a.example.com", reinvocationPolicy="IfNeeded")
    await cluster.mutating(adding("b"), name="b.example.com")
    await cluster.mutating(adding("c"), name="c.example.com", reinvocationPolicy="IfNeeded")
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "m"}})
    order = ["a", "b", "c", "a"]  # c was the last to change anything, and a changes nothing any more
    assert [path[1] for path, _ in cluster.hooks.seen] == order
    assert cluster.hooks.requests()[-1]["object"]["data"] == {"a": "1", "b": "1", "c": "1"}


async def test_nobody_is_called_again_when_nothing_changed(web: Any, cluster: Any) -> None:
    for name in ("a.example.com", "b.example.com"):
        await cluster.mutating(lambda request: {"allowed": True}, name=name, reinvocationPolicy="IfNeeded")
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "m"}})
    assert len(cluster.hooks.seen) == 2


async def test_dry_runs_are_told_and_stored_nowhere(web: Any, cluster: Any, adding: Any) -> None:
    await cluster.mutating(adding("k"), sideEffects="NoneOnDryRun")
    answer = await web("POST", f"{CONFIG_MAPS}?dryRun=All", {"metadata": {"name": "a"}})
    assert (answer.code, answer["data"]) == (201, {"k": "1"})
    (request,) = cluster.hooks.requests()
    assert (request["dryRun"], request["options"]["dryRun"]) == (True, ["All"])
    assert (await web("GET", f"{CONFIG_MAPS}/a")).code == 404


async def test_there_is_nothing_to_change_of_a_deletion(web: Any, cluster: Any, patch: Any) -> None:
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    await cluster.mutating(lambda request: patch({"op": "add", "path": "/data", "value": {}}))
    answer = await web("DELETE", f"{CONFIG_MAPS}/a")
    assert answer.code == 500
    assert answer["message"] == (
        'Internal error occurred: admission webhook "mutate.example.com" attempted to modify the object, which is '
        "not supported for this operation"
    )
    assert (await web("GET", f"{CONFIG_MAPS}/a")).code == 200


async def test_a_patch_that_does_not_apply_fails_the_request(web: Any, cluster: Any, patch: Any) -> None:
    await cluster.mutating(lambda request: patch({"op": "remove", "path": "/data/none"}), failurePolicy="Ignore")
    answer = await web("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert (answer.code, answer["reason"]) == (500, "InternalError")
    assert answer["message"].startswith("Internal error occurred: the patch does not apply to the object (/data/none)")


async def test_an_eviction_s_options_may_be_changed(web: Any, cluster: Any, on: Any, patch: Any) -> None:
    await web("POST", PODS, pod())
    dry = patch({"op": "add", "path": "/deleteOptions", "value": {"dryRun": ["All"]}})
    await cluster.mutating(lambda request: dry, rules=[on("pods/eviction")])
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    assert (await web("POST", f"{PODS}/p/eviction", eviction)).code == 201
    assert "deletionTimestamp" not in (await web("GET", f"{PODS}/p"))["metadata"]


# -- custom kinds


async def test_custom_objects_are_pruned_and_defaulted_again(
    web: Any, cluster: Any, on: Any, patch: Any, gears: str
) -> None:
    change = patch(
        {"op": "replace", "path": "/spec", "value": {"note": "by a webhook", "unknown": 1}},
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
    )
    await cluster.mutating(lambda request: change, rules=[on("gears", groups=("example.com",))])
    body = {"apiVersion": "example.com/v1", "kind": "Gear", "metadata": {"name": "g"}, "spec": {"size": 3}}
    made = await web("POST", gears, body)
    assert (made.code, made["spec"], made["metadata"]["labels"]) == (
        201,
        {"note": "by a webhook", "size": 1},
        {"a": "b"},
    )
    (request,) = cluster.hooks.requests()
    assert request["kind"] == {"group": "example.com", "version": "v1", "kind": "Gear"}


async def test_custom_objects_are_validated_after_webhooks(
    web: Any, cluster: Any, on: Any, patch: Any, gears: str
) -> None:
    await cluster.mutating(
        lambda request: patch({"op": "replace", "path": "/spec/size", "value": 100}), rules=[on("gears")]
    )
    body = {"apiVersion": "example.com/v1", "kind": "Gear", "metadata": {"name": "g"}, "spec": {"size": 3}}
    answer = await web("POST", gears, body)
    assert (answer.code, answer["reason"]) == (422, "Invalid")


@pytest.mark.parametrize(("policy", "asked"), [("Equivalent", True), ("Exact", False)])
async def test_another_version_of_a_kind_is_the_same_where_the_policy_says_so(
    web: Any, cluster: Any, on: Any, patch: Any, gears: str, policy: str, asked: bool
) -> None:
    rules = [{**on("gears"), "apiVersions": ["v1"]}]
    change = patch({"op": "replace", "path": "/spec/size", "value": 5})
    await cluster.mutating(lambda request: change, rules=rules, matchPolicy=policy)
    body = {"apiVersion": "example.com/v2", "kind": "Gear", "metadata": {"name": "g"}, "spec": {"size": 3}}
    made = await web("POST", gears.replace("v1", "v2"), body)
    assert (made.code, made["apiVersion"], made["spec"]["size"]) == (201, "example.com/v2", 5 if asked else 3)
    for request in cluster.hooks.requests():
        assert (request["kind"]["version"], request["resource"]["version"]) == ("v1", "v1")
        assert (request["requestKind"]["version"], request["requestResource"]["version"]) == ("v2", "v2")
        assert request["object"]["apiVersion"] == "example.com/v1"
    assert len(cluster.hooks.seen) == asked


async def test_a_built_in_kind_with_two_names_is_one(web: Any, cluster: Any, on: Any) -> None:
    rules = [on("horizontalpodautoscalers", groups=("autoscaling",), apiVersions=["v2"])]
    await cluster.mutating(lambda request: {"allowed": True}, rules=rules)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 50}
    path = "/apis/autoscaling/v1/namespaces/ns/horizontalpodautoscalers"
    assert (await web("POST", path, {"metadata": {"name": "h"}, "spec": spec})).code == 201
    (request,) = cluster.hooks.requests()
    assert (request["object"]["apiVersion"], request["requestKind"]["version"]) == ("autoscaling/v2", "v1")
    assert request["object"]["spec"]["metrics"][0]["resource"]["name"] == "cpu"
