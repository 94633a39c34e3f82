"""Resource quotas refuse what goes beyond them, however much comes at once (A243)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.errors import Forbidden
from holdfast.apiserver.auth.user import User
from holdfast.apiserver.call import Call
from holdfast.apiserver.server import ApiServer, Config

QUOTAS = "/api/v1/namespaces/ns/resourcequotas"
PODS = "/api/v1/namespaces/ns/pods"
MAPS = "/api/v1/namespaces/ns/configmaps"
SERVICES = "/api/v1/namespaces/ns/services"
CLAIMS = "/api/v1/namespaces/ns/persistentvolumeclaims"
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}


async def quota(web: Any, name: str = "q", *, hard: dict[str, Any], **spec: Any) -> None:
    answer = await web("POST", QUOTAS, {"metadata": {"name": name}, "spec": {"hard": hard, **spec}})
    assert answer.code == 201, answer.body


async def pod(web: Any, name: str = "a", requests: dict[str, str] | None = None, query: str = "", **spec: Any) -> Any:
    container = {"name": "main", "image": "a:1", "resources": {"requests": requests} if requests else {}}
    return await web(
        "POST", f"{PODS}{query}", {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}
    )


async def config(web: Any, name: str = "a", query: str = "") -> Any:
    return await web("POST", f"{MAPS}{query}", {"metadata": {"name": name}})


def refusal(answer: Any) -> str:
    assert (answer.code, answer["reason"]) == (403, "Forbidden"), answer.body
    return str(answer["message"].partition(" is forbidden: ")[2])


async def test_what_would_exceed_a_quota_is_refused_with_its_sums(web: Any) -> None:
    await quota(web, hard={"pods": 1, "requests.cpu": "1"})
    assert (await pod(web, "a", {"cpu": "400m"})).code == 201
    assert refusal(await pod(web, "b", {"cpu": "2"})) == (
        "exceeded quota: q, requested: pods=1,requests.cpu=2, used: pods=1,requests.cpu=400m, "
        "limited: pods=1,requests.cpu=1"
    )


async def test_a_quota_counts_what_was_there_before_it(web: Any) -> None:
    await config(web, "a")
    await config(web, "b")
    await quota(web, hard={"configmaps": 2})
    assert refusal(await config(web, "c")) == (
        "exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2"
    )


@pytest.mark.parametrize("hard", [1, 3])
async def test_of_many_at_once_no_more_get_through_than_fit(web: Any, hard: int) -> None:
    await quota(web, hard={"configmaps": hard})
    answers = await asyncio.gather(*(config(web, f"c{number}") for number in range(16)))
    assert [answer.code for answer in answers].count(201) == hard
    assert {answer.code for answer in answers} == {201, 403}
    assert (await config(web, "late")).code == 403


async def test_as_many_as_fit_get_through_at_once(web: Any) -> None:
    """What is stored is not counted a second time while its request is coming to its end."""
    await quota(web, hard={"configmaps": 64})
    answers = await asyncio.gather(*(config(web, f"c{number}") for number in range(64)))
    assert {answer.code for answer in answers} == {201}


async def test_what_goes_is_free_at_once(web: Any) -> None:
    await quota(web, hard={"configmaps": 1})
    for name in ("a", "b", "c"):
        assert (await config(web, name)).code == 201
        assert (await web("DELETE", f"{MAPS}/{name}")).code == 200


async def test_a_dry_run_is_checked_and_takes_nothing(web: Any) -> None:
    await quota(web, hard={"configmaps": 1})
    assert (await config(web, "a", "?dryRun=All")).code == 201
    assert (await config(web, "a")).code == 201
    assert (await config(web, "b", "?dryRun=All")).code == 403


async def test_a_refused_write_takes_nothing(web: Any) -> None:
    await quota(web, hard={"configmaps": 2})
    assert (await config(web, "a")).code == 201
    assert (await config(web, "a")).code == 409
    assert (await web("POST", MAPS, {"metadata": {"name": "B!"}})).code == 422
    assert (await config(web, "b")).code == 201


async def test_a_full_quota_is_said_before_that_a_name_is_taken(web: Any) -> None:
    await quota(web, hard={"configmaps": 1})
    await config(web, "a")
    assert (await config(web, "a")).code == 403


async def test_a_quota_for_cpu_or_memory_wants_every_container_to_say_how_much(web: Any) -> None:
    await quota(web, hard={"requests.cpu": "1", "limits.memory": "1Gi", "memory": "1Gi"})
    containers = [{"name": name, "image": "a:1"} for name in ("one", "two")]
    init = [{"name": "init", "image": "a:1", "resources": {"requests": {"cpu": "1m"}}}]
    spec = {"containers": containers, "initContainers": init}
    answer = await web("POST", PODS, {"metadata": {"name": "a"}, "spec": spec})
    assert refusal(answer) == (
        "failed quota: q: must specify limits.memory for: init,one,two; memory for: init,one,two; "
        "requests.cpu for: one,two"
    )
    whole = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    spec = {"containers": containers, "resources": whole}
    assert (await web("POST", PODS, {"metadata": {"name": "a"}, "spec": spec})).code == 201


async def test_all_quotas_have_to_agree(web: Any) -> None:
    await quota(web, "large", hard={"pods": 5})
    await quota(web, "small", hard={"pods": 0})
    assert refusal(await pod(web)) == "exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0"
    await web("DELETE", f"{QUOTAS}/small")
    assert (await pod(web)).code == 201


async def test_a_raised_quota_lets_more_through(web: Any) -> None:
    await quota(web, hard={"pods": 1})
    await pod(web, "a")
    assert (await pod(web, "b")).code == 403
    await web("PATCH", f"{QUOTAS}/q", {"spec": {"hard": {"pods": "2"}}}, headers=MERGE)
    assert (await pod(web, "b")).code == 201


async def test_a_quota_that_comes_to_count_something_else_counts_anew(web: Any) -> None:
    await config(web, "a")
    await quota(web, hard={"pods": 1})
    await web("PATCH", f"{QUOTAS}/q", {"spec": {"hard": {"configmaps": "1"}}}, headers=MERGE)
    assert (await config(web, "b")).code == 403


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_pods_that_ended_count_as_stored_only(web: Any, phase: str) -> None:
    await quota(web, hard={"pods": 1, "count/pods": 2})
    for name in ("a", "b"):
        assert (await pod(web, name)).code == 201
        await web("PATCH", f"{PODS}/{name}/status", {"status": {"phase": phase}}, headers=MERGE)
    assert refusal(await pod(web, "c")) == (
        "exceeded quota: q, requested: count/pods=1, used: count/pods=2, limited: count/pods=2"
    )


async def test_a_pod_that_does_not_go_counts_until_twice_its_grace_is_over(web: Any, clock: Any) -> None:
    await quota(web, hard={"pods": 1})
    await pod(web, "a", nodeName="n1")
    await web("DELETE", f"{PODS}/a?gracePeriodSeconds=10")
    clock.advance(15)
    assert (await pod(web, "b")).code == 403
    clock.advance(6)
    assert (await pod(web, "b")).code == 201


async def test_a_service_that_gets_node_ports_by_a_change_is_charged(web: Any) -> None:
    await quota(web, hard={"services": 2, "services.nodeports": 1, "services.loadbalancers": 0})
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    for name, count in (("one", 1), ("two", 2)):
        body = {"metadata": {"name": name}, "spec": {"ports": ports[:count]}}
        assert (await web("POST", SERVICES, body)).code == 201
    change = {"spec": {"type": "NodePort"}}
    assert refusal(await web("PATCH", f"{SERVICES}/two", change, headers=MERGE)) == (
        "exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1"
    )
    assert (await web("PATCH", f"{SERVICES}/one", change, headers=MERGE)).code == 200
    assert (await web("PATCH", f"{SERVICES}/one", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)).code == 200
    balanced = {"spec": {"type": "LoadBalancer"}}
    assert refusal(await web("PATCH", f"{SERVICES}/one", balanced, headers=MERGE)) == (
        "exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, "
        "limited: services.loadbalancers=0"
    )
    assert (await web("POST", SERVICES, {"metadata": {"name": "c"}, "spec": {"ports": ports}})).code == 403


async def test_a_claim_is_charged_for_its_size_and_its_class_and_again_when_it_grows(web: Any) -> None:
    of_class = "fast.storageclass.storage.k8s.io"
    hard = {"requests.storage": "10Gi", f"{of_class}/requests.storage": "3Gi", f"{of_class}/persistentvolumeclaims": 1}
    await quota(web, hard=hard)
    body = {"metadata": {"name": "fast"}, "provisioner": "x.example/y", "allowVolumeExpansion": True}
    await web("POST", "/apis/storage.k8s.io/v1/storageclasses", body)

    def claim(name: str, size: str, storage_class: str) -> dict[str, Any]:
        resources = {"requests": {"storage": size}}
        spec = {"storageClassName": storage_class, "accessModes": ["ReadWriteOnce"], "resources": resources}
        return {"metadata": {"name": name}, "spec": spec}

    assert (await web("POST", CLAIMS, claim("a", "2Gi", "fast"))).code == 201
    assert refusal(await web("POST", CLAIMS, claim("b", "2Gi", "fast"))) == (
        f"exceeded quota: q, requested: {of_class}/persistentvolumeclaims=1,{of_class}/requests.storage=2Gi, "
        f"used: {of_class}/persistentvolumeclaims=1,{of_class}/requests.storage=2Gi, "
        f"limited: {of_class}/persistentvolumeclaims=1,{of_class}/requests.storage=3Gi"
    )
    assert (await web("POST", CLAIMS, claim("b", "7Gi", "slow"))).code == 201
    await web("PATCH", f"{CLAIMS}/a/status", {"status": {"phase": "Bound"}}, headers=MERGE)
    await web("PATCH", f"{CLAIMS}/a", {"spec": {"volumeName": "v"}}, headers=MERGE)
    grown = {"spec": {"resources": {"requests": {"storage": "4Gi"}}}}
    assert refusal(await web("PATCH", f"{CLAIMS}/a", grown, headers=MERGE)).startswith(
        f"exceeded quota: q, requested: {of_class}/requests.storage=2Gi,requests.storage=2Gi, used: "
    )
    grown = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    assert (await web("PATCH", f"{CLAIMS}/a", grown, headers=MERGE)).code == 200


async def test_a_resized_pod_is_charged_for_what_is_more(web: Any) -> None:
    await quota(web, hard={"requests.cpu": "2"})
    await pod(web, "a", {"cpu": "1"})
    resized = {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "3"}}}]}}
    assert refusal(await web("PATCH", f"{PODS}/a/resize", resized, headers=STRATEGIC)) == (
        "exceeded quota: q, requested: requests.cpu=2, used: requests.cpu=1, limited: requests.cpu=2"
    )


async def test_any_kind_is_counted_by_its_name(web: Any) -> None:
    await quota(web, hard={"count/deployments.apps": 0, "count/roles.rbac.authorization.k8s.io": 0})
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    answer = await web("POST", "/apis/apps/v1/namespaces/ns/deployments", {"metadata": {"name": "a"}, "spec": spec})
    assert refusal(answer).startswith("exceeded quota: q, requested: count/deployments.apps=1, used: count/deploy")
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles"
    assert (await web("POST", roles, {"metadata": {"name": "a"}})).code == 403


async def test_a_quota_on_quotas_counts_itself(web: Any) -> None:
    await quota(web, hard={"resourcequotas": 1})
    answer = await web("POST", QUOTAS, {"metadata": {"name": "b"}, "spec": {"hard": {"pods": 1}}})
    assert refusal(answer) == (
        "exceeded quota: q, requested: resourcequotas=1, used: resourcequotas=1, limited: resourcequotas=1"
    )


async def test_applying_what_is_not_there_is_charged_as_well(web: Any) -> None:
    await quota(web, hard={"configmaps": 0})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    headers = {"content-type": "application/apply-patch+yaml"}
    answer = await web("PATCH", f"{MAPS}/a?fieldManager=me", body, headers=headers)
    assert answer.code == 403


async def test_another_namespace_does_not_notice(web: Any) -> None:
    await quota(web, hard={"configmaps": 0})
    await web("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    assert (await web("POST", MAPS.replace("/ns/", "/other/"), {"metadata": {"name": "a"}})).code == 201


async def test_a_restarted_server_knows_what_is_used(web: Any, store: Any, world: Any) -> None:
    await quota(web, hard={"configmaps": 1})
    await config(web, "a")
    again = ApiServer(store, world, Config())
    await again.open()
    try:
        with pytest.raises(Forbidden, match="exceeded quota"):
            await again.client("test").create(CONFIG_MAPS, {"metadata": {"name": "b", "namespace": "ns"}})
    finally:
        await again.close()


async def test_without_quotas_nothing_is_held_and_nothing_followed(web: Any) -> None:
    api = web.server.api
    call = Call(User("jane"), CONFIG_MAPS, "ns", "a")
    assert api.admission.charged(call, {}, None) is api.admission.charged(call, {}, None)
    followers = len(api.objects(CONFIG_MAPS)._watchers)
    await quota(web, hard={"pods": 1})
    assert len(api.objects(CONFIG_MAPS)._watchers) == followers


@pytest.mark.parametrize("scope", [{}, {"scopeName": "PriorityClass"}, {"scopeName": "BestEffort", "operator": "In"}])
async def test_an_odd_scope_selector_stops_nobody(web: Any, scope: dict[str, Any]) -> None:
    selector = {"matchExpressions": [scope]}
    body = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": 0}, "scopeSelector": selector}}
    assert (await web("POST", QUOTAS, body)).code in (201, 422)
    assert (await pod(web)).code in (201, 403)
    assert (await config(web)).code == 201
