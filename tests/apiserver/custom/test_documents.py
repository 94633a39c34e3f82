"""What is published of a defined kind, in both versions of OpenAPI (A39), and that it changes with the definition."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.apiserver.openapi import v2_protobuf

from .conftest import DEFINITIONS, Define, definition, gone, version

NAME = "com.example.v1.Gear"
GVK = "x-kubernetes-group-version-kind"


def given() -> dict[str, Any]:
    made = version()
    spec = made["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"] |= {
        "nothing": {"type": "string", "nullable": True},
        "choice": {"type": "integer", "anyOf": [{"minimum": 1}, {"maximum": -1}]},
        "template": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "any": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
    spec["required"] = ["size", "nothing"]
    return definition(made)


@pytest.fixture
async def gears(define: Define) -> None:
    await define(given())


async def v3(web: Any) -> dict[str, Any]:
    url = (await web("GET", "/openapi/v3"))["paths"]["apis/example.com/v1"]["serverRelativeURL"]
    answer = await web("GET", url)
    assert answer.code == 200
    return dict(answer.body)


async def test_a39_version_3_has_the_schema_and_what_every_kind_has(web: Any, gears: None) -> None:
    document = await v3(web)
    schema = document["components"]["schemas"][NAME]
    assert schema[GVK] == [{"group": "example.com", "version": "v1", "kind": "Gear"}]
    assert set(schema["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}
    meta = "io.k8s.apimachinery.pkg.apis.meta.v1"
    assert schema["properties"]["metadata"]["allOf"] == [{"$ref": f"#/components/schemas/{meta}.ObjectMeta"}]
    spec = schema["properties"]["spec"]["properties"]
    assert spec["mode"] == {"type": "string", "default": "calm", "enum": ["calm", "wild"]}
    assert "metadata" in spec["template"]["properties"]
    listed = document["components"]["schemas"][f"{NAME}List"]
    assert listed["properties"]["items"]["items"] == {"$ref": f"#/components/schemas/{NAME}"}
    missing = [name for name in references(document) if name not in document["components"]["schemas"]]
    assert missing == []


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(references, value.values()))
    reference = value.get("$ref")
    is_schema = isinstance(reference, str) and "/schemas/" in reference
    return found | {reference.rpartition("/")[2]} if is_schema else found


async def test_a33_patch_names_the_forms_that_are_taken(web: Any, gears: None) -> None:
    item = (await v3(web))["paths"]["/apis/example.com/v1/namespaces/{namespace}/gears/{name}"]
    assert list(item["patch"]["requestBody"]["content"]) == [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ]
    assert item["patch"][GVK] == {"group": "example.com", "version": "v1", "kind": "Gear"}
    assert "fieldValidation" in [one["name"] for one in item["patch"]["parameters"]]
    assert item["get"]["operationId"] == "readExampleComV1NamespacedGear"


async def test_a30_the_address_changes_with_the_definition(web: Any, gears: None) -> None:
    async def url(group: str) -> str:
        return str((await web("GET", "/openapi/v3"))["paths"][group]["serverRelativeURL"])

    before, apps = await url("apis/example.com/v1"), await url("apis/apps/v1")
    changed = given()
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Now described."
    merge = {"content-type": "application/merge-patch+json"}
    await web("PATCH", f"{DEFINITIONS}/gears.example.com", {"spec": changed["spec"]}, headers=merge)
    assert await url("apis/example.com/v1") != before
    assert await url("apis/apps/v1") == apps
    assert (await web("GET", before)).code == 301
    assert (await v3(web))["components"]["schemas"][NAME]["description"] == "Now described."


async def test_a39_version_2_is_without_what_old_clients_cannot_read(web: Any, gears: None) -> None:
    definitions = (await web("GET", "/openapi/v2"))["definitions"]
    spec = definitions[NAME]["properties"]["spec"]
    assert spec["required"] == ["size"]
    assert spec["properties"]["nothing"] == {}
    assert spec["properties"]["choice"] == {"type": "integer"}
    assert spec["properties"]["either"] == {"x-kubernetes-int-or-string": True}
    assert spec["properties"]["any"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert "io.k8s.api.apps.v1.StatefulSet" in definitions
    accept = {"accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    answer = await web.send("GET", "/openapi/v2", headers=accept)
    assert NAME.encode() in answer.body
    assert NAME.encode() not in v2_protobuf()  # other servers know nothing of it


async def test_what_is_no_longer_defined_is_no_longer_published(web: Any, gears: None) -> None:
    await web("DELETE", f"{DEFINITIONS}/gears.example.com")
    await gone(web, f"{DEFINITIONS}/gears.example.com")
    assert "apis/example.com/v1" not in (await web("GET", "/openapi/v3"))["paths"]
    assert (await web("GET", "/openapi/v3/apis/example.com/v1")).code == 404
    assert NAME not in json.dumps((await web("GET", "/openapi/v2")).body)
