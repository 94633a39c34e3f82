"""Requests that schemathesis makes of the served OpenAPI documents, as it does for whoever points it at a cluster.

As published, a schema says little of what is valid: nearly each field is optional, a name is any string, and no object
that is made of it was ever accepted. So each document is used twice: as it is served, and narrowed to the names, kinds
and options that lead further in. HOLDFAST_SCHEMATHESIS sets how many requests to make for each operation of
every document (8 take four minutes), HOLDFAST_EXPLORE makes new ones; without, a few operations get the same few.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.transport import Response

from holdfast.api import registry

THOROUGH = int(os.environ.get("HOLDFAST_SCHEMATHESIS", "0"))
EXAMPLES = THOROUGH or 3
OPERATIONS = 10_000 if THOROUGH else 8
DOCUMENTS = [
    f"apis/{group}/{version}" if group else f"api/{version}"
    for group, versions in registry.groups().items()
    for version in versions
    if group in ("", "apps") or (THOROUGH and group != "metrics.k8s.io")
]
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
STREAMS = {"watch", "follow"}
"""Parameters left out, as connections are: answers without an end have tests of their own."""

NAMES = {"namespace": ["ns"], "name": ["a", "b", "default"]}
QUERIES = {
    "dryRun": ["All"],
    "fieldManager": ["m"],
    "fieldValidation": ["Ignore", "Warn", "Strict"],
    "fieldSelector": ["metadata.name=a", "metadata.namespace!=ns"],
    "labelSelector": ["a", "a=b", "a in (b, c)", "!a"],
    "propagationPolicy": ["Orphan", "Background", "Foreground"],
    "resourceVersion": ["0", "1"],
    "resourceVersionMatch": ["Exact", "NotOlderThan"],
}
VALUES = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ["1", "100m", "1Gi", "0", "-1"],
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": [0, 1, 80, "25%", "http"],
}
LABELS = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "additionalProperties": False, "required": ["a"]}
FIELDS = {"name": {"enum": ["a", "b"]}, "labels": LABELS, "matchLabels": LABELS, "annotations": LABELS}
SENT = ("annotations", "labels", "name", "namespace")
"""What is sent of metadata."""


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with schemas that leave out most of what the first checks refuse; changed in place."""
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
            for name in FIELDS.keys() & schema["properties"].keys():
                schema["properties"][name] = FIELDS[name]
        for kind in schema.get("x-kubernetes-group-version-kind", ())[:1]:
            _require_kind(schema, kind)
    for name, values in VALUES.items():
        schemas[name] = {"enum": values}
    if metadata := schemas.get(f"{META}.ObjectMeta"):
        metadata["properties"] = {name: metadata["properties"][name] for name in SENT}
        metadata["properties"] |= {name: {"enum": values} for name, values in NAMES.items()}
        metadata["required"] = ["name", "labels"]
    for name, parameter in document["components"]["parameters"].items():
        _choose(parameter, QUERIES.get(name))
    for item in document["paths"].values():
        for parameter in item.get("parameters", ()):
            _choose(parameter, NAMES.get(parameter["name"]))
        if "patch" in item:
            _patch_with_objects(item["patch"])
    return document


def _require_kind(schema: dict[str, Any], kind: dict[str, str]) -> None:
    version = f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]
    schema["properties"] |= {"apiVersion": {"enum": [version]}, "kind": {"enum": [kind["kind"]]}}
    parts = {"metadata", "spec"} & schema["properties"].keys()
    schema["required"] = sorted({"apiVersion", "kind", *parts, *schema.get("required", ())})


def _choose(parameter: dict[str, Any], values: list[str] | None) -> None:
    if values:
        parameter["schema"] = {"type": "string", "enum": values}


def _patch_with_objects(operation: dict[str, Any]) -> None:
    """Merging patches look like the object; a list of operations stays as it is."""
    for parameter in operation["parameters"]:
        _choose(parameter, QUERIES.get(parameter["name"]))
    answers = operation["responses"]["200"]["content"].values()
    for media_type, content in operation["requestBody"]["content"].items():
        if media_type != "application/json-patch+json":
            content["schema"] = next(iter(answers))["schema"]


def without_streams(document: dict[str, Any]) -> dict[str, Any]:
    for path, item in list(document["paths"].items()):
        for method, operation in list(item.items()):
            if method == "parameters":
                continue
            if operation["x-kubernetes-action"] == "connect":
                del item[method]
                continue
            kept = [one for one in operation["parameters"] if one.get("$ref", "").rpartition("/")[2] not in STREAMS]
            operation["parameters"] = kept
        if not item.keys() - {"parameters"}:
            del document["paths"][path]
    return document


def cases_of(document: dict[str, Any], seed: int) -> list[Any]:
    """Requests for its operations, mixed."""
    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    chance = random.Random(seed)
    cases: list[Any] = []
    for operation in chance.sample(operations, min(OPERATIONS, len(operations))):

        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy())
        def collect(case: Any) -> None:
            cases.append(case)

        collect()
    chance.shuffle(cases)
    return cases


def encoded(case: Any) -> requests.PreparedRequest:
    made = case.as_transport_kwargs(base_url="http://127.0.0.1")
    taken = ("method", "url", "params", "headers", "data", "json")
    return requests.Request(**{name: made[name] for name in taken if name in made}).prepare()


def strays(case: Any, answer: Any) -> bool:
    """Where answers differ from what upstream's own documents say, and ours with them.

    What is still on its way out is answered with itself instead of a Status (A86); a token that is bound to nothing
    has a null where the schema wants an object.
    """
    return (case.method == "DELETE" and answer["kind"] != "Status") or answer["kind"] == "TokenRequest"


@pytest.fixture
def documented(ask: Any) -> Callable[[str], Any]:
    async def get(name: str) -> tuple[dict[str, Any], Any]:
        """To make requests of, and to hold answers against."""
        text = json.dumps((await ask("GET", f"/openapi/v3/{name}")).body)
        return without_streams(json.loads(text)), schemathesis.openapi.from_dict(json.loads(text))

    return get


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("is_narrowed", [False, True], ids=["as served", "narrowed"])
async def test_no_request_of_schemathesis_breaks_the_server_and_answers_fit_their_schemas(
    ask: Any, documented: Any, document: str, is_narrowed: bool
) -> None:
    source, published = await documented(document)
    codes: dict[int, int] = {}
    for case in cases_of(narrowed(source) if is_narrowed else source, seed=EXAMPLES):
        sent = encoded(case)
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body
        headers = {name.lower(): value for name, value in sent.headers.items() if name != "Accept-Encoding"}
        answer = await ask(case.method, sent.path_url, body, headers=headers)
        codes[answer.code] = codes.get(answer.code, 0) + 1
        assert answer.code < 500 or "reason" not in answer.body, answer  # upstream's own 500s come without one
        if answer.code < 300 and not strays(case, answer.body):
            content = json.dumps(answer.body).encode()
            received = Response(answer.code, {"content-type": [answer.content_type]}, content, sent, 0.0, False)
            published[case.path][case.method].validate_response(received)
    print(document, dict(sorted(codes.items())))
    assert min(codes) < 300, codes
