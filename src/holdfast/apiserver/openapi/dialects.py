"""Operations in the words of OpenAPI 3 and of Swagger 2.

What many operations share is made once: query parameters are referred to, answers with one definition are one dict.
PATCH alone holds its query parameters itself, since kubectl looks for them there (A31).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from .dialect import Dialect
from .operations import MEANINGS, TEXT, Operation
from .queries import PARAMETERS

Json = dict[str, Any]

_REFUSED: Json = {"401": {"description": "Unauthorized"}}


def v3_paths(operations: Iterable[Operation]) -> Json:
    """The path items of OpenAPI 3."""
    paths: dict[str, Json] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        if operation.placeholders:
            item["parameters"] = [_v3_placed(name) for name in operation.placeholders]
        item[operation.method] = _v3_operation(operation)
    return paths


def v2_paths(operations: Iterable[Operation]) -> Json:
    """The path items of Swagger 2."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _v2_operation(operation)
    return paths


def v3_parameters(operations: Iterable[Operation]) -> Json:
    """The query parameters that the path items refer to."""
    return {name: _v3_query(name) for name in _referred(operations)}


def v2_parameters(operations: Iterable[Operation]) -> Json:
    """The same for Swagger 2."""
    return {name: _v2_query(name) for name in _referred(operations)}


def _referred(operations: Iterable[Operation]) -> list[str]:
    return sorted({name for one in operations if not _is_patch(one) for name in one.queries})


def _is_patch(operation: Operation) -> bool:
    return operation.action == "patch"


def _described(operation: Operation) -> Json:
    return {
        "description": operation.description,
        "operationId": operation.id,
        "tags": [operation.tag],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": operation.kind,
    }


# -- OpenAPI 3


def _v3_operation(operation: Operation) -> Json:
    query = _v3_query if _is_patch(operation) else _v3_reference
    found = {**_described(operation), "parameters": [query(name) for name in operation.queries]}
    if operation.body:
        found["requestBody"] = _v3_body(operation.body, operation.body_types, operation.body_is_required)
    found["responses"] = _v3_responses(operation.codes, operation.answer, operation.answer_types)
    return found


@cache
def _v3_placed(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


@cache
def _v3_query(name: str) -> Json:
    kind, text = PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": True}}


@cache
def _v3_reference(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


@cache
def _v3_body(definition: str, types: tuple[str, ...], is_required: bool) -> Json:
    required = {"required": True} if is_required else {}
    return {**required, "content": _v3_content(definition, types)}


@cache
def _v3_responses(codes: tuple[int, ...], definition: str, types: tuple[str, ...]) -> Json:
    content = _v3_content(definition, types)
    return {str(code): {"description": MEANINGS[code], "content": content} for code in codes} | _REFUSED


def _v3_content(definition: str, types: tuple[str, ...]) -> Json:
    schema = {"schema": _schema(definition, Dialect.V3)}
    return dict.fromkeys(types, schema)


def _schema(definition: str, dialect: Dialect) -> Json:
    return {"type": "string"} if definition == TEXT else {"$ref": dialect.value + definition}


# -- Swagger 2


def _v2_operation(operation: Operation) -> Json:
    query = _v2_query if _is_patch(operation) else _v2_reference
    parameters = [_v2_placed(name) for name in operation.placeholders]
    if operation.body:
        parameters.append(_v2_body(operation.body, operation.body_is_required or _is_patch(operation)))
    return {
        **_described(operation),
        "consumes": list(operation.body_types),
        "produces": list(operation.answer_types),
        "parameters": parameters + [query(name) for name in operation.queries],
        "responses": _v2_responses(operation.codes, operation.answer),
    }


@cache
def _v2_placed(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "type": "string", "uniqueItems": True}


@cache
def _v2_query(name: str) -> Json:
    kind, text = PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "type": kind, "uniqueItems": True}


@cache
def _v2_reference(name: str) -> Json:
    return {"$ref": f"#/parameters/{name}"}


@cache
def _v2_body(definition: str, is_required: bool) -> Json:
    required = {"required": True} if is_required else {}
    return {"name": "body", "in": "body", **required, "schema": _schema(definition, Dialect.V2)}


@cache
def _v2_responses(codes: tuple[int, ...], definition: str) -> Json:
    schema = _schema(definition, Dialect.V2)
    return {str(code): {"description": MEANINGS[code], "schema": schema} for code in codes} | _REFUSED
