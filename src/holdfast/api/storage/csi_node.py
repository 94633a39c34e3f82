"""CSINodes: stored, for tools that look for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, duplicate, required
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age


def default(node: Manifest) -> None:
    node.setdefault("spec", {}).setdefault("drivers", [])


def validate(node: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, driver in enumerate(node["spec"]["drivers"]):
        at, name = f"spec.drivers[{i}]", driver.get("name", "")
        errors += [required(f"{at}.{field}") for field in ("name", "nodeID") if not driver.get(field)]
        if name in seen:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
    return errors


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
    columns=(NAME, Column("Drivers", "integer", documents="storage.v1.CSINodeSpec.drivers"), AGE),
    cells=cells,
    allows_unconditional_update=False,
    delete_returns_object=True,
)
