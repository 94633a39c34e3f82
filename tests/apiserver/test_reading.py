"""Get and list (A93-A105)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.apiserver import views

MAPS = "/api/v1/namespaces/ns/configmaps"


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"a": "b"}}


async def test_an_object_is_read_back_as_it_was_answered(web: Any) -> None:
    made = await web("POST", MAPS, config_map("a"))
    assert made.code == 201
    assert (await web("GET", f"{MAPS}/a")).body == made.body


async def test_single_objects_carry_kind_and_version_and_list_items_do_not(web: Any) -> None:
    await web("POST", MAPS, config_map("a"))
    listed = await web("GET", MAPS)
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert [set(item) for item in listed["items"]] == [{"metadata", "data"}]


async def test_an_empty_list_has_items_and_a_version(web: Any) -> None:
    listed = await web("GET", "/apis/apps/v1/namespaces/nowhere/statefulsets")
    assert listed.code == 200
    assert listed["items"] == []
    assert int(listed["metadata"]["resourceVersion"]) > 0


async def test_reads_of_stored_bytes_decode_and_encode_nothing(web: Any, server: Any) -> None:
    for number in range(20):
        await web("POST", MAPS, config_map(f"m{number}"))
    decoded = server.cache.decoded
    before = decoded.decodes, decoded.encodes
    await web("GET", f"{MAPS}/m1")
    await web("GET", MAPS)
    await web("GET", "/api/v1/configmaps")
    assert (decoded.decodes, decoded.encodes) == before


async def test_a_write_encodes_once(web: Any, server: Any) -> None:
    before = server.cache.decoded.encodes
    await web("POST", MAPS, config_map("a"))
    assert server.cache.decoded.encodes == before + 1
    await web("PUT", f"{MAPS}/a", config_map("a", x="y"))
    assert server.cache.decoded.encodes == before + 2


async def test_lists_are_in_byte_order_of_namespace_and_name(web: Any) -> None:
    for namespace in ("b", "b-b", "b0"):
        await web("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        await web("POST", f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": "s"}})
    listed = await web("GET", "/api/v1/secrets")
    assert [item["metadata"]["namespace"] for item in listed["items"]] == ["b-b", "b", "b0"]


async def test_pages_show_the_moment_of_the_first_one(web: Any) -> None:
    for number in range(5):
        await web("POST", MAPS, config_map(f"m{number}"))
    first = await web("GET", f"{MAPS}?limit=2")
    assert first["metadata"]["remainingItemCount"] == 3
    await web("POST", MAPS, config_map("m9"))
    await web("DELETE", f"{MAPS}/m3")
    second = await web("GET", f"{MAPS}?limit=2&continue={first['metadata']['continue']}")
    third = await web("GET", f"{MAPS}?limit=2&continue={second['metadata']['continue']}")
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == ["m0", "m1", "m2", "m3", "m4"]
    assert "continue" not in third["metadata"]
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1


async def test_a_page_with_a_selector_counts_no_rest(web: Any) -> None:
    for number in range(4):
        await web("POST", MAPS, config_map(f"m{number}", even=str(number % 2 == 0)))
    page = await web("GET", f"{MAPS}?limit=1&labelSelector=even%3DTrue")
    assert "remainingItemCount" not in page["metadata"]
    rest = await web("GET", f"{MAPS}?limit=9&labelSelector=even%3DTrue&continue={page['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["m2"]


async def test_a_token_that_is_too_old_is_answered_with_one_for_the_rest(web: Any, store: Any) -> None:
    for number in range(4):
        await web("POST", MAPS, config_map(f"m{number}"))
    page = await web("GET", f"{MAPS}?limit=2")
    await web("POST", MAPS, config_map("m9"))
    await store.compact(store.revision)
    gone = await web("GET", f"{MAPS}?limit=2&continue={page['metadata']['continue']}")
    assert (gone.code, gone["reason"]) == (410, "Expired")
    rest = await web("GET", f"{MAPS}?continue={gone['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["m2", "m3", "m9"]


async def test_exactly_a_version_shows_the_past(web: Any) -> None:
    made = await web("POST", MAPS, config_map("a"))
    version = made["metadata"]["resourceVersion"]
    await web("DELETE", f"{MAPS}/a")
    past = await web("GET", f"{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")
    assert [item["metadata"]["name"] for item in past["items"]] == ["a"]
    assert past["metadata"]["resourceVersion"] == version


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limit=few", 400, 'strconv.ParseInt: parsing "few": invalid syntax'),
        (
            "resourceVersion=abc",
            400,
            'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": '
            "invalid syntax",
        ),
        ("labelSelector=a%20b", 400, "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        (
            "fieldSelector=data.a%3Db",
            400,
            '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ("continue=x&resourceVersion=5", 400, "specifying resource version is not allowed when using continue"),
        (
            "resourceVersionMatch=Exact",
            422,
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden '
            "unless resourceVersion is provided",
        ),
        (
            "sendInitialEvents=true",
            422,
            'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for '
            "list",
        ),
    ],
)
async def test_what_a_list_cannot_be_asked(web: Any, query: str, code: int, message: str) -> None:
    answer = await web("GET", f"{MAPS}?{query}")
    assert (answer.code, answer["message"]) == (code, message)


async def test_unknown_parameters_are_ignored(web: Any) -> None:
    assert (await web("GET", f"{MAPS}?name=x&_preload_content=true")).code == 200


async def test_a_name_selected_by_field_finds_one_object(web: Any) -> None:
    for name in ("a", "b"):
        await web("POST", MAPS, config_map(name))
    for path in (MAPS, "/api/v1/configmaps"):
        found = await web("GET", f"{path}?fieldSelector=metadata.name%3Db")
        assert [item["metadata"]["name"] for item in found["items"]] == ["b"]


async def test_labels_select_also_what_lacks_them(web: Any) -> None:
    await web("POST", MAPS, config_map("with", tier="db"))
    await web("POST", MAPS, config_map("without"))
    found = await web("GET", f"{MAPS}?labelSelector=tier!%3Ddb")
    assert [item["metadata"]["name"] for item in found["items"]] == ["without"]


async def test_a_long_list_lets_others_go_first(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A316."""
    for view in (views.PlainView, views.TableView, views.MetadataView):
        monkeypatch.setattr(view, "at_once", 10)
    for number in range(60):
        await web("POST", MAPS, config_map(f"m{number:02}"))
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    metadata = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    for headers, rows in (({}, "items"), (table, "rows"), (metadata, "items")):
        short = asyncio.create_task(web("GET", f"{MAPS}/m01"))
        listed = await web("GET", MAPS, headers=headers)
        assert len(listed[rows]) == 60
        assert short.done()


@pytest.mark.parametrize("path", ["", "?limit=1", "/a", "/absent"])
async def test_a_deprecated_kind_is_warned_of_whatever_is_asked(web: Any, path: str) -> None:
    """(A12)"""
    endpoints = "/api/v1/namespaces/ns/endpoints"
    await web("POST", endpoints, {"metadata": {"name": "a"}})
    read = await web("GET", f"{endpoints}{path}")
    warning = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    assert read.headers["Warning"] == [f'299 - "{warning}"']
