"""Printed columns that a definition names, and what stands in them (A210).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from holdfast.api.resource import NAME, Column, Manifest
from holdfast.api.table import age

from . import paths

_AGE = Column("Age", "date", documents="meta.v1.ObjectMeta.creationTimestamp")
_CREATED = ".metadata.creationTimestamp"


def columns_of(given: Sequence[Manifest]) -> tuple[Column, ...]:
    """The name, then what is defined; an age if nothing is."""
    return (NAME, *(_column(one) for one in given)) if given else (NAME, _AGE)


def _column(given: Manifest) -> Column:
    path = given["jsonPath"]
    text = given.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return Column(given["name"], given["type"], given.get("format", ""), given.get("priority", 0), text=text)


def cells_of(given: Sequence[Manifest]) -> Callable[[Manifest, datetime], list[Any]]:
    """What makes the cells of an object."""
    wanted = [(one["type"], one["jsonPath"]) for one in given] or [("date", _CREATED)]

    def cells(manifest: Manifest, now: datetime) -> list[Any]:
        return [manifest["metadata"]["name"], *(_cell(kind, paths.find(path, manifest), now) for kind, path in wanted)]

    return cells


def _cell(kind: str, found: list[Any], now: datetime) -> Any:
    if not found:
        return None
    value = found[0]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "string":
            return value if isinstance(value, str) else _printed(value)
        case "integer" if is_number:
            return int(value)
        case "number" if is_number:
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            return _age(value, now)
    return None


def _printed(value: Any) -> str:
    return "<nil>" if value is None else msgspec.json.encode(value, order="sorted").decode()


def _age(text: str, now: datetime) -> str:
    try:
        return age(text, now)
    except ValueError:
        return "<invalid>"
