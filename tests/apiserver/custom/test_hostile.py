"""Bodies and definitions that mean no good: an answer comes, soon, and the server is as before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import DEFINITIONS, GEARS, Define, definition, gear, version

DEEP = 900


def nested(depth: int, inner: str = "1") -> str:
    return '{"a":' * depth + inner + "}" * depth


@pytest.fixture
async def gears(define: Define) -> None:
    given = version()
    spec = given["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["text"] = {"type": "string", "pattern": "^(a+)+$"}
    spec["properties"]["tags"]["maxItems"] = 100_000
    await define(definition(given))


@pytest.mark.parametrize("where", ["free", "odd", "ports", "size"])
async def test_deep_bodies(ask: Any, gears: None, where: str) -> None:
    text = json.dumps(gear(**{where: "HERE"})).replace('"HERE"', nested(DEEP))
    for validation in ("Ignore", "Warn", "Strict"):
        await ask("POST", f"{GEARS}?fieldValidation={validation}", text.encode())
        await ask("POST", f"{GEARS}?fieldValidation={validation}", text.replace('"size"', '"size":1,"size"').encode())
    apply = {"content-type": "application/apply-patch+yaml"}
    await ask("PATCH", f"{GEARS}/one?fieldManager=me&force=true", text.encode(), headers=apply)
    await ask("GET", GEARS)


async def test_patterns_that_are_slow_elsewhere(ask: Any, gears: None) -> None:
    assert (await ask("POST", GEARS, gear(text="a" * 100_000 + "!"))).code == 422


async def test_many_repeated_items(ask: Any, gears: None) -> None:
    answer = await ask("POST", GEARS, gear(tags=["x"] * 20_000))
    assert answer.code == 422
    assert (await ask("POST", GEARS, gear(tags=[str(i) for i in range(20_000)]))).code == 201


@pytest.mark.parametrize(
    "body", [None, [], 1, "x", {"spec": 1}, {"metadata": []}, {"metadata": {"name": "one"}, "spec": [1]},
             {"metadata": {"name": "one", "labels": [1]}, "spec": {"size": 1e400}}],
)  # fmt: skip
async def test_bodies_of_another_form(ask: Any, gears: None, body: Any) -> None:
    if isinstance(body, dict):
        body = {"apiVersion": "example.com/v1", "kind": "Gear", **body}
    answer = await ask("POST", GEARS, json.dumps(body).encode())
    assert 400 <= answer.code < 500


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "default": {"a": 1}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "a("}}},
        {"type": "object", "properties": {"a": {"type": "string", "default": 3, "enum": []}}},
        {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string"}}}}},
        {"type": "object", "x-kubernetes-validations": [{"rule": "self.all(x, x)" * 200}]},
        {"type": "object", "properties": {"": {"type": "object", "properties": {"": {"type": "string"}}}}},
    ],
)
async def test_odd_schemas(ask: Any, web: Any, established: None, schema: Any) -> None:
    given = definition({**version(), "schema": {"openAPIV3Schema": schema}, "subresources": {}})
    answer = await ask("POST", DEFINITIONS, given)
    if answer.code != 201:
        assert answer.code == 422
        return
    from .conftest import until

    await until(web, "gears.example.com", "Established")
    assert (await ask("POST", GEARS, {**gear(), "a": "x", "": {"": "y"}})).code in (201, 422)
    for path in ("/openapi/v3/apis/example.com/v1", "/openapi/v2", GEARS):
        assert (await ask("GET", path)).code == 200
