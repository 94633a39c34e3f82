"""Whatever a client sends that fits the schema, a kind answers with errors or accepts it; it never fails."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from holdfast.api import registry
from holdfast.api.decode import decode_body
from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest, Resource
from holdfast.api.schema.definitions import definition, definition_name

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("", "a", "A_b", "a/b", "..", "/x", "Always", "Never", "Exists", "In", "OnDelete", "RollingUpdate", "None")
WORDS += ("ClientIP", "10.0.0.1", "1", "50%", "v1", "Pod", "metadata.labels['a']", "limits.cpu", "Recycle", "NodePort")
QUANTITIES = ("0", "1", "-1", "1Gi", "500m")


class Writer:
    """Random objects of a definition, shallow ones more often than deep ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, schema: dict[str, Any], depth: int) -> Any:
        if "$ref" in schema:
            return self.definition(schema["$ref"].rpartition("/")[2], depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next(name for name in kind if name != "null")
        if kind == "array":
            return [self.value(schema.get("items", {}), depth + 1) for _ in range(self.random.randrange(3))]
        if kind == "object":
            if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
                keys = self.random.sample(WORDS, self.random.randrange(3))
                return {key: self.value(schema["additionalProperties"], depth + 1) for key in keys}
            return {"a": "b"} if "properties" not in schema else self.members(schema, depth)
        if kind in ("integer", "number"):
            return self.random.choice((0, 1, -1, 80, 70000, 3))
        if kind == "boolean":
            return self.random.random() < 0.5
        return self.text(schema)

    def text(self, schema: dict[str, Any]) -> Any:
        if schema.get("format") in ("date-time", "micro-time"):
            return "2026-01-01T00:00:00Z"
        if schema.get("format") == "byte":
            return "Yg=="
        return self.random.choice(WORDS)

    def definition(self, name: str, depth: int) -> Any:
        if name.endswith("Quantity"):
            return self.random.choice(QUANTITIES)
        if name.endswith("IntOrString"):
            return self.random.choice((0, 5, "http", "50%"))
        if name.endswith(("v1.Time", "MicroTime")):
            return "2026-01-01T00:00:00.000000Z"
        found = definition(name) if depth < 12 else None  # a schema may hold schemas
        return self.members(found, depth) if found else {}

    def members(self, schema: dict[str, Any], depth: int) -> Manifest:
        chance = 0.75 if depth < 3 else 0.45 if depth < 7 else 0.2
        return {
            name: self.value(member, depth + 1)
            for name, member in schema.get("properties", {}).items()
            if self.random.random() < chance
        }

    def manifest(self, resource: Resource) -> Manifest:
        written: Manifest = self.definition(definition_name(resource.group, resource.version, resource.kind), 0)
        written["metadata"] = {"name": "a", "labels": {"a": "b"}}
        return {**written, "apiVersion": resource.api_version, "kind": resource.kind}


def decoded(resource: Resource, seed: int) -> Manifest | None:
    body = msgspec.json.encode(Writer(seed).manifest(resource))
    try:
        manifest, _ = decode_body(resource, body, "application/json")
    except ApiError:
        return None
    manifest["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    if resource.namespaced:
        manifest["metadata"]["namespace"] = "default"
    resource.default(manifest)
    return manifest


@pytest.mark.parametrize("resource", registry.RESOURCES, ids=lambda resource: resource.qualified)
def test_any_object_gets_an_answer(resource: Resource) -> None:
    old: Manifest | None = None
    for seed in range(40):
        manifest = decoded(resource, seed)
        if manifest is None:
            continue
        again = msgspec.json.decode(msgspec.json.encode(manifest))
        resource.default(again)
        assert again == manifest, "defaults are stable"
        assert len(resource.cells(manifest, NOW)) == len(resource.columns)
        assert all(isinstance(value(manifest), str) for value in resource.fields.values())
        assert all(str(error) for error in resource.validate(manifest))
        resource.row_conditions(manifest)
        resource.warnings(manifest)
        if old is not None:
            resource.prepare_update(again, old)
            assert all(str(error) for error in resource.validate_update(again, old))
            assert all(str(error) for error in resource.validate_status_update(again, old))
        resource.prepare_create(manifest)
        assert all(str(error) for error in resource.validate(manifest))
        old = manifest
    assert old is not None, "at least one object was readable"
