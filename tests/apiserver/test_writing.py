"""Create, update and delete (A65-A92)."""

from __future__ import annotations

from typing import Any

import pytest

MAPS = "/api/v1/namespaces/ns/configmaps"
PODS = "/api/v1/namespaces/ns/pods"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def pod(name: str, node: str = "", grace: int = 30) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": "app:1"}], "terminationGracePeriodSeconds": grace}
    return {"metadata": {"name": name}, "spec": {**spec, **({"nodeName": node} if node else {})}}


# -- create


async def test_the_server_sets_its_part_of_metadata(web: Any) -> None:
    made = await web(
        "POST",
        MAPS,
        {"metadata": {"name": "a", "uid": "mine", "generation": 7, "deletionTimestamp": "2020-01-01T00:00:00Z"}},
    )
    metadata = made["metadata"]
    assert metadata["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert metadata["uid"] != "mine"
    assert metadata["namespace"] == "ns"
    assert not {"generation", "deletionTimestamp"} & set(metadata)


async def test_a_generated_name_is_prefix_and_five_letters(web: Any) -> None:
    made = await web("POST", MAPS, {"metadata": {"generateName": "x-"}})
    name = made["metadata"]["name"]
    assert name.startswith("x-")
    assert len(name) == 7
    assert set(name[2:]) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert made["metadata"]["generateName"] == "x-"


async def test_a_name_is_given_once(web: Any) -> None:
    await web("POST", MAPS, config_map("a"))
    again = await web("POST", MAPS, config_map("a"))
    assert (again.code, again["reason"], again["message"]) == (409, "AlreadyExists", 'configmaps "a" already exists')
    assert again["details"] == {"name": "a", "kind": "configmaps"}


async def test_a_missing_namespace_beats_an_invalid_object(web: Any) -> None:
    answer = await web("POST", "/api/v1/namespaces/none/configmaps", config_map("A"))
    assert (answer.code, answer["message"]) == (404, 'namespaces "none" not found')


async def test_a_dry_run_answers_and_stores_nothing(web: Any) -> None:
    made = await web("POST", f"{MAPS}?dryRun=All", config_map("a"))
    assert made.code == 201
    assert made["metadata"]["uid"]
    assert "resourceVersion" not in made["metadata"]
    assert (await web("GET", f"{MAPS}/a")).code == 404


async def test_a_create_with_a_version_is_refused_without_a_reason(web: Any) -> None:
    answer = await web("POST", MAPS, {"metadata": {"name": "a", "resourceVersion": "5"}})
    assert answer.code == 500
    assert answer["message"] == "resourceVersion should not be set on objects to be created"
    assert "reason" not in answer.body


async def test_unknown_fields_are_warned_of(web: Any) -> None:
    made = await web("POST", MAPS, {"metadata": {"name": "a"}, "size": 3})
    assert made.headers["Warning"] == ['299 - "unknown field \\"size\\""']
    assert "size" not in made.body


async def test_a_warning_carries_any_letters(web: Any) -> None:
    made = await web("POST", MAPS, {"metadata": {"name": "a"}, "größe\n": 3})
    (warning,) = made.headers["Warning"]
    assert "größe" in warning.encode("latin-1").decode()
    assert "\n" not in warning


# -- update


async def test_an_update_that_changes_nothing_is_no_write(web: Any) -> None:
    made = await web("POST", MAPS, config_map("a", x="1"))
    same = await web("PUT", f"{MAPS}/a", config_map("a", x="1"))
    assert (same.code, same.body) == (200, made.body)


async def test_a_stale_version_is_a_conflict(web: Any) -> None:
    made = await web("POST", MAPS, config_map("a"))
    await web("PUT", f"{MAPS}/a", config_map("a", x="1"))
    stale = await web("PUT", f"{MAPS}/a", {**made.body, "data": {"x": "2"}})
    assert (stale.code, stale["reason"]) == (409, "Conflict")
    assert stale["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to '
        "the latest version and try again"
    )


async def test_the_creation_time_is_kept_and_a_deletion_time_refused(web: Any) -> None:
    made = await web("POST", MAPS, config_map("a"))
    body = config_map("a", x="1")
    body["metadata"]["creationTimestamp"] = "2000-01-01T00:00:00Z"
    updated = await web("PUT", f"{MAPS}/a", body)
    assert updated["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    body["metadata"]["deletionTimestamp"] = "2000-01-01T00:00:00Z"
    refused = await web("PUT", f"{MAPS}/a", body)
    assert (refused.code, refused["details"]["causes"][0]["field"]) == (422, "metadata.deletionTimestamp")


async def test_only_some_kinds_are_created_by_update(web: Any) -> None:
    assert (await web("PUT", f"{MAPS}/a", config_map("a"))).code == 404
    leases = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l"
    assert (await web("PUT", leases, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})).code == 201


async def test_a_lease_is_not_updated_without_its_version(web: Any) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
    await web("POST", leases, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})
    answer = await web("PUT", f"{leases}/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "you"}})
    assert answer.code == 422
    assert answer["details"]["causes"][0]["message"] == "Invalid value: 0: must be specified for an update"


async def test_s136_s179_generation_follows_the_spec_and_nothing_else(web: Any) -> None:
    sets = "/apis/apps/v1/namespaces/ns/statefulsets"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": template}
    body: dict[str, Any] = {"metadata": {"name": "web", "generation": 9}, "spec": spec}
    assert (await web("POST", sets, body))["metadata"]["generation"] == 1
    body["metadata"]["labels"] = {"x": "y"}
    assert (await web("PUT", f"{sets}/web", body))["metadata"]["generation"] == 1
    body["spec"] = {**spec, "replicas": 2}
    assert (await web("PUT", f"{sets}/web", body))["metadata"]["generation"] == 2
    status = {**body, "status": {"replicas": 1, "observedGeneration": 2}}
    stored = await web("PUT", f"{sets}/web/status", status)
    assert stored["metadata"]["generation"] == 2
    assert stored["status"]["replicas"] == 1


async def test_n8_the_object_keeps_its_status_and_the_status_its_object(web: Any) -> None:
    await web("POST", PODS, pod("a"))
    changed = await web("PUT", f"{PODS}/a/status", {**pod("a", node="elsewhere"), "status": {"phase": "Running"}})
    assert changed["status"]["phase"] == "Running"
    assert "nodeName" not in changed["spec"]
    body = {**changed.body, "status": {"phase": "Failed"}}
    assert (await web("PUT", f"{PODS}/a", body))["status"]["phase"] == "Running"


# -- delete


async def test_a_deletion_answers_success(web: Any) -> None:
    made = await web("POST", MAPS, config_map("a"))
    deleted = await web("DELETE", f"{MAPS}/a")
    assert deleted.code == 200
    assert deleted["status"] == "Success"
    assert deleted["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert (await web("GET", f"{MAPS}/a")).code == 404


async def test_a_finalizer_holds_the_object_until_it_is_taken_off(web: Any) -> None:
    body = config_map("a")
    body["metadata"]["finalizers"] = ["a.example/x"]
    await web("POST", MAPS, body)
    marked = await web("DELETE", f"{MAPS}/a")
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:05Z"
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert (await web("DELETE", f"{MAPS}/a")).body == marked.body
    body["metadata"]["finalizers"] = ["a.example/x", "a.example/y"]
    refused = await web("PUT", f"{MAPS}/a", body)
    assert refused.code == 422
    del body["metadata"]["finalizers"]
    last = await web("PUT", f"{MAPS}/a", body)
    assert (last.code, last["metadata"]["resourceVersion"]) == (200, marked["metadata"]["resourceVersion"])
    assert (await web("GET", f"{MAPS}/a")).code == 404


@pytest.mark.parametrize(
    ("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan"), ("Background", None)]
)
async def test_propagation_leaves_a_finalizer_for_the_garbage_collector(
    web: Any, policy: str, finalizer: str | None
) -> None:
    await web("POST", MAPS, config_map("a"))
    answer = await web("DELETE", f"{MAPS}/a", {"propagationPolicy": policy})
    if finalizer:
        assert answer["metadata"]["finalizers"] == [finalizer]
    else:
        assert answer["status"] == "Success"


async def test_n130_n232_a_pod_on_a_node_gets_its_grace_which_may_only_shrink(web: Any, clock: Any) -> None:
    """A346."""
    await web("POST", PODS, pod("a", node="n1"))
    first = await web("DELETE", f"{PODS}/a")
    metadata = first["metadata"]
    assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == ("2026-01-02T03:04:35Z", 30)
    assert metadata["generation"] == 2
    clock.advance(1)
    shorter = await web("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 5})
    assert shorter["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:10Z"
    longer = await web("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 50})
    assert longer.body == shorter.body
    gone = await web("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 0})
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert (await web("GET", f"{PODS}/a")).code == 404


async def test_s48_n130_n244_a_pod_without_a_node_goes_at_once(web: Any) -> None:
    """A347."""
    await web("POST", PODS, pod("a"))
    gone = await web("DELETE", f"{PODS}/a")
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert (await web("GET", f"{PODS}/a")).code == 404


@pytest.mark.parametrize("precondition", [{"uid": "other"}, {"resourceVersion": "1"}])
async def test_a_precondition_that_fails_names_the_kind(web: Any, precondition: dict[str, str]) -> None:
    await web("POST", MAPS, config_map("a"))
    answer = await web("DELETE", f"{MAPS}/a", {"preconditions": precondition})
    assert (answer.code, answer["reason"], answer["details"]["kind"]) == (409, "Conflict", "ConfigMap")


async def test_a_collection_goes_as_its_list_shows_it(web: Any) -> None:
    for name, label in (("a", "1"), ("b", "2"), ("c", "3")):
        await web("POST", MAPS, {"metadata": {"name": name, "labels": {"n": label}}})
    gone = await web("DELETE", f"{MAPS}?labelSelector=n+in+(1,2)")
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "b"]
    assert [item["metadata"]["name"] for item in (await web("GET", MAPS))["items"]] == ["c"]


async def test_a_namespace_waits_for_its_finalizer(web: Any) -> None:
    marked = await web("DELETE", "/api/v1/namespaces/ns")
    assert marked["status"]["phase"] == "Terminating"
    assert "deletionGracePeriodSeconds" not in marked["metadata"]
    refused = await web("POST", MAPS, config_map("a"))
    assert (refused.code, refused["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    body = {**marked.body, "spec": {"finalizers": []}}
    assert (await web("PUT", "/api/v1/namespaces/ns/finalize", body)).code == 200
    assert (await web("GET", "/api/v1/namespaces/ns")).code == 404


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_some_namespaces_stay(web: Any, name: str) -> None:
    answer = await web("DELETE", f"/api/v1/namespaces/{name}")
    assert answer.code == 403
    assert answer["message"] == f'namespaces "{name}" is forbidden: this namespace may not be deleted'
