"""Namespaces (W-J)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid
from holdfast.api.metadata import BARE_FINALIZERS
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource, Subresource
from holdfast.api.table import age

NAME_LABEL = "kubernetes.io/metadata.name"


def default(namespace: Manifest) -> None:
    """Every namespace can be selected by its name; the label comes back if it is taken off."""
    metadata = namespace.setdefault("metadata", {})
    if name := metadata.get("name"):
        metadata.setdefault("labels", {})[NAME_LABEL] = name
    namespace.setdefault("spec", {})
    status = namespace.setdefault("status", {})
    status["phase"] = status.get("phase") or "Active"


def prepare_create(namespace: Manifest) -> None:
    """The finalizer holds the namespace until it is empty."""
    namespace["status"] = {"phase": "Active"}
    finalizers = namespace["spec"].setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    default(namespace)


def prepare_update(new: Manifest, old: Manifest) -> None:
    """Finalizers of the spec change through /finalize only."""
    new["spec"] = {**new.get("spec", {}), **old.get("spec", {})}


def validate(namespace: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    for finalizer in namespace.get("spec", {}).get("finalizers", ()):
        if error := names.qualified_name(finalizer):
            errors.append(invalid("spec.finalizers", finalizer, error))
        elif "/" not in finalizer and finalizer not in BARE_FINALIZERS:
            refusal = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(invalid("spec.finalizers", finalizer, refusal))
    return errors


def cells(namespace: Manifest, now: datetime) -> list[Any]:
    return [
        namespace["metadata"]["name"],
        namespace.get("status", {}).get("phase", ""),
        age(namespace["metadata"].get("creationTimestamp"), now),
    ]


NAMESPACES = Resource(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(Subresource("finalize", verbs=("update",)), STATUS),
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_name=names.dns_label,
    fields={"status.phase": lambda namespace: str(namespace.get("status", {}).get("phase", ""))},
    columns=(NAME, Column("Status", text="The status of the namespace"), AGE),
    cells=cells,
    initial_status={"phase": "Active"},
    delete_returns_object=True,
)
