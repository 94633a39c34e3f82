"""RuntimeClasses: stored; pods that name one get its overhead and its place (A245)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.core.placement_validation import validate_tolerations
from holdfast.api.core.resource_validation import validate_resource_requirements
from holdfast.api.errors import FieldError, duplicate
from holdfast.api.field_rules import immutable, label_map, required_name
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age


def validate(runtime_class: Manifest) -> list[FieldError]:
    errors = [*required_name("handler", runtime_class.get("handler", ""), names.dns_label)]
    overhead = runtime_class.get("overhead") or {}
    errors += validate_resource_requirements("overhead.podFixed", {"limits": overhead.get("podFixed") or {}})
    scheduling = runtime_class.get("scheduling") or {}
    errors += label_map("scheduling.nodeSelector", scheduling.get("nodeSelector") or {})
    tolerations = scheduling.get("tolerations") or []
    errors += validate_tolerations("scheduling.tolerations", tolerations)
    for i, toleration in enumerate(tolerations):
        if toleration in tolerations[:i]:
            errors.append(duplicate(f"scheduling.tolerations[{i}]", toleration))
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*immutable("handler", new.get("handler"), old.get("handler"))]


def cells(runtime_class: Manifest, now: datetime) -> list[Any]:
    metadata = runtime_class["metadata"]
    return [metadata["name"], runtime_class.get("handler", ""), age(metadata.get("creationTimestamp"), now)]


RUNTIME_CLASSES = Resource(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    validate=validate,
    validate_update=validate_update,
    columns=(NAME, Column("Handler", documents="node.v1.RuntimeClass.handler"), AGE),
    cells=cells,
    creates_on_update=True,
    allows_unconditional_update=False,
)
