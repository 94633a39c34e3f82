"""IngressClasses: stored for the controllers that users bring."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid
from holdfast.api.field_rules import immutable, label_key, present
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age


def default(ingress_class: Manifest) -> None:
    parameters = ingress_class.setdefault("spec", {}).get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def validate(ingress_class: Manifest) -> list[FieldError]:
    spec = ingress_class["spec"]
    controller = spec.get("controller", "")
    errors: list[FieldError] = []
    if len(controller) > 250:
        errors.append(invalid("spec.controller", controller, "must be no more than 250 characters"))
    elif controller:
        errors += label_key("spec.controller", controller.replace("/", "_").replace("_", "/", 1))
    parameters = spec.get("parameters")
    if parameters is not None:
        errors += present("spec.parameters.kind", parameters.get("kind"))
        errors += present("spec.parameters.name", parameters.get("name"))
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*immutable("spec.controller", new["spec"].get("controller"), old["spec"].get("controller"))]


def cells(ingress_class: Manifest, now: datetime) -> list[Any]:
    spec = ingress_class["spec"]
    parameters, shown = spec.get("parameters"), "<none>"
    if parameters:
        group = parameters.get("apiGroup")
        kind, name = parameters.get("kind", ""), parameters.get("name", "")
        shown = f"{kind}.{group}/{name}" if group else f"{kind}/{name}"
    return [
        ingress_class["metadata"]["name"],
        spec.get("controller", ""),
        shown,
        age(ingress_class["metadata"].get("creationTimestamp"), now),
    ]


INGRESS_CLASSES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(
        NAME,
        Column("Controller", text="Controller that is responsible for handling this class"),
        Column("Parameters", text="A reference to a resource with additional parameters"),
        AGE,
    ),
    cells=cells,
    has_generation=True,
)
