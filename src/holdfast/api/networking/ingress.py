"""Ingresses: stored for the controllers that users bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, required, show
from holdfast.api.field_rules import ip_address, is_ip_address, named, port_number, present, required_name, supported
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.table import age

from .ingress_class import object_reference

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_THE_END = ("/..", "/.")


def default(ingress: Manifest) -> None:
    ingress.setdefault("spec", {})
    ingress.setdefault("status", {}).setdefault("loadBalancer", {})


def validate(ingress: Manifest) -> list[FieldError]:
    return [*_spec(ingress["spec"])]


def validate_create(ingress: Manifest) -> list[FieldError]:
    """An annotation named the class before there was a field: both at once say two things."""
    value = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    if value is None or "ingressClassName" not in ingress["spec"]:
        return []
    return [invalid(f"annotations.{CLASS_ANNOTATION}", value, "can not be set when the class field is also set")]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """What was stored under older rules does not hold an update up."""
    before = old["spec"]
    any_secret = any([*_secret("", tls)] for tls in before.get("tls", ()))
    any_rule = any("*" in rule.get("host", "") and [*_http("", rule)] for rule in before.get("rules", ()))
    return [*_spec(new["spec"], checks_secrets=not any_secret, checks_wildcard_rules=not any_rule)]


def _spec(spec: Manifest, checks_secrets: bool = True, checks_wildcard_rules: bool = True) -> Iterator[FieldError]:
    rules, backend = spec.get("rules", []), spec.get("defaultBackend")
    if not rules and backend is None:
        yield invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        yield from _backend("spec.defaultBackend", backend)
    for i, rule in enumerate(rules):
        yield from _host(f"spec.rules[{i}].host", rule.get("host", ""))
        if checks_wildcard_rules or "*" not in rule.get("host", ""):
            yield from _http(f"spec.rules[{i}]", rule)
    for i, tls in enumerate(spec.get("tls", ())):
        for j, host in enumerate(tls.get("hosts", ())):
            yield from named(f"spec.tls[{i}].hosts[{j}]", host, _host_rule(host))
        if checks_secrets:
            yield from _secret(f"spec.tls[{i}]", tls)
    if "ingressClassName" in spec:
        yield from named("spec.ingressClassName", spec["ingressClassName"], names.dns_subdomain)


def _host(field: str, host: str) -> Iterator[FieldError]:
    if not host:
        return
    if is_ip_address(host):
        yield invalid(field, host, "must be a DNS name, not an IP address")
    yield from named(field, host, _host_rule(host))


def _host_rule(host: str) -> Callable[[str], str]:
    return names.wildcard_subdomain if "*" in host else names.dns_subdomain


def _secret(field: str, tls: Manifest) -> Iterator[FieldError]:
    if name := tls.get("secretName"):
        yield from named(f"{field}.secretName", name, names.dns_subdomain)


def _http(field: str, rule: Manifest) -> Iterator[FieldError]:
    http = rule.get("http")
    if http is None:
        return
    yield from present(f"{field}.http.paths", http.get("paths"))
    for i, path in enumerate(http.get("paths", ())):
        yield from _path(f"{field}.http.paths[{i}]", path)


def _path(field: str, path: Manifest) -> Iterator[FieldError]:
    kind, text = path.get("pathType"), path.get("path", "")
    if kind is None:
        yield required(f"{field}.pathType", "pathType must be specified")
        return
    yield from supported(f"{field}.pathType", kind, _PATH_TYPES)
    if kind in _PATH_TYPES:
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
    if service is not None and resource is not None:
        yield invalid(field, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from object_reference(f"{field}.resource", resource)
    elif service is not None:
        yield from required_name(f"{field}.service.name", service.get("name", ""), names.dns_label)
        yield from _backend_port(field, service.get("port", {}))
    else:
        yield invalid(field, "", "resource or service backend is required")


def _backend_port(field: str, port: Manifest) -> Iterator[FieldError]:
    name, number = port.get("name"), port.get("number")
    if name and number:
        yield invalid(field, "", "cannot set both port name & port number")
    elif name:
        yield from named(f"{field}.service.port.name", name, names.port_name)
    elif number:
        yield from port_number(f"{field}.service.port.number", number)
    else:
        yield required(field, "port name or number is required")


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*_status("status.loadBalancer.ingress", new.get("status", {}).get("loadBalancer", {}))]


def _status(field: str, balancer: Manifest) -> Iterator[FieldError]:
    for i, entry in enumerate(balancer.get("ingress", ())):
        if entry.get("ip"):
            yield from ip_address(f"{field}[{i}].ip", entry["ip"])
        if host := entry.get("hostname"):
            yield from named(f"{field}[{i}].hostname", host, names.dns_subdomain)
            if is_ip_address(host):
                yield invalid(f"{field}[{i}].hostname", host, "must be a DNS name, not an IP address")


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
    validate_create=validate_create,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    validates_updates_whole=False,
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
