"""What the paths of the API may do, counted and not timed: a lapse shows here before anybody measures it."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from typing import Any

import msgspec
import pytest

from holdfast.api.core.pod import PODS as POD_RESOURCE
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.server import ApiServer
from holdfast.apiserver.verbs import reading
from holdfast.client.informer import Informer, key_of
from holdfast.wire.messages import Request

from .conftest import ADMIN, Web

PATH = "/api/v1/namespaces/ns/pods"
MERGE = {"content-type": "application/merge-patch+json"}


def pod(name: str, group: int = 0) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": "app:1"}]}
    return {"metadata": {"name": name, "labels": {"app": "web", "group": f"g{group}"}}, "spec": spec}


def asked(target: str, accept: str = "application/json") -> Request:
    path, _, query = target.partition("?")
    return Request("GET", path, query, {"authorization": f"Bearer {ADMIN}", "accept": accept})


async def filled(web: Web, count: int) -> None:
    for number in range(count):
        assert (await web("POST", PATH, pod(f"p{number:03}", number // 10))).code == 201


@pytest.mark.parametrize("target", [f"{PATH}/p001", PATH, f"{PATH}?limit=5", f"{PATH}?labelSelector=group%3Dg1"])
async def test_a_read_neither_decodes_nor_encodes_nor_makes_a_task(server: ApiServer, web: Web, target: str) -> None:
    await filled(web, 30)
    decoded = server.cache.decoded
    before, tasks = (decoded.decodes, decoded.encodes), len(asyncio.all_tasks())
    answer = server.handler(asked(target))
    assert not inspect.isawaitable(answer)
    assert (decoded.decodes, decoded.encodes) == before
    assert len(asyncio.all_tasks()) == tasks


async def test_a_write_encodes_once_and_decodes_nothing_stored(server: ApiServer, web: Web) -> None:
    decoded = server.cache.decoded
    for write in (
        ("POST", PATH, pod("p")),
        ("POST", PATH, pod("q")),
        ("PATCH", f"{PATH}/p", {"metadata": {"labels": {"app": "db"}}}),
        ("PATCH", f"{PATH}/p/status", {"status": {"message": "m"}}),
    ):
        before = decoded.encodes
        answer = await web(*write, headers=MERGE if write[0] == "PATCH" else None)
        assert answer.code < 300
        assert decoded.encodes - before == 1
    assert decoded.decodes == 0


async def test_pods_that_were_just_made_have_in_memory_once_what_they_have_in_common(
    server: ApiServer, web: Web
) -> None:
    await filled(web, 2)
    one, two = (server.cache.of(POD_RESOURCE).get("ns", name).manifest for name in ("p000", "p001"))
    assert one["status"] is two["status"]
    assert one["spec"]["tolerations"] is two["spec"]["tolerations"]
    patch = {"metadata": {"labels": {"x": "y"}}}
    assert (await web("PATCH", f"{PATH}/p000", patch, headers=MERGE)).code == 200
    changed = server.cache.of(POD_RESOURCE).get("ns", "p000").manifest
    assert changed["metadata"]["labels"] == {**one["metadata"]["labels"], "x": "y"}
    assert changed["spec"] is one["spec"]
    put = {**json.loads(msgspec.json.encode(changed)), "status": {}}
    put["spec"]["activeDeadlineSeconds"] = 100
    assert (await web("PUT", f"{PATH}/p000", put)).code == 200
    replaced = server.cache.of(POD_RESOURCE).get("ns", "p000").manifest
    assert replaced["spec"]["activeDeadlineSeconds"] == 100
    assert replaced["spec"]["tolerations"] is two["spec"]["tolerations"]


def weigh(part: Any, seen: set[int]) -> int:
    """Bytes of all that has not been seen."""
    if id(part) in seen:
        return 0
    seen.add(id(part))
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return sys.getsizeof(part) + sum(weigh(each, seen) for each in inner)


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_pod_in_a_view_takes_less_memory_than_on_the_wire(
    server: ApiServer, web: Web, is_restarted: bool
) -> None:
    await filled(web, 50)
    if is_restarted:
        for stored in server.cache.of(POD_RESOURCE).select():
            stored.forget()
    view = Informer(server.client("test"), POD_RESOURCE, server.api.world)
    running = asyncio.ensure_future(view.run())
    await asyncio.wait_for(view.wait_synced(), 5)
    running.cancel()
    seen: set[int] = set()
    first, *others = (weigh(one, seen) for one in sorted(view.list(), key=key_of))
    assert first > 5000
    assert max(others) < 3000


async def test_a_pod_beside_one_that_is_no_longer_decoded_is_decoded_when_somebody_asks(
    server: ApiServer, web: Web
) -> None:
    await filled(web, 1)
    objects, decoded = server.cache.of(POD_RESOURCE), server.cache.decoded
    first = objects.get("ns", "p000")
    first.forget()
    before = decoded.decodes
    assert (await web("POST", PATH, pod("p001"))).code == 201
    assert decoded.decodes == before
    second = objects.get("ns", "p001")
    assert second.manifest == json.loads(second.value)
    assert decoded.decodes == before + 1
    assert second.manifest["spec"]["tolerations"] is first.manifest["spec"]["tolerations"]


async def test_a_watch_of_one_object_does_not_look_at_the_others(
    server: ApiServer, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(web, 30)
    looked: list[str] = []
    manifest = Stored.manifest.fget
    monkeypatch.setattr(Stored, "manifest", property(lambda stored: looked.append(stored.key) or manifest(stored)))
    stream = await web.watch(f"{PATH}?watch=1&fieldSelector=metadata.name%3Dp007")
    assert [event["object"]["metadata"]["name"] for event in await stream.events(1)] == ["p007"]
    assert {key.rpartition("/")[2] for key in looked} <= {"p007"}


async def test_a_search_through_many_objects_pauses(server: ApiServer, web: Web) -> None:
    count = 2 * reading.SLICE + 5
    await filled(web, count)
    answer = server.handler(asked(f"{PATH}?labelSelector=app%3Dweb"))
    assert inspect.isawaitable(answer)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    listed = await answer
    beside.cancel()
    assert turns >= count // reading.SLICE
    assert listed.body.count(b'"metadata":{"name":') == count


@pytest.mark.parametrize("query", ["?labelSelector=group%3Dg3", "?limit=7&labelSelector=app%3Dweb", "?limit=64", ""])
async def test_a_list_in_slices_is_the_list(server: ApiServer, web: Web, query: str) -> None:
    """The state is that of the first moment, whatever is written while the list is being made."""
    await filled(web, 3 * reading.SLICE)
    expected = (await web("GET", f"{PATH}{query}")).body
    answer = server.handler(asked(f"{PATH}{query}"))
    if inspect.isawaitable(answer):
        work = asyncio.ensure_future(answer)
        await asyncio.sleep(0)
        await web("DELETE", f"{PATH}/p{3 * reading.SLICE - 1:03}?gracePeriodSeconds=0")
        await web("POST", PATH, pod("zzz", 3))
        answer = await work
    assert answer.body == (await same(server, web, expected))


async def same(server: ApiServer, web: Web, expected: dict[str, Any]) -> bytes:
    """The bytes of a list, whose items are in the order of their members."""
    import json

    return json.dumps(expected, separators=(",", ":")).encode()


async def test_objects_that_own_the_same_share_its_description(server: ApiServer, web: Web) -> None:
    await filled(web, 2)
    decode = server.cache.decoded.decode
    objects = server.cache.of(POD_RESOURCE)
    one, other = (decode(objects.objects[objects.key("ns", name)].value) for name in ("p000", "p001"))
    assert one["metadata"]["managedFields"][0]["fieldsV1"] is other["metadata"]["managedFields"][0]["fieldsV1"]


async def test_what_is_decoded_with_shared_parts_is_what_was_stored(server: ApiServer, web: Web) -> None:
    import msgspec

    await filled(web, 3)
    for cache in server.cache.all():
        for stored in cache.objects.values():
            manifest = server.cache.decoded.decode(stored.value)
            assert manifest == msgspec.json.decode(stored.value)
            assert msgspec.json.encode(manifest) == stored.value
