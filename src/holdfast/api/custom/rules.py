"""The rules of a schema, `x-kubernetes-validations`, held against an object (A211, A212).

A rule that names oldSelf is about a change, and is asked only where it is known what the value was before. What has
not changed is not held against any other rule: it may be older than the rule.

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, invalid_whole, required
from holdfast.api.resource import Manifest

from .expressions import OUT_OF_BUDGET, Failed, Uncompilable, compiled
from .references import escaped, rewritten, undefined, unreachable
from .structural import ABSENT, Schema, Structural
from .structural import compiled as compiled_schema
from .validation import type_name

RULES = "x-kubernetes-validations"
_OLD = re.compile(r"\boldSelf\b")


def broken(schema: Structural, manifest: Manifest, old: Manifest | None) -> list[FieldError]:
    """What an object breaks; `old` is its state before an update."""
    return list(_at(schema, manifest, ABSENT if old is None else old, ""))


def _at(schema: Structural, value: Any, old: Any, path: str) -> Iterator[FieldError]:
    if not schema.has_rules or value is None:
        return
    if rules := evaluated(schema):
        variables = {"self": activation(schema, value)}
        for rule in rules:
            yield from _held(schema, rule, variables, value, old, path)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, entry in value.items():
            if (member := schema.member(name)) is not None:
                where = f"{path}[{name}]" if name not in schema.properties else f"{path}.{name}" if path else name
                yield from _at(member, entry, before.get(name, ABSENT), where)
    elif isinstance(value, list) and schema.items is not None:
        matching = _by_key(schema.schema, old)
        for index, entry in enumerate(value):
            yield from _at(schema.items, entry, matching.get(_key(schema.schema, entry), ABSENT), f"{path}[{index}]")


def _held(
    schema: Structural, rule: Schema, variables: dict[str, Any], value: Any, old: Any, path: str
) -> Iterator[FieldError]:
    is_about_change = _OLD.search(rule["rule"]) is not None
    if is_about_change and old is ABSENT and not rule.get("optionalOldSelf"):
        return
    if not is_about_change and old is not ABSENT and old == value:
        return
    if is_about_change:
        variables = {**variables, "oldSelf": None if old is ABSENT else activation(schema, old)}
    expression = _expression(schema, rule, old)
    try:
        holds = compiled(expression)(variables)
    except Failed as failed:
        said = str(failed)
        text = said if said == OUT_OF_BUDGET else f"{said} evaluating rule: {rule.get('message') or rule['rule']}"
        yield invalid(path or "<nil>", type_name(value), text)
        return
    if holds is not True:
        where = f"{path}{rule['fieldPath']}" if rule.get("fieldPath") else path
        yield _refusal(rule, where.lstrip(".") or "<nil>", value, _message(rule, variables))


def _expression(schema: Structural, rule: Schema, old: Any) -> str:
    """What is evaluated of a rule; with oldSelf as an optional value, which no variable can be, if it asks for that."""
    text = rewritten(schema, rule["rule"])
    if not rule.get("optionalOldSelf"):
        return text
    wrapped = "optional.none()" if old is ABSENT else "optional.of(oldSelf)"
    return f"cel.bind(_oldSelf, {wrapped}, {_OLD.sub('_oldSelf', text)})"


def _message(rule: Schema, variables: dict[str, Any]) -> str:
    if expression := rule.get("messageExpression"):
        try:
            said = compiled(expression)(variables)
        except (Failed, Uncompilable):
            said = ""
        if isinstance(said, str) and said.strip() and "\n" not in said.strip():
            return said.strip()
    return (rule.get("message") or "").strip() or f"failed rule: {rule['rule'].strip()}"


def _refusal(rule: Schema, path: str, value: Any, text: str) -> FieldError:
    match rule.get("reason"):
        case "FieldValueForbidden":
            return forbidden(path, text)
        case "FieldValueRequired":
            return required(path, text)
        case "FieldValueDuplicate":
            return duplicate(path, value)
    return invalid_whole(path, text) if isinstance(value, dict | list) else invalid(path, value, text)


# -- which rules


def problem(schema: Schema, rule: Schema) -> str:
    """Why a rule of a schema can be evaluated nowhere; empty if it can be, here or by upstream."""
    try:
        compiled(rule["rule"])
    except Uncompilable as error:
        if error.is_syntax:
            return str(error)
    variables = ("self",) if rule.get("optionalOldSelf") else ("self", "oldSelf")
    return undefined(compiled_schema(schema), rule["rule"], variables)


@lru_cache(1024)
def evaluated(schema: Structural) -> tuple[Schema, ...]:
    """The rules of one node that are held against objects."""
    return tuple(rule for rule in schema.schema.get(RULES) or () if not why_not(schema, rule))


def why_not(schema: Structural, rule: Schema) -> str:
    """Why a rule is not held against objects here; empty if it is."""
    try:
        compiled(_expression(schema, rule, ABSENT))
    except Uncompilable as error:
        return str(error).partition("\n")[0]
    if name := unreachable(schema, rule["rule"]):
        return f"{name} has a format that can be told from a text only where it is named from self on"
    return ""


def unevaluated(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """The rules of a schema that are not held against objects: where, which, and why not."""
    yield from _unevaluated(compiled_schema(schema), "")


def _unevaluated(schema: Structural, path: str) -> Iterator[tuple[str, str, str]]:
    if not schema.has_rules:
        return
    for rule in schema.schema.get(RULES) or ():
        if reason := why_not(schema, rule):
            yield path or "the object", rule["rule"], reason
    for name, inner in schema.properties.items():
        yield from _unevaluated(inner, f"{path}.{name}" if path else name)
    for below in (schema.items, schema.additional):
        if below is not None:
            yield from _unevaluated(below, f"{path}[*]")


# -- values


def activation(schema: Structural | None, value: Any) -> Any:
    """A value as rules see it: names that are none in CEL are escaped, whole numbers of type number are not whole."""
    if isinstance(value, dict):
        declared = schema.properties if schema is not None else {}
        members = ((name, schema.member(name) if schema is not None else None, entry) for name, entry in value.items())
        return {
            escaped(name) if name in declared else name: activation(member, entry) for name, member, entry in members
        }
    if isinstance(value, list):
        items = schema.items if schema is not None else None
        return [activation(items, entry) for entry in value]
    if schema is not None and schema.schema.get("type") == "number" and isinstance(value, int):
        return float(value)
    return value


def _by_key(schema: Schema, old: Any) -> dict[Any, Any]:
    """The items of a list before, where keys tell which is which."""
    if not isinstance(old, list) or schema.get("x-kubernetes-list-type") != "map":
        return {}
    return {_key(schema, entry): entry for entry in old}


def _key(schema: Schema, entry: Any) -> Any:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    return tuple(str(entry.get(key)) for key in keys) if isinstance(entry, dict) else None
