"""Conversion webhooks of custom kinds (A209)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.apiserver import conversion_webhooks

V1 = "/apis/example.com/v1/namespaces/ns/gears"
V2 = "/apis/example.com/v2/namespaces/ns/gears"
MERGE = {"content-type": "application/merge-patch+json"}
RENAMED = {"example.com/v1": ("width", "size"), "example.com/v2": ("size", "width")}


def converted(request: dict[str, Any], **metadata: Any) -> list[dict[str, Any]]:
    """Version 2 calls the size width."""
    before, after = RENAMED[request["desiredAPIVersion"]]
    objects = []
    for each in request["objects"]:
        spec = {after if name == before else name: value for name, value in each.get("spec", {}).items()}
        changed = {**each["metadata"], **metadata}
        objects.append({**each, "apiVersion": request["desiredAPIVersion"], "metadata": changed, "spec": spec})
    return objects


def answered(request: dict[str, Any], objects: list[dict[str, Any]], **response: Any) -> dict[str, Any]:
    given = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects, **response}
    review = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": given}
    return {"raw": json.dumps(review).encode()}


def convert(request: dict[str, Any]) -> dict[str, Any]:
    return answered(request, converted(request))


def conversion(hooks: Any) -> dict[str, Any]:
    config = {"url": f"https://127.0.0.1:{hooks.port}/convert", "caBundle": hooks.ca}
    webhook = {"clientConfig": config, "conversionReviewVersions": ["v7", "v1"]}
    return {"strategy": "Webhook", "webhook": webhook}


@pytest.fixture
async def gears(establish: Any, hooks: Any) -> Any:
    """The webhooks, once Gears of two versions are defined."""
    hooks.reviews["/convert"] = convert
    first = {"size": {"type": "integer", "default": 1}}
    second = {"width": {"type": "integer"}, "color": {"type": "string", "default": "grey"}}
    await establish(first, second, conversion=conversion(hooks))
    return hooks


def gear(version: str = "v1", name: str = "g", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"example.com/{version}", "kind": "Gear", "metadata": {"name": name}, "spec": spec}


async def test_a209_an_object_is_shown_in_each_version_as_the_webhook_makes_it(web: Any, gears: Any) -> None:
    made = await web("POST", V1, gear(size=3))
    assert made["spec"] == {"size": 3}
    got = await web("GET", f"{V2}/g")
    assert (got["apiVersion"], got["spec"]) == ("example.com/v2", {"width": 3, "color": "grey"})
    listed = await web("GET", V2)
    assert [each["spec"]["width"] for each in listed["items"]] == [3]
    review = gears.seen[-1][1]
    assert (review["apiVersion"], review["kind"]) == ("apiextensions.k8s.io/v1", "ConversionReview")
    assert review["request"]["desiredAPIVersion"] == "example.com/v2"
    assert review["request"]["objects"][0]["spec"] == {"size": 3}
    assert gears.queries[-1] == "timeout=30s"


async def test_an_object_is_stored_in_the_storage_version(web: Any, gears: Any) -> None:
    made = await web("POST", V2, gear("v2", width=4, color="red"))
    assert (made.code, made["spec"]) == (201, {"width": 4, "color": "grey"})  # v1 knows no colour
    stored = await web("GET", f"{V1}/g")
    assert (stored["apiVersion"], stored["spec"]) == ("example.com/v1", {"size": 4})
    assert stored["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_what_is_only_read_as_it_is_stored_is_not_converted(web: Any, gears: Any) -> None:
    await web("POST", V1, gear(size=3))
    asked = len(gears.seen)
    await web("GET", f"{V1}/g")
    await web("GET", V1)
    assert len(gears.seen) == asked


async def test_updates_patches_and_deletions_in_another_version(web: Any, gears: Any) -> None:
    made = await web("POST", V2, gear("v2", width=4))
    updated = await web("PUT", f"{V2}/g", {**made.body, "spec": {"width": 5}})
    assert (updated.code, updated["spec"]["width"], updated["metadata"]["generation"]) == (200, 5, 2)
    patched = await web("PATCH", f"{V2}/g", {"spec": {"width": 6}}, headers=MERGE)
    assert (patched.code, patched["spec"]["width"]) == (200, 6)
    same = await web("PATCH", f"{V2}/g", {"spec": {"width": 6}}, headers=MERGE)
    assert same["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]
    dry = await web("PATCH", f"{V2}/g?dryRun=All", {"spec": {"width": 7}}, headers=MERGE)
    assert (dry.code, dry["spec"]["width"]) == (200, 7)
    apply = {"content-type": "application/apply-patch+yaml"}
    applied = await web("PATCH", f"{V2}/g?fieldManager=x&force=1", gear("v2", width=8), headers=apply)
    assert (applied.code, applied["spec"]["width"]) == (200, 8), applied.body
    assert (await web("GET", f"{V1}/g"))["spec"] == {"size": 8}
    assert (await web("DELETE", f"{V2}/g")).code == 200
    assert (await web("GET", f"{V1}/g")).code == 404


async def test_a_dry_run_is_shown_and_leaves_no_trace(web: Any, server: Any, gears: Any) -> None:
    await web("POST", V2, gear("v2", width=4))
    dry = await web("PATCH", f"{V2}/g?dryRun=All", {"spec": {"width": 7}}, headers=MERGE)
    assert (dry["apiVersion"], dry["spec"]["width"]) == ("example.com/v2", 7)
    (resource,) = [each for each in server.kinds.custom() if each.version == "v2"]
    stored = server.cache.of(resource).get("ns", "g")
    assert resource.custom.read(stored.manifest)["spec"]["width"] == 4
    dry = await web("POST", f"{V2}?dryRun=All", gear("v2", name="h", width=5))
    assert (dry.code, dry["spec"]["width"]) == (201, 5)


async def test_a_name_that_is_taken_is_told_without_the_webhook(web: Any, server: Any, gears: Any) -> None:
    await web("POST", V1, gear(size=3))
    server.conversions._known.clear()
    assert (await web("POST", V2, gear("v2", width=1))).code == 409


async def test_a_watch_sees_every_change_in_its_own_version(web: Any, gears: Any) -> None:
    await web("POST", V1, gear(size=1))
    first, second = await web.watch(f"{V1}?watch=1"), await web.watch(f"{V2}?watch=1")
    for stream, member in ((first, "size"), (second, "width")):
        (event,) = await stream.events(1, within_s=60)
        assert (event["type"], event["object"]["spec"][member]) == ("ADDED", 1)
    await web("PATCH", f"{V1}/g", {"spec": {"size": 2}}, headers=MERGE)
    await web("PATCH", f"{V2}/g", {"spec": {"width": 3}}, headers=MERGE)
    await web("DELETE", f"{V1}/g")
    for stream, member in ((first, "size"), (second, "width")):
        events = await stream.events(3, within_s=60)
        assert [(event["type"], event["object"]["spec"][member]) for event in events] == [
            ("MODIFIED", 2),
            ("MODIFIED", 3),
            ("DELETED", 3),
        ]


async def test_labels_and_annotations_are_all_that_may_change_of_metadata(web: Any, gears: Any) -> None:
    gears.reviews["/convert"] = lambda request: answered(
        request, converted(request, labels={"a": "b"}, finalizers=["example.com/f"], generation=7)
    )
    await web("POST", V1, gear(size=3))
    metadata = (await web("GET", f"{V2}/g"))["metadata"]
    assert (metadata["labels"], metadata["generation"]) == ({"a": "b"}, 1)
    assert "finalizers" not in metadata


FAILED = "conversion webhook for example.com/v1, Kind=Gear failed: "


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda r: {"raw": b"no", "code": 404}, "the server could not find the requested resource"),
        (lambda r: {"raw": b"{}"}, "no response provided"),
        (lambda r: answered(r, [], uid="x"), 'expected response.uid="UID", got "x"'),
        (lambda r: answered(r, [], result={"status": "Failure", "message": "too odd"}), "too odd"),
        (lambda r: answered(r, []), "returned 0 objects, expected 1"),
        (
            lambda r: answered(r, r["objects"]),
            "returned invalid converted object at index 0: invalid groupVersion "
            "(expected example.com/v2, received example.com/v1)",
        ),
        (
            lambda r: answered(r, converted(r, name="other")),
            "returned invalid converted object at index 0: metadata.name changed",
        ),
    ],
)
async def test_what_cannot_be_converted_is_told_and_still_there_as_it_is_stored(
    web: Any, gears: Any, answer: Any, said: str
) -> None:
    gears.reviews["/convert"] = answer
    assert (await web("POST", V1, gear(size=3))).code == 201
    for path in (f"{V2}/g", V2, f"{V2}?watch=1"):
        refused = await web("GET", path)
        uid = gears.seen[-1][1]["request"]["uid"]
        assert (refused.code, refused["message"]) == (500, FAILED + said.replace("UID", uid)), path
    assert (await web("GET", f"{V1}/g"))["spec"] == {"size": 3}
    assert (await web("PATCH", f"{V2}/g", {"spec": {"width": 1}}, headers=MERGE)).code == 500
    assert (await web("PATCH", f"{V1}/g", {"spec": {"size": 4}}, headers=MERGE)).code == 200
    assert (await web("DELETE", f"{V1}/g")).code == 200


async def test_a_watch_of_a_version_that_fails_is_told_so(web: Any, gears: Any) -> None:
    stream = await web.watch(f"{V2}?watch=1")
    gears.reviews["/convert"] = lambda request: {"raw": b"", "code": 503}
    await web("POST", V1, gear(size=3))
    (event,) = await stream.events(1, within_s=60)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 500)
    assert event["object"]["message"].startswith(FAILED)


@pytest.fixture
def hanging(gears: Any) -> asyncio.Event:
    """The webhook answers when this is set, and not before."""
    released = asyncio.Event()

    async def hang(request: dict[str, Any]) -> dict[str, Any]:
        await released.wait()
        return convert(request)

    gears.reviews["/convert"] = hang
    return released


async def test_a_webhook_that_hangs_holds_up_nobody_who_needs_nothing_of_it(
    web: Any, gears: Any, hanging: asyncio.Event
) -> None:
    most = conversion_webhooks.MOST_LATE
    async with asyncio.timeout(20):
        assert (await web("POST", V1, gear(size=1))).code == 201
        for size in range(2, 30):
            assert (await web("PATCH", f"{V1}/g", {"spec": {"size": size}}, headers=MERGE)).code == 200
        assert (await web("GET", f"{V1}/g"))["spec"] == {"size": 29}
        assert (await web("POST", V1, gear(name="h", size=3))).code == 201
        assert (await web("DELETE", f"{V1}/h")).code == 200
    await until(lambda: len(gears.requests("/convert")) == most)  # it is not asked without end
    other = asyncio.ensure_future(web("GET", f"{V2}/g"))
    written = asyncio.ensure_future(web("POST", V2, gear("v2", name="w", width=4)))
    await until(lambda: len(gears.requests("/convert")) == most + 2)
    assert not other.done()
    assert not written.done()
    hanging.set()
    assert (await other)["spec"] == {"width": 29, "color": "grey"}
    assert (await written)["spec"] == {"width": 4, "color": "grey"}


async def test_what_comes_late_is_there_for_those_who_wait_for_it(
    web: Any, server: Any, gears: Any, hanging: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion_webhooks, "GRACE_S", 0.01)
    made = await web("POST", V1, gear(size=3))
    (resource,) = [each for each in server.kinds.custom() if each.version == "v2"]
    stored = server.cache.of(resource).get("ns", "g").manifest
    assert stored["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert not server.conversions.is_known(resource, stored)
    hanging.set()
    await until(lambda: server.conversions.is_known(resource, stored))
    assert resource.custom.read(stored)["spec"]["width"] == 3


async def test_what_changes_while_it_is_converted_for_a_reader_is_converted_as_well(
    web: Any, gears: Any, hanging: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion_webhooks, "GRACE_S", 0.01)
    await web("POST", V1, gear(size=1))
    monkeypatch.setattr(conversion_webhooks, "MOST_LATE", 0)  # nothing is found out but for who reads
    await until(lambda: len(gears.seen) == 1)
    reading = [asyncio.ensure_future(web("GET", path)) for path in (f"{V2}/g", V2)]
    await until(lambda: len(gears.seen) == 3)
    await web("PATCH", f"{V1}/g", {"spec": {"size": 2}}, headers=MERGE)
    hanging.set()
    one, listed = await asyncio.gather(*reading)
    assert one["spec"]["width"] == 2
    assert [each["spec"]["width"] for each in listed["items"]] == [2]


async def test_who_watches_another_version_waits_for_what_comes_late(
    web: Any, server: Any, gears: Any, hanging: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion_webhooks, "GRACE_S", 0.01)
    (resource,) = [each for each in server.kinds.custom() if each.version == "v2"]
    inside = server.client("test").watch(resource)
    assert (await anext(inside)).type == "BOOKMARK"
    first, second = await web.watch(f"{V1}?watch=1"), await web.watch(f"{V2}?watch=1")
    await web("POST", V1, gear(size=1))
    (event,) = await first.events(1, within_s=10)
    assert event["type"] == "ADDED"
    late = await web.watch(f"{V1}?watch=1&resourceVersion={event['object']['metadata']['resourceVersion']}")
    hanging.set()
    await web("PATCH", f"{V1}/g", {"spec": {"size": 2}}, headers=MERGE)
    events = await second.events(2, within_s=10)
    assert [(each["type"], each["object"]["spec"]["width"]) for each in events] == [
        ("ADDED", 1),
        ("MODIFIED", 2),
    ]
    assert [(await anext(inside)).object["spec"]["width"] for _ in range(2)] == [1, 2]
    assert (await late.events(1, within_s=10))[0]["object"]["spec"] == {"size": 2}
    await inside.aclose()


async def test_a_webhook_that_never_answers_is_told_to_who_watches(
    web: Any, gears: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def fail(request: dict[str, Any]) -> dict[str, Any]:
        await released.wait()
        return {"raw": b"", "code": 503}

    monkeypatch.setattr(conversion_webhooks, "GRACE_S", 0.01)
    stream = await web.watch(f"{V2}?watch=1")
    gears.reviews["/convert"] = fail
    await web("POST", V1, gear(size=1))
    released.set()
    (event,) = await stream.events(1, within_s=10)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 500)


async def until(holds: Callable[[], bool]) -> None:
    """Within ten seconds."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come true")


