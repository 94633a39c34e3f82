"""IngressClasses: stored for the controllers that users bring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, forbidden, required, too_long
from holdfast.api.field_rules import domain_prefixed_path, immutable, named, supported
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
        errors.append(too_long("spec.controller", 250))
    errors += domain_prefixed_path("spec.controller", controller)
    parameters = spec.get("parameters")
    if parameters is not None:
        errors += _parameters("spec.parameters", parameters)
    return errors


def _parameters(field: str, parameters: Manifest) -> Iterator[FieldError]:
    yield from object_reference(field, parameters)
    scope, namespace = parameters.get("scope", ""), parameters.get("namespace")
    yield from supported(f"{field}.scope", scope, ("Cluster", "Namespace"))
    if scope == "Namespace":
        if namespace is None:
            yield required(f"{field}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            yield from named(f"{field}.namespace", namespace, names.dns_label)
    elif scope == "Cluster" and namespace is not None:
        yield forbidden(f"{field}.namespace", "`parameters.scope` is set to 'Cluster'")


def object_reference(field: str, reference: Manifest) -> Iterator[FieldError]:
    """To an object of any kind."""
    if reference.get("apiGroup") is not None:
        yield from named(f"{field}.apiGroup", reference["apiGroup"], names.dns_subdomain)
    for member in ("kind", "name"):
        if text := reference.get(member):
            yield from named(f"{field}.{member}", text, names.path_segment_name)
        else:
            yield required(f"{field}.{member}", f"{member} is required")


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
    tells_changes_first=True,
    columns=(
        NAME,
        Column("Controller", text="Controller that is responsible for handling this class"),
        Column("Parameters", text="A reference to a resource with additional parameters"),
        AGE,
    ),
    cells=cells,
    has_generation=True,
)
