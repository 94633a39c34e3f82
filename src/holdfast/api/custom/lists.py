"""Items that may not repeat: lists that are sets, and lists whose items are told apart by keys (A205).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.api.errors import FieldError, duplicate, invalid

from .structural import Structural

_encode = msgspec.json.Encoder(order="sorted").encode


def repeated(schema: Structural, value: Any, path: str = "") -> Iterator[FieldError]:
    """What occurs twice in lists that allow it once."""
    if not schema.has_keyed_lists:
        return
    if isinstance(value, dict):
        for name, entry in value.items():
            member = schema.member(name)
            if member is not None:
                is_key = name not in schema.properties
                yield from repeated(member, entry, f"{path}[{name}]" if is_key else f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield from _items(schema, value, path)
        if schema.items is not None:
            for index, entry in enumerate(value):
                yield from repeated(schema.items, entry, f"{path}[{index}]")


def _items(schema: Structural, value: list[Any], path: str) -> Iterator[FieldError]:
    list_type, keys = schema.schema.get("x-kubernetes-list-type"), schema.schema.get("x-kubernetes-list-map-keys") or ()
    if list_type not in ("set", "map"):
        return
    seen: set[bytes] = set()
    for index, item in enumerate(value):
        if list_type == "map":
            if not isinstance(item, dict):
                yield invalid(f"{path}[{index}]", item, "must be an object for an array of list-type map")
                continue
            item = {key: item[key] for key in sorted(keys) if key in item}
        content = _encode(item)
        if content in seen:
            yield duplicate(f"{path}[{index}]", item)
        seen.add(content)
