"""The client of parts in the server's own process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import Conflict, Expired, Invalid, NotFound
from holdfast.api.events.event import EVENTS as NEW_EVENTS
from holdfast.client import PatchType, WatchEvent

MAP = {"metadata": {"name": "a", "namespace": "ns"}, "data": {"x": "1"}}


@pytest.fixture
def client(server: Any) -> Any:
    return server.client("test")


async def events(watch: Any, count: int) -> list[WatchEvent]:
    async with asyncio.timeout(60):
        return [await anext(watch) for _ in range(count)]


async def test_it_reads_its_own_writes(client: Any) -> None:
    made = await client.create(CONFIG_MAPS, MAP)
    assert await client.get(CONFIG_MAPS, "a", "ns") is made
    listed = await client.list(CONFIG_MAPS, "ns")
    assert listed.items == [made]
    assert listed.resource_version == made["metadata"]["resourceVersion"]


async def test_what_is_handed_in_is_not_changed(client: Any) -> None:
    given = {"metadata": {"name": "a", "namespace": "ns", "labels": {}}, "data": {"x": "1"}}
    before = repr(given)
    made = await client.create(CONFIG_MAPS, given)
    await client.update(CONFIG_MAPS, {**made, "data": {"x": "2"}})
    assert repr(given) == before
    assert made["data"] == {"x": "1"}


async def test_a_write_through_it_decodes_nothing(client: Any, server: Any) -> None:
    before = server.cache.decoded.decodes
    await client.create(CONFIG_MAPS, MAP)
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, "ns")
    await client.get(CONFIG_MAPS, "a", "ns")
    assert server.cache.decoded.decodes == before


async def test_conflicts_and_absences_are_named(client: Any) -> None:
    made = await client.create(CONFIG_MAPS, MAP)
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, "ns", type=PatchType.MERGE)
    with pytest.raises(Conflict):
        await client.update(CONFIG_MAPS, {**made, "data": {"x": "3"}})
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAPS, "a", "ns", uid="other")
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, "b", "ns")
    with pytest.raises(Invalid):
        await client.create(CONFIG_MAPS, {"metadata": {"name": "A", "namespace": "ns"}})


async def test_a_watch_goes_on_from_a_list(client: Any) -> None:
    listed = await client.list(CONFIG_MAPS)
    watch = client.watch(CONFIG_MAPS, resource_version=listed.resource_version)
    await client.create(CONFIG_MAPS, MAP)
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, "ns")
    await client.delete(CONFIG_MAPS, "a", "ns")
    assert [event.type for event in await events(watch, 3)] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_watch_without_a_version_begins_with_the_present(client: Any) -> None:
    await client.create(CONFIG_MAPS, MAP)
    watch = client.watch(CONFIG_MAPS, "ns")
    assert [event.type for event in await events(watch, 2)] == ["ADDED", "BOOKMARK"]


async def test_a_watch_follows_its_selectors(client: Any) -> None:
    watch = client.watch(CONFIG_MAPS, "ns", label_selector="x=y")
    await events(watch, 1)
    await client.create(CONFIG_MAPS, MAP)
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"x": "y"}}}, "ns")
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"x": None}}}, "ns")
    added, deleted = await events(watch, 2)
    assert (added.type, deleted.type) == ("ADDED", "DELETED")
    assert deleted.object["metadata"]["labels"] == {"x": "y"}


async def test_a_version_that_is_forgotten_is_expired(client: Any, server: Any) -> None:
    server.cache.of(CONFIG_MAPS).oldest = server.cache.revision + 1
    with pytest.raises(Expired):
        await anext(client.watch(CONFIG_MAPS, resource_version="1"))


async def test_scale_binding_and_status_are_reached_by_name(client: Any) -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await client.create(PODS, pod)
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    await client.create(PODS, binding, "ns", name="p", subresource="binding")
    bound = await client.get(PODS, "p", "ns")
    assert bound["spec"]["nodeName"] == "n1"
    running = await client.update(PODS, {**bound, "status": {"phase": "Running"}}, subresource="status")
    assert running["status"]["phase"] == "Running"


async def test_events_of_both_groups_are_the_same_objects(client: Any, web: Any) -> None:
    """A261."""
    about = {"kind": "Pod", "namespace": "ns", "name": "p"}
    event = {
        "metadata": {"name": "e", "namespace": "ns"},
        "involvedObject": about,
        "reason": "Tested",
        "message": "hello",
        "type": "Normal",
    }
    made = await client.create(EVENTS, event)
    other = await client.get(NEW_EVENTS, "e", "ns")
    assert (other["apiVersion"], other["regarding"]["name"], other["note"]) == ("events.k8s.io/v1", "p", "hello")
    assert other["metadata"] == made["metadata"]
    listed = await web("GET", "/apis/events.k8s.io/v1/namespaces/ns/events")
    assert (listed["apiVersion"], listed["items"][0]["note"]) == ("events.k8s.io/v1", "hello")
    await client.patch(EVENTS, "e", {"message": "bye"}, "ns")
    assert (await client.get(NEW_EVENTS, "e", "ns"))["note"] == "bye"
    await client.delete(NEW_EVENTS, "e", "ns")
    with pytest.raises(NotFound):
        await client.get(EVENTS, "e", "ns")
