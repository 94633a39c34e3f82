"""IngressClasses: stored for the controllers that users bring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import immutable, named, required_name, supported
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
        errors += _domain_path("spec.controller", controller)
    parameters = spec.get("parameters")
    if parameters is not None:
        errors += _parameters("spec.parameters", parameters)
    return errors


def _parameters(field: str, parameters: Manifest) -> Iterator[FieldError]:
    if "apiGroup" in parameters:
        yield from named(f"{field}.apiGroup", parameters["apiGroup"], names.dns_subdomain)
    for member in ("kind", "name"):
        yield from required_name(f"{field}.{member}", parameters.get(member, ""), names.path_segment_name)
    scope, namespace = parameters.get("scope", ""), parameters.get("namespace")
    yield from supported(f"{field}.scope", scope, ("Cluster", "Namespace"))
    if scope == "Namespace":
        if namespace is None:
            yield required(f"{field}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            yield from named(f"{field}.namespace", namespace, names.dns_label)
    elif scope == "Cluster" and namespace is not None:
        yield forbidden(f"{field}.namespace", "`parameters.scope` is set to 'Cluster'")


def _domain_path(field: str, text: str) -> Iterator[FieldError]:
    domain, _, path = text.partition("/")
    if not domain or not path:
        yield invalid(field, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        yield from named(field, domain, names.dns_subdomain)


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
