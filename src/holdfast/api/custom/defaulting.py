"""Fills what is absent by the defaults of a schema (A204).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from holdfast.api.errors import FieldError, invalid

from .structural import ABSENT, Schema, Structural, compiled


def defaulted(schema: Structural, value: Any) -> Any:
    """The value with its defaults, which is itself if none is missing. Defaults are shared: nobody may change them."""
    if not schema.has_defaults:
        return value
    if isinstance(value, dict):
        return _members(schema, value)
    if isinstance(value, list) and schema.items is not None:
        items = schema.items
        filled = [_present(items, entry) for entry in value]
        return value if all(one is other for one, other in zip(filled, value, strict=True)) else filled
    return value


def _members(schema: Structural, value: dict[str, Any]) -> dict[str, Any]:
    changes = {
        name: defaulted(member, member.default)
        for name, member in schema.properties.items()
        if member.default is not ABSENT and (name not in value or _is_wrong_null(member, value[name]))
    }
    for name, entry in value.items():
        member = schema.member(name)
        if name not in changes and member is not None and (filled := _present(member, entry)) is not entry:
            changes[name] = filled
    return {**value, **changes} if changes else value


def _present(schema: Structural, value: Any) -> Any:
    if _is_wrong_null(schema, value) and schema.default is not ABSENT:
        value = schema.default
    return defaulted(schema, value)


def _is_wrong_null(schema: Structural, value: Any) -> bool:
    return value is None and not schema.is_nullable


# -- defaults as a definition gives them


def wrong_defaults(field: str, schema: Schema) -> Iterator[FieldError]:
    """What is wrong with the defaults of a whole object's schema, `field` being where that stands.

    Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/validation.go.
    """
    yield from _wrong(field, compiled(schema))


def _wrong(field: str, schema: Structural) -> Iterator[FieldError]:
    if not schema.has_defaults:
        return
    if schema.default is not ABSENT:
        yield from _wrong_default(f"{field}.default", schema)
    if schema.items is not None:
        yield from _wrong(f"{field}.items", schema.items)
    for name, member in sorted(schema.properties.items()):
        yield from _wrong(f"{field}.properties[{name}]", member)


def _wrong_default(field: str, schema: Structural) -> Iterator[FieldError]:
    from .pruning import pruned_value
    from .validation import value_errors

    if pruned_value(schema, schema.default) != schema.default:
        yield invalid(field, schema.default, "must not have unknown fields")
    for error in value_errors(schema.schema, schema.default):
        yield replace(error, field=field if error.field in ("", "<nil>") else f"{field}.{error.field}")
