"""CSINodes: stored, for tools that look for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api.core.network_volumes import csi_driver_name
from holdfast.api.errors import FieldError, duplicate, invalid, required
from holdfast.api.field_rules import label_key, not_negative
from holdfast.api.meaning import same
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

_LONGEST_ID = 192


def default(node: Manifest) -> None:
    node.setdefault("spec", {}).setdefault("drivers", [])


def validate(node: Manifest) -> list[FieldError]:
    seen: set[str] = set()
    return [
        error
        for i, driver in enumerate(node["spec"]["drivers"])
        for error in _driver(f"spec.drivers[{i}]", driver, seen)
    ]


def _driver(field: str, driver: Manifest, seen: set[str]) -> Iterator[FieldError]:
    """Remembers its name in `seen`."""
    name, node_id = driver.get("name", ""), driver.get("nodeID", "")
    yield from csi_driver_name(f"{field}.name", name)
    if not node_id:
        yield required(f"{field}.nodeID")
    elif len(node_id) > _LONGEST_ID:
        yield invalid(f"{field}.nodeID", node_id, f"must be {_LONGEST_ID} characters or less")
    yield from not_negative(f"{field}.allocatable.count", driver.get("allocatable", {}).get("count"))
    if name in seen:
        yield duplicate(f"{field}.name", name)
    seen.add(name)
    keys = driver.get("topologyKeys", [])
    for i, key in enumerate(keys):
        if not key:
            yield required(field)
        if key in keys[:i]:
            yield duplicate(field, key)
        yield from label_key(field, key)


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Of a driver that stays, only how many volumes it can serve changes."""
    errors: list[FieldError] = []
    for before in old["spec"].get("drivers", ()):
        for driver in new["spec"]["drivers"]:
            if driver.get("name") != before.get("name") or same(_fixed(driver), _fixed(before)):
                continue
            errors.append(invalid("spec.drivers", _structure(driver), "field is immutable"))
    return errors


def _fixed(driver: Manifest) -> Manifest:
    return {name: value for name, value in driver.items() if name != "allocatable"}


def _structure(driver: Manifest) -> Manifest:
    """Upstream's message shows its internal structure, without what may change."""
    return {
        "Name": driver.get("name", ""),
        "NodeID": driver.get("nodeID", ""),
        "TopologyKeys": driver.get("topologyKeys"),
        "Allocatable": None,
    }


def cells(node: Manifest, now: datetime) -> list[Any]:
    return [
        node["metadata"]["name"],
        len(node["spec"].get("drivers", ())),
        age(node["metadata"].get("creationTimestamp"), now),
    ]


CSI_NODES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(NAME, Column("Drivers", "integer", documents="storage.v1.CSINodeSpec.drivers"), AGE),
    cells=cells,
    allows_unconditional_update=False,
    delete_returns_object=True,
)
