"""PriorityClasses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, forbidden, invalid
from holdfast.api.field_rules import supported
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

SYSTEM_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
HIGHEST_OF_USERS = 1_000_000_000


def default(priority_class: Manifest) -> None:
    priority_class.setdefault("value", 0)
    priority_class["preemptionPolicy"] = priority_class.get("preemptionPolicy") or "PreemptLowerPriority"


def validate(priority_class: Manifest) -> list[FieldError]:
    name, value = priority_class["metadata"].get("name", ""), priority_class["value"]
    errors: list[FieldError] = []
    if name.startswith("system-"):
        if SYSTEM_PRIORITIES.get(name) != value:
            refusal = (
                f"priority class names with 'system-' prefix are reserved for system use only. error: {name} is not"
            )
            errors.append(forbidden("metadata.name", f"{refusal} a known system priority class"))
    elif value > HIGHEST_OF_USERS:
        refusal = f"maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}"
        errors.append(forbidden("value", refusal))
    policies = ("PreemptLowerPriority", "Never")
    return [*errors, *supported("preemptionPolicy", priority_class["preemptionPolicy"], policies)]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    errors = []
    if new["value"] != old["value"]:
        errors.append(forbidden("value", "may not be changed in an update."))
    if new["preemptionPolicy"] != old.get("preemptionPolicy", "PreemptLowerPriority"):
        errors.append(invalid("preemptionPolicy", new["preemptionPolicy"], "field is immutable"))
    return errors


def cells(priority_class: Manifest, now: datetime) -> list[Any]:
    return [
        priority_class["metadata"]["name"],
        priority_class.get("value", 0),
        bool(priority_class.get("globalDefault")),
        age(priority_class["metadata"].get("creationTimestamp"), now),
        priority_class.get("preemptionPolicy", ""),
    ]


PRIORITY_CLASSES = Resource(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    namespaced=False,
    short_names=("pc",),
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_updates_whole=False,
    columns=(
        NAME,
        Column("Value", "integer", documents="scheduling.v1.PriorityClass.value"),
        Column("Global-Default", "boolean", documents="scheduling.v1.PriorityClass.globalDefault"),
        AGE,
        Column("PreemptionPolicy", documents="scheduling.v1.PriorityClass.preemptionPolicy"),
    ),
    cells=cells,
    has_generation=True,
    generation_of=lambda priority_class: None,
)
