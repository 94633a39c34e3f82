"""Watches (A106-A119)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.api.core.secret import SECRETS
from holdfast.apiserver import cache as cache_module
from holdfast.apiserver import watching

SECRETS_PATH = "/api/v1/namespaces/ns/secrets"


async def make(web: Any, name: str, **labels: str) -> str:
    made = await web("POST", SECRETS_PATH, {"metadata": {"name": name, "labels": labels}})
    assert made.code == 201, made.body
    version: str = made["metadata"]["resourceVersion"]
    return version


async def label(web: Any, name: str, **labels: str | None) -> str:
    patch = {"metadata": {"labels": labels}}
    headers = {"content-type": "application/merge-patch+json"}
    answer = await web("PATCH", f"{SECRETS_PATH}/{name}", patch, headers=headers)
    assert answer.code == 200, answer.body
    version: str = answer["metadata"]["resourceVersion"]
    return version


def shown(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def test_without_a_version_the_present_comes_first_then_changes(web: Any) -> None:
    await make(web, "a")
    stream = await web.watch(f"{SECRETS_PATH}?watch=1")
    await make(web, "b")
    await web("DELETE", f"{SECRETS_PATH}/a")
    assert shown(await stream.events(3)) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_from_a_version_every_later_change_comes_once_and_in_order(web: Any) -> None:
    version = await make(web, "a")
    later = [await make(web, "b"), await label(web, "a", x="y"), await label(web, "a", x="z")]
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={version}")
    later.append(await make(web, "c"))
    events = await stream.events(4)
    assert [event["object"]["metadata"]["resourceVersion"] for event in events] == later
    await stream.silence()


async def test_events_carry_kind_and_version(web: Any) -> None:
    stream = await web.watch(f"{SECRETS_PATH}?watch=1")
    await make(web, "a")
    (event,) = await stream.events(1)
    assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("Secret", "v1")


async def test_a_selector_turns_transitions_into_types(web: Any) -> None:
    """A344: the last state that matched, at the revision of the change."""
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&labelSelector=i%3D1")
    await make(web, "l1")
    await label(web, "l1", i="1")
    await label(web, "l1", i="1", j="2")
    version = await label(web, "l1", i="2")
    events = await stream.events(3)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    last = events[-1]["object"]["metadata"]
    assert (last["labels"]["i"], last["resourceVersion"]) == ("1", version)


async def test_a_deletion_shows_the_last_state_at_its_own_revision(web: Any, server: Any) -> None:
    stream = await web.watch(f"{SECRETS_PATH}?watch=1")
    await make(web, "a", x="y")
    await web("DELETE", f"{SECRETS_PATH}/a")
    _, deleted = await stream.events(2)
    assert deleted["object"]["metadata"]["labels"] == {"x": "y"}
    assert deleted["object"]["metadata"]["resourceVersion"] == str(server.cache.revision)


async def test_initial_events_end_with_a_bookmark(web: Any, server: Any) -> None:
    """A113."""
    await make(web, "a")
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    stream = await web.watch(f"{SECRETS_PATH}?{query}")
    added, bookmark = await stream.events(2)
    assert added["type"] == "ADDED"
    assert bookmark == {
        "type": "BOOKMARK",
        "object": {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {
                "resourceVersion": str(server.cache.revision),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        },
    }


async def test_no_initial_events_means_changes_only(web: Any) -> None:
    await make(web, "a")
    query = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0"
    stream = await web.watch(f"{SECRETS_PATH}?{query}")
    await stream.silence()
    await make(web, "b")
    assert shown(await stream.events(1)) == [("ADDED", "b")]


async def test_one_object_is_watched_by_name_also_on_a_legacy_path(web: Any) -> None:
    await make(web, "a")
    streams = [
        await web.watch(f"{SECRETS_PATH}?watch=1&fieldSelector=metadata.name%3Da"),
        await web.watch("/api/v1/watch/namespaces/ns/secrets/a"),
    ]
    await make(web, "b")
    await label(web, "a", x="y")
    for stream in streams:
        assert shown(await stream.events(2)) == [("ADDED", "a"), ("MODIFIED", "a")]


async def test_a_timeout_ends_the_stream_without_an_event(web: Any) -> None:
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&timeoutSeconds=1&resourceVersion=0&labelSelector=no%3Dbody")
    async with asyncio.timeout(60):
        while not stream.has_ended:  # noqa: ASYNC110 -- whoever reads it is told, nobody does
            await asyncio.sleep(0.05)
    assert stream.content == b""


async def test_bookmarks_come_to_those_who_ask(web: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BOOKMARK_S", 0.02)
    asking = await web.watch(f"{SECRETS_PATH}?watch=1&allowWatchBookmarks=true&resourceVersion={server.cache.revision}")
    silent = await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={server.cache.revision}")
    (bookmark,) = await asking.events(1)
    assert bookmark["object"] == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": str(server.cache.revision)},
    }
    await silent.silence()


async def test_a_version_before_the_history_is_expired(web: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_EVENTS", 2)
    version = await make(web, "a")
    for number in range(9):
        await label(web, "a", n=str(number))
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={version}")
    (event,) = await stream.events(1)
    oldest = server.cache.of(SECRETS).oldest
    assert (event["type"], event["object"]["reason"], event["object"]["code"]) == ("ERROR", "Expired", 410)
    assert event["object"]["message"] == f"too old resource version: {version} ({oldest})"
    assert stream.has_ended


async def test_a_watcher_of_a_quiet_kind_is_never_too_old(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_EVENTS", 2)
    version = await make(web, "a")
    for number in range(9):
        await web("POST", "/api/v1/namespaces/ns/configmaps", {"metadata": {"name": f"m{number}"}})
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={version}")
    await stream.silence()
    assert not stream.has_ended


async def test_a_slow_client_misses_nothing_once_it_reads_again(web: Any) -> None:
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={await make(web, 'a')}")
    stream.body.pause()
    for name in ("b", "c"):
        await make(web, name)
    await stream.silence()
    stream.body.resume()
    assert shown(await stream.events(2)) == [("ADDED", "b"), ("ADDED", "c")]
    await make(web, "d")
    assert shown(await stream.events(1)) == [("ADDED", "d")]
    await stream.silence()


async def test_a_client_too_slow_for_the_history_is_cut_off(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_EVENTS", 2)
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={await make(web, 'a')}")
    stream.body.pause()
    for number in range(9):
        await label(web, "a", n=str(number))
    stream.body.resume()
    (event,) = await stream.events(1)
    assert event["object"]["code"] == 410
    assert stream.has_ended


async def test_watchers_of_the_same_share_frames_and_each_sees_all(web: Any, server: Any) -> None:
    version = await make(web, "a")
    streams = [await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={version}") for _ in range(200)]
    before = server.cache.decoded.encodes
    for number in range(3):
        await label(web, "a", n=str(number))
    for stream in streams:
        numbers = [event["object"]["metadata"]["labels"]["n"] for event in await stream.events(3)]
        assert numbers == ["0", "1", "2"]
    assert server.cache.decoded.encodes == before + 3


async def test_a_client_that_leaves_is_forgotten(web: Any, server: Any) -> None:
    streams = [await web.watch(f"{SECRETS_PATH}?watch=1") for _ in range(3)]
    hub = server.hub(SECRETS)
    assert hub.watchers == 3
    for stream in streams:
        stream.body.lost()
    assert hub.watchers == 0


async def test_as_a_table_columns_come_once(web: Any) -> None:
    """A118."""
    headers = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    await make(web, "a")
    stream = await web.watch(f"{SECRETS_PATH}?watch=1", headers=headers)
    await make(web, "b")
    first, second = await stream.events(2)
    assert first["object"]["kind"] == second["object"]["kind"] == "Table"
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_the_past_of_an_earlier_server_on_the_same_store_can_be_watched(
    web: Any, server: Any, store: Any
) -> None:
    version = await make(web, "a")
    await make(web, "b")
    await server.close()
    await server.open()
    stream = await web.watch(f"{SECRETS_PATH}?watch=1&resourceVersion={version}")
    await make(web, "c")
    assert shown(await stream.events(2)) == [("ADDED", "b"), ("ADDED", "c")]


async def test_closing_the_server_ends_every_watch(web: Any, server: Any) -> None:
    stream = await web.watch(f"{SECRETS_PATH}?watch=1")
    await server.close()
    assert stream.has_ended
    await server.open()
