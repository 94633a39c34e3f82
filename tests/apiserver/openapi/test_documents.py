import gzip
import json
import re
from typing import Any

import pytest

from holdfast.api import registry
from holdfast.api.protobuf import _members
from holdfast.apiserver import openapi
from holdfast.apiserver.openapi import measured
from holdfast.wire.messages import Request, Response

GROUP_VERSIONS = [(group, version) for group, versions in registry.groups().items() for version in versions]


def get(target: str, **headers: str) -> Response | None:
    path, _, query = target.partition("?")
    return openapi.handle(
        Request("GET", path, query, {name.replace("_", "-"): value for name, value in headers.items()})
    )


def header(response: Response, name: str) -> str:
    return dict(response.headers).get(name, "")


def v3(group: str, version: str) -> dict[str, Any]:
    return json.loads(openapi.v3_document(group, version))


def references(node: Any):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):  # it is also the name of a property, in schemas
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for entry in node:
            yield from references(entry)


def test_the_index_names_every_group_version_a29() -> None:
    response = get("/openapi/v3", accept="application/json, */*")
    paths = json.loads(response.body)["paths"]
    assert list(paths) == [f"apis/{g}/{v}" if g else f"api/{v}" for g, v in GROUP_VERSIONS]
    assert re.fullmatch(r"/openapi/v3/apis/apps/v1\?hash=[0-9A-F]+", paths["apis/apps/v1"]["serverRelativeURL"])


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
def test_every_kind_can_be_patched_by_its_document_a32(group: str, version: str) -> None:
    document = v3(group, version)
    assert document["openapi"] == "3.0.0"
    patches = [item["patch"] for item in document["paths"].values() if "patch" in item]
    patches = [patch for patch in patches if patch["x-kubernetes-action"] == "patch"]
    kinds = {tuple(patch["x-kubernetes-group-version-kind"].values()) for patch in patches}
    for resource in registry.in_group_version(group, version):
        if "patch" in resource.verbs:
            assert (resource.group, resource.version, resource.kind) in kinds
    for patch in patches:
        assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= {p["name"] for p in patch["parameters"]}
        assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
def test_documents_are_closed_and_in_upstreams_form_a271(group: str, version: str) -> None:
    document = v3(group, version)
    schemas = document["components"]["schemas"]
    for reference in references(document):
        place, _, name = reference.removeprefix("#/components/").partition("/")
        assert name in document["components"][place]
    text = openapi.v3_document(group, version)
    assert b'"null"]' not in text
    assert b"$defs" not in text
    for resource in registry.in_group_version(group, version):
        assert any(
            {"group": group, "version": version, "kind": resource.kind} in s.get("x-kubernetes-group-version-kind", [])
            for s in schemas.values()
        )


def test_special_types_in_either_dialect_a38_a271() -> None:
    schemas = v3("apps", "v1")["components"]["schemas"]
    definitions = json.loads(openapi.v2_json())["definitions"]
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    int_or_string = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    assert schemas[quantity]["oneOf"] == [{"type": "string"}, {"type": "number"}]
    assert definitions[quantity] == {"type": "string"}
    assert definitions[int_or_string] == {"type": "string", "format": "int-or-string"}
    template = schemas["io.k8s.api.apps.v1.StatefulSetSpec"]["properties"]["template"]
    assert template["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"}]
    assert schemas["io.k8s.api.apps.v1.StatefulSet"]["properties"]["kind"]["type"] == "string"
    assert "enum" not in schemas["io.k8s.api.apps.v1.StatefulSet"]["properties"]["kind"]


def test_nothing_unserved_is_published_a276() -> None:
    names = json.loads(openapi.v2_json())["definitions"]
    served = [name for name in names if not name.startswith(measured.PACKAGE)]
    assert not [name for name in served if re.search(r"\.v\d+(alpha|beta)\d+\.", name)]
    assert "io.k8s.api.core.v1.PodList" in names


def test_the_right_hash_lasts_for_ever_a30() -> None:
    url = json.loads(openapi.v3_index())["paths"]["apis/apps/v1"]["serverRelativeURL"]
    response = get(f"{url}&timeout=32s")
    assert response.status == 200
    assert "immutable" in header(response, "Cache-Control")
    assert response.body == openapi.v3_document("apps", "v1")
    again = get(url, if_none_match=header(response, "Etag"))
    assert (again.status, again.body) == (304, b"")


def test_a_wrong_hash_leads_to_the_right_one_and_none_is_not_cached_a30() -> None:
    response = get("/openapi/v3/apis/apps/v1?hash=00")
    url = json.loads(openapi.v3_index())["paths"]["apis/apps/v1"]["serverRelativeURL"]
    assert (response.status, header(response, "Location")) == (301, url)
    assert "no-cache" in header(get("/openapi/v3/apis/apps/v1"), "Cache-Control")


