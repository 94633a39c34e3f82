"""What other controllers make of kinds that are defined: owners, namespaces, quotas."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.api.resource import Resource
from holdfast.client.informer import Informers
from holdfast.controllers.disruption.controller import DisruptionController
from holdfast.controllers.garbage.controller import GarbageCollector
from holdfast.controllers.namespaces.controller import NamespaceDeletion
from holdfast.controllers.quota.controller import QuotaController
from holdfast.controllers.runner import Controller
from holdfast.world import real_world

from .conftest import DEFINITIONS, GEARS, Define, definition, eventually, gear, gone, version

MAPS = "/api/v1/namespaces/ns/configmaps"
QUOTAS = "/api/v1/namespaces/ns/resourcequotas"
BUDGETS = "/apis/policy/v1/namespaces/ns/poddisruptionbudgets"


@pytest.fixture
def controllers() -> list[Controller[Any]]:
    clock = real_world().clock
    return [GarbageCollector(), NamespaceDeletion(clock), QuotaController(clock), DisruptionController(clock)]


def owned(manifest: dict[str, Any], owner: Any) -> dict[str, Any]:
    of = {name: owner[name] for name in ("apiVersion", "kind")}
    reference = {**of, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}


async def test_what_a_custom_object_owns_goes_with_it(web: Any, define: Define) -> None:
    await define(definition())
    owner = await web("POST", GEARS, gear())
    await web("POST", MAPS, owned({"metadata": {"name": "below"}}, owner))
    await web("POST", GEARS, owned(gear("child"), owner))
    await web("DELETE", f"{GEARS}/one")
    await gone(web, f"{MAPS}/below")
    await gone(web, f"{GEARS}/child")


async def test_a_custom_object_goes_with_its_owner(web: Any, define: Define) -> None:
    await define(definition())
    owner = await web("POST", MAPS, {"metadata": {"name": "above"}})
    owner.body |= {"apiVersion": "v1", "kind": "ConfigMap"}
    await web("POST", GEARS, owned(gear(), owner))
    await web("DELETE", f"{MAPS}/above?propagationPolicy=Foreground")
    await gone(web, f"{GEARS}/one")
    await gone(web, f"{MAPS}/above")


async def test_owners_are_looked_up_again_after_their_definition_came_back(web: Any, define: Define) -> None:
    await define(definition())
    await web("DELETE", f"{DEFINITIONS}/gears.example.com")
    await gone(web, f"{DEFINITIONS}/gears.example.com")
    await define(definition())
    owner = await web("POST", GEARS, gear())
    await web("POST", MAPS, owned({"metadata": {"name": "below"}}, owner))
    await web("DELETE", f"{GEARS}/one")
    await gone(web, f"{MAPS}/below")


async def test_a_namespace_takes_its_custom_objects_along(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    there = GEARS.replace("/ns/", "/other/")
    assert (await web("POST", there, gear())).code == 201
    await web("DELETE", "/api/v1/namespaces/other")
    await gone(web, "/api/v1/namespaces/other")
    assert (await web("GET", "/apis/example.com/v1/gears"))["items"] == []


async def test_a243_quotas_count_custom_objects(web: Any, define: Define) -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"count/gears.example.com": "1"}}}
    assert (await web("POST", QUOTAS, quota)).code == 201
    await define(definition())
    assert (await web("POST", GEARS, gear())).code == 201
    refused = await web("POST", GEARS, gear("two"))
    assert refused.code == 403
    assert refused["message"] == (
        'gears.example.com "two" is forbidden: exceeded quota: few, requested: count/gears.example.com=1, '
        "used: count/gears.example.com=1, limited: count/gears.example.com=1"
    )

    async def is_counted() -> bool:
        status = (await web("GET", f"{QUOTAS}/few"))["status"]
        return bool(status.get("used") == {"count/gears.example.com": "1"})

    await eventually(is_counted)
    await web("DELETE", f"{GEARS}/one")
    assert (await web("POST", GEARS, gear("two"))).code == 201


async def add_pod_of(web: Any, owner: Any) -> None:
    container = {"name": "a", "image": "a:1"}
    pod = {"metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {"containers": [container]}}
    pod = owned(pod, owner)
    pod["metadata"]["ownerReferences"][0]["controller"] = True
    assert (await web("POST", "/api/v1/namespaces/ns/pods", pod)).code == 201


async def add_budget(web: Any, **spec: Any) -> None:
    spec["selector"] = {"matchLabels": {"a": "b"}}
    assert (await web("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": spec})).code == 201


async def test_w75_a_budget_expects_as_many_pods_as_a_custom_object_is_scaled_to(web: Any, define: Define) -> None:
    await define(definition())
    await add_pod_of(web, await web("POST", GEARS, gear()))
    await add_budget(web, maxUnavailable="50%")

    async def expects(pods: int, healthy: int) -> None:
        async def holds() -> bool:
            status = (await web("GET", f"{BUDGETS}/b"))["status"]
            return (status["expectedPods"], status["desiredHealthy"]) == (pods, healthy)

        await eventually(holds)

    await expects(3, 1)
    merge = {"content-type": "application/merge-patch+json"}
    await web("PATCH", f"{GEARS}/one/scale", {"spec": {"replicas": 7}}, headers=merge)
    await expects(7, 3)


async def test_w75_a_budget_goes_by_a_scale_that_a_definition_gains(web: Any, define: Define) -> None:
    scaled = definition()
    bare = definition(version(subresources={"status": {}}))
    await define(bare)
    await add_pod_of(web, await web("POST", GEARS, gear()))
    await add_budget(web, maxUnavailable="50%")

    async def has_failed() -> bool:
        conditions = (await web("GET", f"{BUDGETS}/b"))["status"].get("conditions") or ()
        return [one["reason"] for one in conditions] == ["SyncFailed"]

    await eventually(has_failed)
    merge = {"content-type": "application/merge-patch+json"}
    await web("PATCH", f"{DEFINITIONS}/gears.example.com", {"spec": scaled["spec"]}, headers=merge)

    async def expects_three() -> bool:
        return bool((await web("GET", f"{BUDGETS}/b"))["status"]["expectedPods"] == 3)

    await eventually(expects_three)


async def test_a_right_to_a_custom_kind_is_a_right_like_any_other(web: Any, define: Define, jane_token: str) -> None:
    await define(definition())
    assert (await web("GET", GEARS, token=jane_token)).code == 403
    rules = [{"apiGroups": ["example.com"], "resources": ["gears"], "verbs": ["list"]}]
    role = {"metadata": {"name": "gears", "namespace": "ns"}, "rules": rules}
    base = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns"
    await web("POST", f"{base}/roles", role)
    binding = {
        "metadata": {"name": "gears", "namespace": "ns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gears"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await web("POST", f"{base}/rolebindings", binding)
    assert (await web("GET", GEARS, token=jane_token)).code == 200
    assert (await web("POST", GEARS, gear(), token=jane_token)).code == 403


async def test_who_follows_defined_kinds_is_told_of_each_until_it_ends_that(
    web: Any, define: Define, server: Any
) -> None:
    world = real_world()
    informers = Informers(server.client("test"), world)
    running = asyncio.ensure_future(informers.run())
    told: list[tuple[str, str]] = []

    def came(resource: Resource) -> None:
        informers.of(resource)
        told.append(("came", resource.qualified))

    def went(resource: Resource) -> None:
        told.append(("went", resource.qualified))

    async def is_told(*expected: tuple[str, str]) -> None:
        async def holds() -> bool:
            return told == [*expected]

        await eventually(holds)

    try:
        await define(definition())
        with informers.collecting() as ends:
            defined = informers.follow_defined(came, went)
        await is_told(("came", "gears.example.com"))
        resource = defined.by_group_kind("example.com", "Gear")
        assert resource is not None
        informer = informers.whole(resource)
        assert informer is not None
        await informer.wait_synced()
        await web("DELETE", f"{DEFINITIONS}/gears.example.com")
        await is_told(("came", "gears.example.com"), ("went", "gears.example.com"))
        assert informers.whole(resource) is None

        async def has_ended() -> bool:
            return "informer gears.example.com" not in {task.get_name() for task in asyncio.all_tasks()}

        await eventually(has_ended)
        for end in ends:
            end()
        await gone(web, f"{DEFINITIONS}/gears.example.com")
        await define(definition())

        async def is_known() -> bool:
            return defined.by_group_kind("example.com", "Gear") is not None

        await eventually(is_known)
        assert len(told) == 2
    finally:
        running.cancel()
        await asyncio.wait([running])
