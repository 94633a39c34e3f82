"""Services (D10-D19). Addresses and node ports are allocated by admission; here is what needs no allocator."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource, Subresource
from holdfast.api.selectors import selector_from_labels
from holdfast.api.table import age

from .service_defaults import default, prepare_create, prepare_update
from .service_validation import validate, validate_status_update, validate_update, warnings


def cells(service: Manifest, now: datetime) -> list[Any]:
    spec = service["spec"]
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP") or "<none>"]
    return [
        service["metadata"]["name"],
        spec.get("type", ""),
        addresses[0],
        _external_address(service),
        ",".join(map(_port, spec.get("ports", ()))) or "<none>",
        age(service["metadata"].get("creationTimestamp"), now),
        str(selector_from_labels(spec.get("selector"))) or "<none>",
    ]


def _external_address(service: Manifest) -> str:
    spec = service["spec"]
    given = list(spec.get("externalIPs", ()))
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
            found = sorted({str(entry.get("ip") or entry.get("hostname") or "") for entry in ingress} - {""})
            return ",".join([*found, *given]) or "<pending>"
    return ",".join(given) or "<none>"


def _port(port: Manifest) -> str:
    number = f"{port.get('port', 0)}:{port['nodePort']}" if port.get("nodePort") else str(port.get("port", 0))
    return f"{number}/{port.get('protocol', '')}"


SERVICES = Resource(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    subresources=(
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="ServiceProxyOptions"),
        STATUS,
    ),
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    tells_changes_first=True,
    warnings=warnings,
    validate_name=names.dns_label,
    fields={
        "spec.clusterIP": lambda service: str(service["spec"].get("clusterIP", "")),
        "spec.type": lambda service: str(service["spec"].get("type", "")),
    },
    columns=(
        NAME,
        Column("Type", documents="core.v1.ServiceSpec.type"),
        Column("Cluster-IP", documents="core.v1.ServiceSpec.clusterIP"),
        Column("External-IP", documents="core.v1.ServiceSpec.externalIPs"),
        Column("Port(s)", documents="core.v1.ServiceSpec.ports"),
        AGE,
        Column("Selector", priority=1, documents="core.v1.ServiceSpec.selector"),
    ),
    cells=cells,
    initial_status={"loadBalancer": {}},
    creates_on_update=True,
    delete_returns_object=True,
)
