"""Requests for every verb of every resource, with bodies made from the OpenAPI documents that are served.

Paths and verbs come from discovery, bodies from the schemas with values that Kubernetes knows, so that a good part of
them is accepted and changed again; schemathesis (`test_schemathesis.py`) makes its own, which seldom get that far.
HOLDFAST_SCHEMA_REQUESTS sets how many (50,000 for a thorough run), HOLDFAST_EXPLORE makes new ones.
"""

from __future__ import annotations

import json
import os
import random
import re
from typing import Any

import jsonschema_rs
import pytest

from holdfast.wire.client import HttpClient
from holdfast.wire.http import serve

COUNT = int(os.environ.get("HOLDFAST_SCHEMA_REQUESTS", "900"))
SEEDS = random.sample(range(1 << 32), 3) if os.environ.get("HOLDFAST_EXPLORE") else range(3)
DEEPEST = 7

NAMES = ("a", "b", "c", "default", "ns", "a.b", "A", "", "a/b", "x" * 300, "kubernetes", "Pod", "v1", "a.example/b")
WORDS = (
    *NAMES,
    "1",
    "10m",
    "1Gi",
    "ReadWriteOnce",
    "RollingUpdate",
    "Always",
    "TCP",
    "ClusterIP",
    "None",
    "IPv4",
    "10.0.0.1",
    "fd00::1",
    "*",
    "* * * * *",
    "Exists",
    "In",
    "metadata.name",
    "/x",
    "../x",
    "http",
    "25%",
    "\u00e4",
    "2026-01-02T03:04:05Z",
)
NUMBERS = (0, 1, 2, 3, -1, 80, 65536, 1 << 31, 1 << 40, (1 << 63) - 1)
QUANTITIES = ("1", "100m", "1Gi", "0", "-1", "1.5", 2)
FORMATS = {"date-time": ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000001Z", None), "byte": ("AAAA", "", "eA==")}
QUERIES = (
    "dryRun=All",
    "fieldValidation=Strict",
    "fieldManager=m",
    "force=true",
    "limit=1",
    "labelSelector=a",
    "fieldSelector=metadata.name%3Da",
    "resourceVersion=0",
    "propagationPolicy=Orphan",
    "gracePeriodSeconds=0",
    "pretty=true",
)
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml")
ACCEPTS = (
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/yaml",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io, */*",
)


class Values:
    """Random values of a schema: mostly of its type, seldom of another, seldom with a member nobody knows."""

    def __init__(self, seed: int, schemas: dict[str, Any]) -> None:
        self.random = random.Random(seed)
        self._schemas = schemas

    def of(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        choose, chance = self.random.choice, self.random.random()
        if chance < 0.001:
            return choose([None, [], {}, "x", 1, True, [None], {"": None}])
        while ref := self._reference(schema):
            schema = self._schemas[ref]
            if ref.endswith("Quantity"):
                return choose(QUANTITIES)
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                most = 0 if depth > DEEPEST else self.random.choice((0, 1, 1, 2))
                return [self.of(schema["items"], name, depth + 1) for _ in range(most)]
            case "integer" | "number":
                return choose(NUMBERS)
            case "boolean":
                return self.random.random() < 0.5
            case "string" if schema.get("format") in FORMATS:
                return choose(FORMATS[schema["format"]])
            case "string":
                return choose(NAMES[:3]) if name == "name" and chance < 0.9 else choose(schema.get("enum") or WORDS)
        return choose(["1", "http", 80, "25%", {"a": "b"}])

    @staticmethod
    def _reference(schema: dict[str, Any]) -> str:
        ref = schema.get("$ref") or next((one["$ref"] for one in schema.get("allOf", ()) if "$ref" in one), "")
        return str(ref).removeprefix("#/components/schemas/")

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        if not properties:
            extra = schema.get("additionalProperties")
            kind = extra if isinstance(extra, dict) else {"type": "string"}
            return {self.random.choice(WORDS): self.of(kind, "", depth + 1) for _ in range(self.random.randrange(3))}
        required = schema.get("required") or ()
        share = 0.5 if depth < 2 else 0.25 if depth < DEEPEST else 0.02
        chosen = [name for name in properties if self.random.random() < (0.97 if name in required else share)]
        result = {name: self.of(properties[name], name, depth + 1) for name in chosen if name != "status" or depth}
        if self.random.random() < 0.005:
            result[self.random.choice(WORDS)] = 1
        return result


NULL_WHERE_AN_OBJECT_BELONGS = ("authentication.k8s.io/v1", "TokenRequest")
"""Upstream writes the object that a token is bound to, also if there is none."""


class Fit:
    """Holds objects against the published schemas of their kinds."""

    def __init__(self, schemas: dict[str, Any], kinds: dict[Any, Any]) -> None:
        self._schemas = schemas
        self._kinds = kinds
        self._validators: dict[Any, Any] = {}
        self.held = 0

    def misfits(self, manifest: dict[str, Any]) -> list[str]:
        kind = manifest["apiVersion"], manifest["kind"]
        if kind == NULL_WHERE_AN_OBJECT_BELONGS:
            return []
        if kind not in self._validators:
            document = {**self._kinds[kind], "components": {"schemas": self._schemas}}
            self._validators[kind] = jsonschema_rs.Draft4Validator(document)
        self.held += 1
        errors = self._validators[kind].iter_errors(manifest)
        return [f"{error.instance_path}: {error.message}" for error in errors if not _is_unset(error)]


def _is_unset(error: Any) -> bool:
    """Upstream writes null for a time or a list that is not set, whatever its schema says."""
    path = error.instance_path
    is_time = bool(path and re.search("Time(stamp)?$|At$", str(path[-1])))
    return bool(error.message == 'null is not of type "array"' or (is_time and error.message.startswith("null is not")))


class Requests:
    """What discovery lists, asked for at random."""

    def __init__(
        self, seed: int, resources: list[tuple[str, dict[str, Any]]], values: Values, kinds: dict[Any, Any]
    ) -> None:
        self.random = random.Random(seed)
        self._resources = resources
        self._values = values
        self._kinds = kinds

    def next(self) -> tuple[str, str, Any, dict[str, str]]:
        choose, chance = self.random.choice, self.random.random
        base, resource = choose(self._resources)
        plural, _, sub = resource["name"].partition("/")
        verb = choose(["create", *resource["verbs"]] if "create" in resource["verbs"] else resource["verbs"])
        name = choose(("a", "b", "c", "missing"))
        path = f"{base}/namespaces/ns/{plural}" if resource["namespaced"] else f"{base}/{plural}"
        if sub or verb in ("get", "update", "patch", "delete"):
            path += f"/{name}"
        path += f"/{sub}" if sub else ""
        query = "&".join(choose(QUERIES) for _ in range(self.random.randrange(3)))
        headers = {"accept": choose(ACCEPTS)}
        body: Any = None
        if verb in ("create", "update", "patch"):
            group_version = base.removeprefix("/apis/").removeprefix("/api/")
            body = self._body(resource, group_version, name)
            headers["content-type"] = "application/json"
        if verb == "patch":
            headers["content-type"] = choose(PATCHES)
            query += "&fieldManager=m" if "apply" in headers["content-type"] else ""
        if verb == "delete" and chance() < 0.3:
            body, headers["content-type"] = (
                {"propagationPolicy": choose(("Foreground", "Orphan", "x"))},
                "application/json",
            )
        method = {
            "create": "POST",
            "update": "PUT",
            "patch": "PATCH",
            "delete": "DELETE",
            "deletecollection": "DELETE",
        }.get(verb, "GET")
        return method, f"{path}?{query}", body, headers

    def _body(self, resource: dict[str, Any], group_version: str, name: str) -> Any:
        group, version = resource.get("group", ""), resource.get("version", "")
        api_version = (f"{group}/{version}" if group else version) or group_version
        schema = self._kinds.get((api_version, resource["kind"]))
        body = self._values.of(schema) if schema else {}
        if not isinstance(body, dict):
            return body
        body |= {"apiVersion": api_version, "kind": resource["kind"]}
        metadata = body.get("metadata") if isinstance(body.get("metadata"), dict) else {}
        kept = {
            key: value
            for key, value in metadata.items()
            if key not in ("managedFields", "resourceVersion", "uid", "namespace")
        }
        if self.random.random() < 0.95:
            body["metadata"] = {**kept, "name": name}
        return body


async def described(client: HttpClient, headers: Any) -> tuple[list[Any], dict[str, Any], dict[Any, Any]]:
    """The resources in discovery, all schemas, and those of kinds by apiVersion and kind."""
    index = json.loads((await client.request("GET", "/openapi/v3", headers)).body)["paths"]
    resources: list[Any] = []
    schemas: dict[str, Any] = {}
    kinds: dict[Any, Any] = {}
    for path, entry in index.items():
        document = json.loads((await client.request("GET", entry["serverRelativeURL"], headers)).body)
        schemas |= document["components"]["schemas"]
        listed = json.loads((await client.request("GET", f"/{path}", headers)).body)
        resources += [(f"/{path}", one) for one in listed["resources"]]
    for schema in schemas.values():
        for one in schema.get("x-kubernetes-group-version-kind", ()):
            version = f"{one['group']}/{one['version']}" if one["group"] else one["version"]
            kinds[version, one["kind"]] = schema
    streams = ("exec", "attach", "portforward", "log", "proxy")
    return [one for one in resources if one[1]["name"].partition("/")[2] not in streams], schemas, kinds


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_request_made_of_the_served_schemas_breaks_the_server_and_answers_fit_them(
    server: Any, admin_token: str, seed: int, caplog: Any
) -> None:
    listener = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    client = HttpClient(f"http://127.0.0.1:{listener.port}")
    asked = [("Authorization", f"Bearer {admin_token}")]
    resources, schemas, kinds = await described(client, asked)
    requests = Requests(seed, resources, Values(seed, schemas), kinds)
    fit = Fit(schemas, kinds)
    codes: dict[int, int] = {}
    for number in range(COUNT // len(SEEDS)):
        method, target, body, headers = requests.next()
        encoded = b"" if body is None else json.dumps(body).encode()
        answer = await client.request(method, target, [*asked, *headers.items()], encoded, timeout=60)
        codes[answer.status] = codes.get(answer.status, 0) + 1
        sent = f"{method} {target} {headers} {encoded[:3000]!r}"
        shown = f"seed {seed}, request {number}: {sent}: {answer.status} {answer.body[:2000]!r}"
        assert not [record for record in caplog.records if record.levelname == "ERROR"], shown
        assert b"InternalError" not in answer.body, shown
        if answer.status < 300 and headers["accept"] == "application/json":
            assert not fit.misfits(json.loads(answer.body)), shown
        if answer.status >= 400 and "yaml" not in headers["accept"]:
            status = json.loads(answer.body)
            assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status), shown
            assert status["message"], shown
    await client.close()
    await listener.close()
    assert codes.get(200, 0) > 20, codes
    assert codes.get(201, 0) > 5, codes
    assert codes.get(422, 0) > 5, codes
    assert fit.held > 10
