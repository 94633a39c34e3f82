"""Objects of a defined kind at the door: what is pruned, filled in, refused, patched, applied and shown."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import DEFINITIONS, GEARS, SCHEMA, Define, definition, gear, version

MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
ONE = f"{GEARS}/one"


@pytest.fixture
async def gears(define: Define) -> None:
    await define(definition())


def causes(answer: Any) -> list[tuple[str, str]]:
    assert answer.code == 422, answer.body
    return [(one["field"], one["message"]) for one in answer["details"]["causes"]]


# -- bodies


async def test_a203_what_the_schema_does_not_know_is_taken_out_and_told(web: Any, gears: None) -> None:
    body = gear(odd=1, free={"kept": {"x": 1}}, ports=[{"port": 1, "strange": 2}])
    body["metadata"]["weird"] = 1
    body["extra"] = True
    answer = await web("POST", GEARS, body)
    assert answer.code == 201
    assert answer["spec"] == {
        "size": 3,
        "mode": "calm",
        "free": {"kept": {"x": 1}},
        "ports": [{"port": 1, "protocol": "TCP"}],
    }
    assert "extra" not in answer.body
    told = [text.partition(' - "')[2][:-1].replace('\\"', '"') for text in answer.headers["Warning"]]
    assert told == [
        'unknown field "spec.odd"',
        'unknown field "spec.ports[0].strange"',
        'unknown field "extra"',
        'unknown field "metadata.weird"',
    ]
    strict = await web("POST", f"{GEARS}?fieldValidation=Strict", gear("two", odd=1))
    assert (strict.code, strict["message"]) == (
        400,
        'Gear in version "v1" cannot be handled as a Gear: strict decoding error: unknown field "spec.odd"',
    )
    ignored = await web("POST", f"{GEARS}?fieldValidation=Ignore", gear("two", odd=1))
    assert (ignored.code, ignored.headers.get("Warning")) == (201, None)


async def test_a74_what_is_said_twice_is_told(web: Any, gears: None) -> None:
    text = b'{"apiVersion":"example.com/v1","kind":"Gear","metadata":{"name":"one"},"spec":{"size":1,"size":2}}'
    strict = await web("POST", f"{GEARS}?fieldValidation=Strict", text)
    assert 'duplicate field "spec.size"' in strict["message"]
    assert (await web("POST", GEARS, text))["spec"]["size"] == 2


async def test_a204_nulls_that_may_not_be_are_absent(web: Any, gears: None) -> None:
    answer = await web("POST", GEARS, gear(mode=None, either=None, tags=None))
    assert answer["spec"] == {"size": 3, "mode": "calm"}


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        pytest.param(
            {"kind": "Wheel"}, 422, 'Gear.example.com "one" is invalid: kind: Invalid value: "Wheel": must be Gear',
            id="another kind",
        ),
        pytest.param(
            {"apiVersion": "example.com/v2"}, 400,
            "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)",
            id="another version",
        ),
        pytest.param(
            {"metadata": {"name": 3}}, 400,
            'Gear in version "v1" cannot be handled as a Gear: json: cannot unmarshal number into Go struct field '
            "ObjectMeta.metadata.name of type string",
            id="metadata of another form",
        ),
    ],
)  # fmt: skip
async def test_a202_a_body_says_what_it_is(web: Any, gears: None, change: Any, code: int, message: str) -> None:
    answer = await web("POST", GEARS, {**gear(), **change})
    assert (answer.code, answer["message"]) == (code, message)


async def test_a202_a_body_without_its_kind_is_not_guessed_at(web: Any, gears: None) -> None:
    answer = await web("POST", GEARS, b'{"apiVersion":"example.com/v1"}')
    assert answer.code == 400
    assert "Object 'Kind' is missing in '{\"apiVersion\":\"example.com/v1\"}'" in answer["message"]


async def test_a215_yaml_is_read_and_other_forms_are_not(web: Any, gears: None) -> None:
    text = b"apiVersion: example.com/v1\nkind: Gear\nmetadata: {name: one}\nspec: {size: 2}\n"
    assert (await web("POST", GEARS, text, headers={"content-type": "application/yaml"})).code == 201
    answer = await web("POST", GEARS, b"k8s\0", headers={"content-type": "application/vnd.kubernetes.protobuf"})
    assert (answer.code, answer["reason"]) == (415, "UnsupportedMediaType")


# -- what is wrong


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            {"size": True},
            [("spec.size", 'Invalid value: "boolean": spec.size in body must be of type integer: "boolean"')],
            id="type",
        ),
        pytest.param(
            {"size": 0},
            [("spec.size", "Invalid value: 0: spec.size in body should be greater than or equal to 1")],
            id="minimum",
        ),
        pytest.param(
            {"mode": "odd"},
            [("spec.mode", 'Unsupported value: "odd": supported values: "calm", "wild"')],
            id="enumeration",
        ),
        pytest.param({"tags": ["a", "b", "a"]}, [("spec.tags[2]", 'Duplicate value: "a"')], id="set"),
        pytest.param(
            {"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}]},
            [("spec.ports[1]", 'Duplicate value: {"port":1,"protocol":"TCP"}')],
            id="keys",
        ),
        pytest.param({"ports": [{}]}, [("spec.ports[0].port", "Required value")], id="required"),
        pytest.param({"size": -1}, [
            ("spec.size", "Invalid value: -1: spec.size in body should be greater than or equal to 1"),
            (".spec.size", "Invalid value: -1: should be a non-negative integer"),
        ], id="scale"),
    ],
)  # fmt: skip
async def test_a205_what_is_wrong_is_told(web: Any, gears: None, spec: Any, expected: Any) -> None:
    assert causes(await web("POST", GEARS, gear(**spec))) == expected


async def test_a205_what_was_wrong_before_may_stay(web: Any, define: Define) -> None:
    await define(definition())
    await web("POST", GEARS, gear(size=1))
    stricter = definition()
    properties = stricter["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["size"]["minimum"] = 2
    await web("PATCH", f"{DEFINITIONS}/gears.example.com", {"spec": stricter["spec"]}, headers=MERGE)
    assert (await web("PATCH", ONE, {"spec": {"mode": "wild"}}, headers=MERGE)).code == 200
    refused = await web("PATCH", ONE, {"spec": {"size": 0}}, headers=MERGE)
    assert causes(refused)[0][0] == "spec.size"


# -- generation, status, scale


async def test_a206_the_generation_counts_all_but_metadata_and_status(web: Any, gears: None) -> None:
    made = gear()
    made["status"] = {"ready": 1}
    answer = await web("POST", GEARS, made)
    assert (answer["metadata"]["generation"], "status" in answer.body) == (1, False)  # A207
    labelled = await web("PATCH", ONE, {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert labelled["metadata"]["generation"] == 1
    change = {"status": {"ready": 2}, "spec": {"size": 9}, "metadata": {"labels": {"a": "c"}}}
    told = await web("PATCH", f"{ONE}/status", change, headers=MERGE)
    assert (told["status"], told["spec"]["size"]) == ({"ready": 2}, 3)
    assert (told["metadata"]["labels"], told["metadata"]["generation"]) == ({"a": "b"}, 1)
    changed = await web("PATCH", ONE, {"spec": {"size": 4}, "status": {"ready": 7}}, headers=MERGE)
    assert (changed["metadata"]["generation"], changed["status"]) == (2, {"ready": 2})
    same = await web("PATCH", ONE, {"spec": {"size": 4}}, headers=MERGE)
    assert same["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]


async def test_a207_without_the_subresource_status_is_a_field_like_any_other(web: Any, define: Define) -> None:
    await define(definition(version(subresources=None)))
    made = {**gear(), "status": {"ready": 1}}
    assert (await web("POST", GEARS, made))["status"] == {"ready": 1}
    changed = await web("PATCH", ONE, {"status": {"ready": 2}}, headers=MERGE)
    assert (changed["status"], changed["metadata"]["generation"]) == ({"ready": 2}, 2)
    for below in ("status", "scale"):
        answer = await web("GET", f"{ONE}/{below}")
        assert (answer.code, answer["reason"]) == (404, "NotFound")


async def test_a208_a_scale_reads_and_writes_the_paths_of_the_definition(web: Any, gears: None) -> None:
    await web("POST", GEARS, gear())
    await web("PATCH", f"{ONE}/status", {"status": {"ready": 2}}, headers=MERGE)
    scale = await web("GET", f"{ONE}/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 2})
    scale.body["spec"]["replicas"] = 5
    assert (await web("PUT", f"{ONE}/scale", scale.body))["spec"] == {"replicas": 5}
    assert (await web("PATCH", f"{ONE}/scale", {"spec": {"replicas": 6}}, headers=MERGE))["spec"] == {"replicas": 6}
    found = await web("GET", ONE)
    assert (found["spec"]["size"], found["metadata"]["generation"]) == (6, 3)
    config = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "one"}, "spec": {"replicas": 7}}
    applied = await web("PATCH", f"{ONE}/scale?fieldManager=me&force=true", config, headers=APPLY)
    assert applied["spec"] == {"replicas": 7}


async def test_a208_a_scale_of_what_says_no_number_is_told_so(web: Any, define: Define) -> None:
    loose = version()
    loose["schema"]["openAPIV3Schema"]["properties"]["spec"].pop("required")
    await define(definition(loose))
    await web("POST", GEARS, {**gear(), "spec": {}})
    answer = await web("GET", f"{ONE}/scale")
    assert (answer.code, answer["message"]) == (500, 'the spec replicas field ".spec.size" does not exist')


async def test_put_names_the_version_it_replaces(web: Any, gears: None) -> None:
    made = await web("POST", GEARS, gear())
    assert causes(await web("PUT", ONE, gear())) == [
        ("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
    ]
    made.body["spec"]["size"] = 8
    assert (await web("PUT", ONE, made.body))["spec"]["size"] == 8
    assert (await web("PUT", ONE, made.body)).code == 409


# -- server-side apply


def config(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Gear", "metadata": {"name": "one"}, "spec": spec}


async def test_a136_apply_merges_lists_as_the_schema_says(web: Any, gears: None) -> None:
    first = config(size=3, ports=[{"port": 1, "note": "a"}], tags=["a"])
    assert (await web("PATCH", f"{ONE}?fieldManager=one", first, headers=APPLY)).code == 201
    second = config(ports=[{"port": 1, "protocol": "UDP"}, {"port": 2}], tags=["b"])
    merged = await web("PATCH", f"{ONE}?fieldManager=two", second, headers=APPLY)
    assert merged["spec"]["ports"] == [
        {"port": 1, "protocol": "TCP", "note": "a"},
        {"port": 1, "protocol": "UDP"},
        {"port": 2, "protocol": "TCP"},
    ]
    assert merged["spec"]["tags"] == ["a", "b"]
    refused = await web("PATCH", f"{ONE}?fieldManager=two", config(size=4), headers=APPLY)
    assert refused.code == 409
    assert refused["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.size"}
    ]
    less = await web("PATCH", f"{ONE}?fieldManager=two", config(), headers=APPLY)
    assert less["spec"]["ports"] == [{"port": 1, "protocol": "TCP", "note": "a"}]
    assert less["spec"]["tags"] == ["a"]


async def test_a137_an_entry_of_a_list_is_owned_by_its_keys(web: Any, gears: None) -> None:
    first = config(size=3, ports=[{"port": 1}])
    answer = await web("PATCH", f"{ONE}?fieldManager=one", first, headers=APPLY)
    (entry,) = answer["metadata"]["managedFields"]
    ports = entry["fieldsV1"]["f:spec"]["f:ports"]
    assert list(ports) == ['k:{"port":1,"protocol":"TCP"}']


async def test_what_nothing_describes_is_owned_field_by_field(web: Any, gears: None) -> None:
    await web("PATCH", f"{ONE}?fieldManager=one", config(size=3, free={"a": {"b": 1}}), headers=APPLY)
    answer = await web("PATCH", f"{ONE}?fieldManager=two", config(free={"a": {"c": 2}}), headers=APPLY)
    assert answer["spec"]["free"] == {"a": {"b": 1, "c": 2}}


async def test_a213_a_strategic_patch_is_refused(web: Any, gears: None) -> None:
    await web("POST", GEARS, gear())
    answer = await web("PATCH", ONE, {}, headers={"content-type": "application/strategic-merge-patch+json"})
    assert answer.code == 415
    assert answer["message"].endswith(
        "media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


# -- lists, tables, selectors


async def test_a210_columns_are_those_of_the_definition(web: Any, define: Define) -> None:
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ports", "type": "string", "jsonPath": ".spec.ports[*].port"},
        {"name": "UDP", "type": "string", "jsonPath": '.spec.ports[?(@.protocol=="UDP")].note'},
        {"name": "None", "type": "string", "jsonPath": ".spec.nothing"},
    ]
    await define(definition(version(additionalPrinterColumns=columns)))
    await web("POST", GEARS, gear(ports=[{"port": 1}, {"port": 2, "protocol": "UDP", "note": "x"}]))
    table = await web("GET", GEARS, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size", "Ports", "UDP", "None"]
    assert table["rows"][0]["cells"] == ["one", 3, "1", "x", None]


async def test_a210_without_columns_there_is_an_age(web: Any, gears: None) -> None:
    await web("POST", GEARS, gear())
    table = await web("GET", GEARS, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Age"]
    assert table["rows"][0]["cells"] == ["one", "0s"]


async def test_a214_selectable_fields_select(web: Any, define: Define) -> None:
    await define(definition(version(selectableFields=[{"jsonPath": ".spec.mode"}, {"jsonPath": ".spec.size"}])))
    await web("POST", GEARS, gear())
    await web("POST", GEARS, gear("two", mode="wild", size=4))

    async def found(selector: str) -> list[str]:
        return [one["metadata"]["name"] for one in (await web("GET", f"{GEARS}?fieldSelector={selector}"))["items"]]

    assert await found("spec.mode=wild") == ["two"]
    assert await found("spec.size=3,spec.mode!=wild") == ["one"]
    refused = await web("GET", f"{GEARS}?fieldSelector=spec.odd=1")
    assert (refused.code, refused["message"]) == (400, "field label not supported: spec.odd")
    stream = await web.watch(f"{GEARS}?watch=1&resourceVersion=0&fieldSelector=spec.mode=wild")
    (event,) = await stream.events(1)
    assert event["object"]["metadata"]["name"] == "two"
    await web("DELETE", f"{GEARS}?fieldSelector=spec.mode=wild")
    assert await found("") == ["one"]


async def test_a_cluster_wide_kind_has_no_namespace(web: Any, define: Define) -> None:
    await define(definition(scope="Cluster"))
    path = "/apis/example.com/v1/gears"
    made = await web("POST", path, gear())
    assert (made.code, "namespace" in made["metadata"]) == (201, False)
    assert (await web("GET", f"{path}/one")).code == 200
    assert (await web("POST", GEARS, gear("two"))).code == 404
    deleted = await web("DELETE", f"{path}/one")
    assert (deleted["status"], deleted["details"]["kind"]) == ("Success", "gears")


async def test_a_deprecated_version_warns(web: Any, define: Define) -> None:
    await define(definition(version("v1", deprecated=True), version("v2", storage=False)))
    answer = await web("GET", GEARS)
    assert answer.headers["Warning"] == ['299 - "example.com/v1 Gear is deprecated; use example.com/v2 Gear"']


async def test_a203_a_schema_that_is_open_keeps_everything(web: Any, define: Define) -> None:
    free = {
        **version(),
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    free.pop("subresources")
    await define(definition(free))
    body = {**gear(), "anything": [1, {"x": None}]}
    assert (await web("POST", GEARS, body))["anything"] == [1, {"x": None}]


async def test_a203_embedded_objects_keep_what_every_object_has(web: Any, define: Define) -> None:
    given = version()
    given["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["template"] = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"data": {"type": "string"}},
    }
    await define(definition(given))
    template = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "odd": 1}, "data": "d", "more": 1}
    answer = await web("POST", GEARS, gear(template=template))
    assert answer["spec"]["template"] == {"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "data": "d"}
    refused = await web("POST", GEARS, gear("two", template={"kind": "X"}))
    assert causes(refused) == [("spec.template.apiVersion", "Required value: must not be empty")]


async def test_a_namespace_has_to_be_there(web: Any, gears: None) -> None:
    answer = await web("POST", GEARS.replace("/ns/", "/nowhere/"), gear())
    assert (answer.code, answer["message"]) == (404, 'namespaces "nowhere" not found')


async def test_a_dry_run_leaves_nothing_behind(web: Any, gears: None) -> None:
    assert (await web("POST", f"{GEARS}?dryRun=All", gear()))["spec"]["mode"] == "calm"
    assert (await web("GET", ONE)).code == 404
    await web("POST", GEARS, gear())
    dry = await web("PATCH", f"{ONE}?dryRun=All", {"spec": {"size": 9}}, headers=MERGE)
    assert (dry["spec"]["size"], (await web("GET", ONE))["spec"]["size"]) == (9, 3)


async def test_names_are_generated(web: Any, gears: None) -> None:
    body = gear()
    body["metadata"] = {"generateName": "g-"}
    assert (await web("POST", GEARS, body))["metadata"]["name"].startswith("g-")


def test_the_schema_of_these_tests_is_not_changed_by_them() -> None:
    assert "colour" not in SCHEMA["properties"]["spec"]["properties"]  # type: ignore[index]
