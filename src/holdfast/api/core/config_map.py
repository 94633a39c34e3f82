"""ConfigMaps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

from .data_validation import encoded_bytes, validate_kept, validate_keys, within_limit


def validate(config_map: Manifest) -> list[FieldError]:
    data, binary = config_map.get("data", {}), config_map.get("binaryData", {})
    errors = [*validate_keys("data", data)]
    errors += [invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary]
    errors += validate_keys("binaryData", binary)
    total_bytes = sum(len(value.encode()) for value in data.values()) + encoded_bytes(binary)
    # Upstream measures all data and names no field.
    return [*errors, *within_limit("[]", total_bytes)]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*validate_kept(new, old, ("data", "binaryData"))]


def cells(config_map: Manifest, now: datetime) -> list[Any]:
    return [
        config_map["metadata"]["name"],
        len(config_map.get("data", ())) + len(config_map.get("binaryData", ())),
        age(config_map["metadata"].get("creationTimestamp"), now),
    ]


CONFIG_MAPS = Resource(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    short_names=("cm",),
    validate=validate,
    validate_update=validate_update,
    tells_changes_first=True,
    columns=(NAME, Column("Data", documents="core.v1.ConfigMap.data"), AGE),
    cells=cells,
)