@pytest.mark.parametrize(
    "path", ["/openapi/v3/apis/nothing/v1", "/openapi/v3/apis/apps/v2", "/openapi/v3/api", "/openapi/v3/apps/v1",
             "/openapi/v3/api/v1/x", "/openapi/v4", "/openapi/v3/apis", "/openapi/v3/apis/v1"]
)  # fmt: skip
def test_other_paths_name_no_document(path: str) -> None:
    assert get(path) is None


def test_large_documents_are_compressed_when_asked_a13() -> None:
    plain, compressed = get("/openapi/v2"), get("/openapi/v2", accept_encoding="gzip")
    assert header(compressed, "Content-Encoding") == "gzip"
    assert gzip.decompress(compressed.body) == plain.body
    assert header(get("/openapi/v3", accept_encoding="gzip"), "Content-Encoding") == ""


def test_the_older_document_is_protobuf_for_old_kubectl_a35() -> None:
    response = get("/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert response.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert get("/openapi/v2", accept="application/json").content_type == "application/json"
    assert read_swagger(response.body) == expected_swagger(json.loads(openapi.v2_json()))


METHODS = {2: "get", 3: "put", 4: "post", 5: "delete", 6: "options", 7: "head", 8: "patch"}


def read_swagger(data: bytes) -> dict[str, Any]:
    """What kubectl takes from the protobuf document, and whoever generates a client, by the field numbers of A36."""
    document = dict(_members(data))
    definitions = {name: read_schema(schema) for name, schema in (named(v) for _, v in _members(document[9]))}
    parameters = {name: parameter_name(one) for name, one in (named(v) for _, v in _members(document[10]))}
    paths = {}
    for _, entry in _members(document[8]):
        path, item = named(entry)
        paths[path] = {METHODS[number]: read_operation(operation) for number, operation in _members(item)}
    version = document[1].decode()
    return {"version": version, "definitions": definitions, "parameters": parameters, "paths": paths}


def read_operation(data: bytes) -> dict[str, Any]:
    operation = list(_members(data))
    texts = {3: "description", 5: "operationId"}
    return {
        **{texts[number]: value.decode() for number, value in operation if number in texts},
        "tags": [value.decode() for number, value in operation if number == 1],
        "produces": [value.decode() for number, value in operation if number == 6],
        "consumes": [value.decode() for number, value in operation if number == 7],
        "parameters": [read_parameter(value) for number, value in operation if number == 8],
        "responses": dict(read_response(v) for number, value in operation if number == 9 for _, v in _members(value)),
        **extensions(operation, 13),
    }


def read_parameter(data: bytes) -> str:
    number, value = next(iter(_members(data)))
    return dict(_members(value))[1].decode() if number == 2 else parameter_name(value)


def read_response(data: bytes) -> tuple[str, dict[str, Any]]:
    code, value = named(data)
    response = dict(_members(dict(_members(value))[1]))
    schema = {"schema": read_schema(dict(_members(response[2]))[1])} if 2 in response else {}
    return code, {"description": response[1].decode(), **schema}


def read_schema(data: bytes) -> dict[str, Any]:
    members = list(_members(data))
    single = {number: value for number, value in members if isinstance(value, bytes)}
    schema: dict[str, Any] = extensions(members, 31)
    for number, key in ((1, "$ref"), (2, "format"), (4, "description")):
        if number in single:
            schema[key] = single[number].decode()
    if required := [value.decode() for number, value in members if number == 19]:
        schema["required"] = required
    if 22 in single:
        schema["type"] = dict(_members(single[22]))[1].decode()
    for number, key in ((21, "additionalProperties"), (23, "items")):
        if number in single:
            schema[key] = read_schema(dict(_members(single[number]))[1])
    if 25 in single:
        schema["properties"] = {name: read_schema(v) for name, v in (named(e) for _, e in _members(single[25]))}
    return schema


def named(data: bytes) -> tuple[str, bytes]:
    members = dict(_members(data))
    return members[1].decode(), members.get(2, b"")


def parameter_name(data: bytes) -> str:
    outer = dict(_members(data))
    if 1 in outer:
        return dict(_members(outer[1]))[2].decode()
    inner = dict(_members(outer[2]))
    return dict(_members(inner.get(3, inner.get(4))))[4].decode()


def extensions(members: list, number: int) -> dict[str, Any]:
    entries = (named(value) for found, value in members if found == number)
    return {name: json.loads(dict(_members(value))[2]) for name, value in entries}


def expected_swagger(document: dict[str, Any]) -> dict[str, Any]:
    paths = {
        path: {
            method: {**operation, "parameters": [one.get("$ref") or one["name"] for one in operation["parameters"]]}
            for method, operation in item.items()
        }
        for path, item in document["paths"].items()
    }
    parameters = {name: one["name"] for name, one in document["parameters"].items()}
    return {
        "version": document["swagger"],
        "definitions": document["definitions"],
        "parameters": parameters,
        "paths": paths,
    }
