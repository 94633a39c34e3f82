"""Definitions come, are established, change and go; what they define is served meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from tests.apiserver.conftest import CONFIG, Web

from holdfast.apiserver.server import ApiServer

from .conftest import DEFINITIONS, GEARS, Define, definition, gear, gone, until, version

ONE = f"{DEFINITIONS}/gears.example.com"


async def test_a199_nothing_is_served_before_names_are_accepted(web: Any) -> None:
    assert (await web("POST", DEFINITIONS, definition())).code == 201
    for path in ("/apis/example.com", "/apis/example.com/v1", GEARS):
        answer = await web("GET", path)
        assert (answer.code, answer.body) == (404, "404 page not found\n")


async def test_a199_whoever_sees_it_established_finds_it_served(web: Any, define: Define) -> None:
    await define(definition())
    assert (await web("GET", "/apis/example.com/v1")).code == 200
    assert (await web("GET", GEARS))["items"] == []
    groups = (await web("GET", "/apis"))["groups"]
    assert groups[-1]["name"] == "example.com"  # A19: after all others
    resources = {one["name"]: one for one in (await web("GET", "/apis/example.com/v1"))["resources"]}
    assert set(resources) == {"gears", "gears/status", "gears/scale"}
    assert (resources["gears"]["shortNames"], resources["gears"]["categories"]) == (["gr"], ["all"])
    accept = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    aggregated = (await web("GET", "/apis", headers=accept))["items"]
    assert aggregated[-1]["metadata"]["name"] == "example.com"


async def test_a19_versions_are_told_in_order_of_preference(web: Any, define: Define) -> None:
    names = ("v1alpha1", "other", "v2beta1", "v1", "v10", "v2")
    await define(definition(*(version(name, storage=name == "v1") for name in names)))
    group = await web("GET", "/apis/example.com")
    assert [one["version"] for one in group["versions"]] == ["v10", "v2", "v1", "v2beta1", "v1alpha1", "other"]


async def test_a209_every_version_shows_every_object_under_its_own_name(web: Any, define: Define) -> None:
    await define(definition(version("v1", storage=False), version("v2")))
    assert (await web("POST", GEARS, gear())).code == 201
    newer = GEARS.replace("v1", "v2")
    assert (await web("GET", f"{newer}/one"))["apiVersion"] == "example.com/v2"
    assert (await web("GET", GEARS))["items"][0]["apiVersion"] == "example.com/v1"
    change = {"content-type": "application/merge-patch+json"}
    patched = await web("PATCH", f"{GEARS}/one", {"spec": {"mode": "wild"}}, headers=change)
    assert (patched["apiVersion"], patched["metadata"]["generation"]) == ("example.com/v1", 2)
    assert (await web("GET", newer))["items"][0]["spec"]["mode"] == "wild"
    again = await web("PATCH", f"{GEARS}/one", {"spec": {"mode": "wild"}}, headers=change)
    assert again["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]


async def test_a_watch_shows_the_version_that_was_asked_for(web: Any, define: Define) -> None:
    await define(definition(version("v1", storage=False), version("v2")))
    stream = await web.watch(f"{GEARS}?watch=1&resourceVersion=0")
    await web("POST", GEARS.replace("v1", "v2"), gear(api_version="example.com/v2"))
    (event,) = await stream.events(1)
    assert (event["type"], event["object"]["apiVersion"]) == ("ADDED", "example.com/v1")


async def test_what_is_not_served_is_not_found_but_stays(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", GEARS, gear())
    change = [{"op": "replace", "path": "/spec/versions/0/served", "value": False}]
    await web("PATCH", ONE, change, headers={"content-type": "application/json-patch+json"})
    assert (await web("GET", GEARS)).code == 404
    change[0]["value"] = True
    await web("PATCH", ONE, change, headers={"content-type": "application/json-patch+json"})
    assert [one["metadata"]["name"] for one in (await web("GET", GEARS))["items"]] == ["one"]


async def test_a197_the_versions_in_which_objects_were_stored_are_remembered(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", GEARS, gear())
    newer = definition(version("v1", storage=False), version("v2"))
    changed = await web("PATCH", ONE, {"spec": newer["spec"]}, headers={"content-type": "application/merge-patch+json"})
    assert changed["status"]["storedVersions"] == ["v1", "v2"]
    assert (await web("GET", f"{GEARS.replace('v1', 'v2')}/one"))["apiVersion"] == "example.com/v2"
    gone_too_early = {"spec": definition(version("v2"))["spec"]}
    refused = await web("PATCH", ONE, gone_too_early, headers={"content-type": "application/merge-patch+json"})
    assert refused.code == 422
    assert refused["details"]["causes"][0]["field"] == "status.storedVersions[0]"


async def test_a202_a_new_schema_shows_in_old_objects(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", GEARS, gear(free={"a": 1}))
    newer = definition()
    properties = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["colour"] = {"type": "string", "default": "blue"}
    stream = await web.watch(f"{GEARS}?watch=1")
    await web("PATCH", ONE, {"spec": newer["spec"]}, headers={"content-type": "application/merge-patch+json"})
    assert (await web("GET", f"{GEARS}/one"))["spec"]["colour"] == "blue"
    assert (await web("GET", GEARS))["items"][0]["spec"]["colour"] == "blue"
    assert stream.has_ended  # its client looks again, and sees it


async def test_a_definition_without_accepted_names_waits_for_them(web: Any, define: Define) -> None:
    await define(definition())
    other = definition(plural="cogs", kind="Cog", singular="gear")
    other["spec"]["names"].pop("shortNames")
    await web("POST", DEFINITIONS, other)
    found = await until(web, "cogs.example.com", "NamesAccepted", "False")
    assert {one["type"]: one["reason"] for one in found["status"]["conditions"]}["NamesAccepted"] == "SingularConflict"
    assert (await web("GET", "/apis/example.com/v1/cogs")).code == 404
    await web("DELETE", ONE)
    await until(web, "cogs.example.com", "Established")


async def test_a201_a_definition_that_goes_takes_its_objects_along(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", GEARS, gear())
    stream = await web.watch(f"{GEARS}?watch=1")
    answer = await web("DELETE", ONE)
    assert answer["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert answer["status"]["conditions"][-1]["reason"] == "InstanceDeletionPending"
    await gone(web, ONE)
    assert [event["type"] for event in await stream.events(2)] == ["ADDED", "DELETED"]
    assert stream.has_ended
    for path in ("/apis/example.com", "/apis/example.com/v1", GEARS):
        assert (await web("GET", path)).code == 404
    assert "example.com" not in [one["name"] for one in (await web("GET", "/apis"))["groups"]]


async def test_a201_finalizers_of_objects_are_waited_for(web: Any, define: Define) -> None:
    await define(definition())
    kept = gear()
    kept["metadata"]["finalizers"] = ["example.com/mine"]
    assert (await web("POST", GEARS, kept)).code == 201
    await web("DELETE", ONE)
    await until(web, "gears.example.com", "Terminating")
    refused = await web("POST", GEARS, gear("two"))
    assert (refused.code, refused["message"]) == (
        405,
        "create not allowed while custom resource definition is terminating",
    )
    release = {"metadata": {"finalizers": None}}
    await web("PATCH", f"{GEARS}/one", release, headers={"content-type": "application/merge-patch+json"})
    await gone(web, ONE)


async def test_a_definition_of_the_same_name_starts_empty(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", GEARS, gear())
    await web("DELETE", ONE)
    await gone(web, ONE)
    await define(definition(scope="Cluster"))
    assert (await web("GET", "/apis/example.com/v1/gears"))["items"] == []
    assert (await web("POST", "/apis/example.com/v1/gears", gear())).code == 201
    assert (await web("GET", GEARS)).code == 404


async def test_a_server_that_starts_again_serves_what_was_established(
    web: Any, define: Define, store: Any, world: Any
) -> None:
    await define(definition(version("v1", storage=False), version("v2")))
    made = await web("POST", GEARS, gear())
    other = ApiServer(store, world, CONFIG)
    await other.open()
    try:
        found = await Web(other)("GET", f"{GEARS}/one")
        assert found.body == made.body
    finally:
        await other.close()


async def test_a_kind_that_is_built_in_is_not_taken_over(web: Any, define: Define) -> None:
    given = definition(plural="volumesnapshots", kind="VolumeSnapshot")
    given["metadata"] = {
        "name": "volumesnapshots.snapshot.storage.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://example.com/1"},
    }
    given["spec"]["group"] = "snapshot.storage.k8s.io"
    await define(given)
    path = "/apis/snapshot.storage.k8s.io/v1/namespaces/ns/volumesnapshots"
    body = {"metadata": {"name": "a"}, "spec": {"source": {"persistentVolumeClaimName": "c"}}}
    assert (await web("POST", path, body)).code == 201
    await web("DELETE", f"{DEFINITIONS}/volumesnapshots.snapshot.storage.k8s.io")
    await gone(web, f"{DEFINITIONS}/volumesnapshots.snapshot.storage.k8s.io")
    assert (await web("GET", f"{path}/a")).code == 200


@pytest.mark.parametrize(
    ("schema", "field", "message"),
    [
        (
            {"type": "integer", "default": "x"},
            "properties[a].default",
            'Invalid value: "string":  in body must be of type integer: "string"',
        ),
        (
            {"type": "object", "properties": {"b": {"type": "string"}}, "default": {"c": 1}},
            "properties[a].default",
            'Invalid value: {"c":1}: must not have unknown fields',
        ),
        (
            {"type": "object", "properties": {"b": {"type": "integer", "minimum": 2}}, "default": {"b": 1}},
            "properties[a].default.b",
            "Invalid value: 1: b in body should be greater than or equal to 2",
        ),
    ],
)
async def test_a204_defaults_fit_their_own_schema(web: Any, schema: Any, field: str, message: str) -> None:
    given = definition({**version(), "schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": schema}}}})
    answer = await web("POST", DEFINITIONS, given)
    assert answer.code == 422
    assert [(one["field"], one["message"]) for one in answer["details"]["causes"]] == [
        (f"spec.validation.openAPIV3Schema.{field}", message)
    ]


async def test_a_bare_finalizer_is_taken_with_a_warning(web: Any, define: Define) -> None:
    await define(definition())
    made = gear()
    made["metadata"]["finalizers"] = ["mine.example.com"]
    answer = await web("POST", GEARS, made)
    assert answer.code == 201
    assert "prefer a domain-qualified finalizer name including a path (/)" in answer.headers["Warning"][0]


async def test_a_pattern_that_does_not_compile_is_refused(web: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "a("}}}
    answer = await web("POST", DEFINITIONS, definition({**version(), "schema": {"openAPIV3Schema": schema}}))
    assert [(one["field"], one["message"]) for one in answer["details"]["causes"]] == [
        (
            "spec.validation.openAPIV3Schema.properties[a].pattern",
            'Invalid value: "a(": must be a valid regular expression, but isn\'t: '
            "error parsing regexp: missing closing ): `a(`",
        )
    ]
