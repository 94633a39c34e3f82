"""Ingresses: stored for the controllers that users bring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, required, show
from holdfast.api.field_rules import is_ip_address, named, port_number, present, required_name, supported
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_THE_END = ("/..", "/.")


def default(ingress: Manifest) -> None:
    ingress.setdefault("spec", {})
    ingress.setdefault("status", {}).setdefault("loadBalancer", {})


def validate(ingress: Manifest) -> list[FieldError]:
    spec = ingress["spec"]
    rules, backend = spec.get("rules", []), spec.get("defaultBackend")
    if not rules and backend is None:
        shown = spec or None
        return [invalid("spec", shown, "either `defaultBackend` or `rules` must be specified")]
    errors = [*_backend("spec.defaultBackend", backend)] if backend is not None else []
    for i, rule in enumerate(rules):
        errors += _rule(f"spec.rules[{i}]", rule)
    for i, tls in enumerate(spec.get("tls", ())):
        for j, host in enumerate(tls.get("hosts", ())):
            errors += _host(f"spec.tls[{i}].hosts[{j}]", host)
    if name := spec.get("ingressClassName"):
        errors += named("spec.ingressClassName", name, names.dns_subdomain)
    return errors


def _rule(field: str, rule: Manifest) -> Iterator[FieldError]:
    host = rule.get("host", "")
    if host and is_ip_address(host):
        yield invalid(f"{field}.host", host, "must be a DNS name, not an IP address")
    elif host:
        yield from _host(f"{field}.host", host)
    http = rule.get("http")
    if http is None:
        return
    yield from present(f"{field}.http.paths", http.get("paths"))
    for i, path in enumerate(http.get("paths", ())):
        yield from _path(f"{field}.http.paths[{i}]", path)


def _host(field: str, host: str) -> Iterator[FieldError]:
    yield from named(field, host.removeprefix("*."), names.dns_subdomain)


def _path(field: str, path: Manifest) -> Iterator[FieldError]:
    kind, text = path.get("pathType"), path.get("path", "")
    if kind is None:
        yield required(f"{field}.pathType", "pathType must be specified")
    else:
        yield from supported(f"{field}.pathType", kind, _PATH_TYPES)
        yield from _path_text(f"{field}.path", kind, text)
    yield from _backend(f"{field}.backend", path.get("backend", {}))


def _path_text(field: str, kind: str, text: str) -> Iterator[FieldError]:
    if not text and kind == "ImplementationSpecific":
        return
    if not text.startswith("/"):
        yield invalid(field, text, "must be an absolute path")
    if kind == "ImplementationSpecific":
        return
    for part in _NOT_IN_PATHS:
        if part in text:
            yield invalid(field, text, f"must not contain '{part}'")
    for part in _NOT_AT_THE_END:
        if text.endswith(part):
            yield invalid(field, text, f"cannot end with '{part}'")


def _backend(field: str, backend: Manifest) -> Iterator[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service and resource:
        yield invalid(field, "", "cannot set both resource and service backends")
    elif not service and not resource:
        yield required(field, "at least one of `service` or `resource` must be specified")
    elif service:
        yield from required_name(f"{field}.service.name", service.get("name", ""), names.dns_label)
        yield from _backend_port(f"{field}.service.port", service.get("port", {}))


def _backend_port(field: str, port: Manifest) -> Iterator[FieldError]:
    name, number = port.get("name"), port.get("number")
    if name and number:
        yield invalid(field, "", "cannot set both port name & port number")
    elif name:
        yield from named(f"{field}.name", name, names.port_name)
    elif number:
        yield from port_number(f"{field}.number", number)
    else:
        yield required(field, "port name or number is required")


def cells(ingress: Manifest, now: datetime) -> list[Any]:
    spec = ingress["spec"]
    by_annotation = ingress["metadata"].get("annotations", {}).get(CLASS_ANNOTATION)
    return [
        ingress["metadata"]["name"],
        spec.get("ingressClassName") or by_annotation or "<none>",
        _hosts(spec.get("rules", [])),
        _addresses(ingress),
        "80, 443" if spec.get("tls") else "80",
        age(ingress["metadata"].get("creationTimestamp"), now),
    ]


def _hosts(rules: list[Manifest]) -> str:
    """The first three, and how many more there are."""
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    more = len(hosts) - 3
    return (",".join(hosts[:3]) + (f" + {more} more..." if more > 0 else "")) or "*"


def _addresses(ingress: Manifest) -> str:
    balancers = ingress.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    return ",".join(str(entry.get("ip") or entry.get("hostname") or "") for entry in balancers)


def new_warnings(ingress: Manifest) -> list[str]:
    is_old = CLASS_ANNOTATION in (ingress["metadata"].get("annotations") or {})
    if not is_old or "ingressClassName" in ingress.get("spec", {}):
        return []
    return [f"annotation {show(CLASS_ANNOTATION)} is deprecated, please use 'spec.ingressClassName' instead"]


INGRESSES = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    short_names=("ing",),
    subresources=(STATUS,),
    default=default,
    validate=validate,
    create_warnings=new_warnings,
    columns=(
        NAME,
        Column("Class", text="The name of the IngressClass resource that should be used for additional configuration"),
        Column("Hosts", text="Hosts that incoming requests are matched against before the ingress rule"),
        Column("Address", text="Address is a list containing ingress points for the load-balancer"),
        Column("Ports", text="Ports of TLS configurations that open"),
        AGE,
    ),
    cells=cells,
    initial_status={"loadBalancer": {}},
    has_generation=True,
)