async def test_objects_from_before_a_restart_are_converted_as_well(web: Any, server: Any, gears: Any) -> None:
    """As after one: nothing is remembered."""
    for name in ("g", "h"):
        await web("POST", V1, gear(name=name, size=3))
    server.conversions._known.clear()
    stream = await web.watch(f"{V2}?watch=1")
    assert [event["object"]["spec"]["width"] for event in await stream.events(2, within_s=60)] == [3, 3]
    server.conversions._known.clear()
    assert (await web("PATCH", f"{V2}/g", {"spec": {"width": 6}}, headers=MERGE))["spec"]["width"] == 6
    server.conversions._known.clear()
    assert len((await web("GET", V2))["items"]) == 2
    assert (await web("DELETE", V2)).code == 200


async def test_parts_of_the_server_see_converted_objects_too(web: Any, server: Any, gears: Any) -> None:
    (resource,) = [each for each in server.kinds.custom() if each.version == "v2"]
    client = server.client("test")
    await client.create(resource, {**gear("v2", width=4), "metadata": {"name": "g", "namespace": "ns"}})
    server.conversions._known.clear()
    assert (await client.get(resource, "g", "ns"))["spec"]["width"] == 4
    server.conversions._known.clear()
    assert [each["spec"]["width"] for each in (await client.list(resource)).items] == [4]
    server.conversions._known.clear()
    async for event in client.watch(resource):
        assert event.object["spec"]["width"] == 4
        break


async def test_a_webhook_for_one_version_is_shown_it_and_changes_it(
    web: Any, cluster: Any, on: Any, patch: Any, gears: Any
) -> None:
    change = patch({"op": "replace", "path": "/spec/size", "value": 9})
    rules = [{**on("gears"), "apiVersions": ["v1"]}]
    await cluster.mutating(lambda request: change, rules=rules)
    made = await web("POST", V2, gear("v2", width=4))
    assert (made.code, made["spec"]["width"]) == (201, 9), made.body
    (request,) = cluster.hooks.requests("/mutate.example.com")
    assert (request["object"]["apiVersion"], request["object"]["spec"]) == (
        "example.com/v1",
        {"size": 4, "color": "grey"},
    )
