"""StorageClasses (V3, V9)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.core.node_labels import OLD_LABELS
from holdfast.api.errors import FieldError, duplicate, invalid, required, too_long
from holdfast.api.field_rules import immutable, label_key, named, required_and_supported
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

DEFAULT_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
_OLD_DEFAULT_ANNOTATION = "storageclass.beta.kubernetes.io/is-default-class"
_MOST_PARAMETERS, _PARAMETER_BYTES = 512, 256 * 1024


def is_default(storage_class: Manifest) -> bool:
    """Whether claims that name no class get this one (V9)."""
    annotations = storage_class["metadata"].get("annotations", {})
    return "true" in (annotations.get(DEFAULT_ANNOTATION), annotations.get(_OLD_DEFAULT_ANNOTATION))


def default(storage_class: Manifest) -> None:
    storage_class.setdefault("provisioner", "")
    storage_class.setdefault("reclaimPolicy", "Delete")
    storage_class.setdefault("volumeBindingMode", "Immediate")


def validate(storage_class: Manifest) -> list[FieldError]:
    provisioner = storage_class.get("provisioner", "")
    errors: list[FieldError] = []
    errors += validate_provisioner("provisioner", provisioner)
    errors += validate_parameters(storage_class.get("parameters", {}))
    policies, modes = ("Delete", "Retain"), ("Immediate", "WaitForFirstConsumer")
    errors += required_and_supported("reclaimPolicy", storage_class.get("reclaimPolicy", ""), policies)
    errors += required_and_supported("volumeBindingMode", storage_class.get("volumeBindingMode", ""), modes)
    for i, term in enumerate(storage_class.get("allowedTopologies", ())):
        errors += _topology(f"allowedTopologies[{i}]", term)
    return errors


def validate_provisioner(field: str, name: str) -> Iterator[FieldError]:
    """The name of whatever makes volumes, as `example.com/maker`."""
    if not name:
        yield required(field)
    else:
        yield from named(field, name.lower(), names.qualified_name)


def validate_parameters(parameters: dict[str, str]) -> list[FieldError]:
    errors = []
    if len(parameters) > _MOST_PARAMETERS:
        errors.append(too_long("Provisioner Parameters Length", _MOST_PARAMETERS))
    for name in parameters:
        if not name:
            errors.append(invalid("parameters", name, "field can not be empty."))
    if sum(len(name) + len(value) for name, value in parameters.items()) > _PARAMETER_BYTES:
        errors.append(too_long("parameters", _PARAMETER_BYTES))
    return errors


def _topology(field: str, term: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, requirement in enumerate(term.get("matchLabelExpressions", ())):
        at, key, values = f"{field}.matchLabelExpressions[{i}]", requirement.get("key", ""), requirement.get("values")
        if not values:
            errors.append(required(f"{at}.values"))
        for j, value in enumerate(values or ()):
            if value in values[:j]:
                errors.append(duplicate(f"{at}.values[{j}]", value))
        errors += label_key(f"{at}.key", key)
        if key in seen:
            errors.append(duplicate(f"{at}.key", key))
        seen.add(key)
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    for field in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        errors += immutable(field, new.get(field), old.get(field))
    return errors


def cells(storage_class: Manifest, now: datetime) -> list[Any]:
    name = storage_class["metadata"]["name"]
    return [
        f"{name} (default)" if is_default(storage_class) else name,
        storage_class.get("provisioner", ""),
        storage_class.get("reclaimPolicy") or "Delete",
        storage_class.get("volumeBindingMode") or "Immediate",
        bool(storage_class.get("allowVolumeExpansion")),
        age(storage_class["metadata"].get("creationTimestamp"), now),
    ]


def warnings(storage_class: Manifest) -> list[str]:
    return [
        f"allowedTopologies[{i}].matchLabelExpressions[{j}].key: {OLD_LABELS[key]}"
        for i, term in enumerate(storage_class.get("allowedTopologies", ()))
        for j, expression in enumerate(term.get("matchLabelExpressions", ()))
        if (key := expression.get("key", "")) in OLD_LABELS
    ]


STORAGE_CLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    namespaced=False,
    short_names=("sc",),
    default=default,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    columns=(
        NAME,
        Column("Provisioner", documents="storage.v1.StorageClass.provisioner"),
        Column("ReclaimPolicy", documents="storage.v1.StorageClass.reclaimPolicy"),
        Column("VolumeBindingMode", documents="storage.v1.StorageClass.volumeBindingMode"),
        Column("AllowVolumeExpansion", documents="storage.v1.StorageClass.allowVolumeExpansion"),
        AGE,
    ),
    cells=cells,
    delete_returns_object=True,
)
