"""What is wrong with a Service, and what may not change in one (D11, D13, D16)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.api import names
from holdfast.api.address_warnings import address_warnings
from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, required
from holdfast.api.field_rules import (
    cidr,
    endpoint_address,
    ip_address,
    is_ip_address,
    label_key,
    label_map,
    named,
    port_number,
    required_and_supported,
    required_name,
    supported,
)
from holdfast.api.resource import Manifest

from .container_validation import PROTOCOLS
from .service_addresses import cluster_addresses, is_headless, kept_addresses
from .service_defaults import NODE_PORT_TYPES, is_externally_reached, needs_health_port

_OLD_HINTS, _HINTS = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_MOST_AFFINITY_S = 86400


def warnings(service: Manifest) -> list[str]:
    return [*_warnings(service)]


def _warnings(service: Manifest) -> Iterator[str]:
    spec, kind = service["spec"], service["spec"].get("type")
    is_headless = kind == "ClusterIP" and spec.get("clusterIP") == "None"
    if _OLD_HINTS in (service["metadata"].get("annotations") or {}):
        yield f"annotation {_OLD_HINTS} is deprecated, please use {_HINTS} instead"
    for i, address in enumerate(spec.get("clusterIPs", ())):
        yield from address_warnings(f"spec.clusterIPs[{i}]", address)
    if is_headless:
        if spec.get("loadBalancerIP"):
            yield "spec.loadBalancerIP is ignored for headless services"
        if spec.get("externalIPs"):
            yield "spec.externalIPs is ignored for headless services"
        if spec.get("sessionAffinity") != "None":
            yield "spec.SessionAffinity is ignored for headless services"
    for i, address in enumerate(spec.get("externalIPs", ())):
        yield from address_warnings(f"spec.externalIPs[{i}]", address)
    if spec.get("externalIPs") and not is_headless and kind != "ExternalName":
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    yield from address_warnings("spec.loadBalancerIP", spec.get("loadBalancerIP", ""))
    if kind == "ExternalName" and spec.get("externalIPs"):
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if kind != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def validate(service: Manifest) -> list[FieldError]:
    """In upstream's order, which shows where several things are wrong."""
    spec = service["spec"]
    return [
        *_annotations(service["metadata"].get("annotations") or {}),
        *_ports_given(spec),
        *_of_type(spec),
        *_ports("spec.ports", spec),
        *label_map("spec.selector", spec.get("selector", {})),
        *_affinity(spec),
        *cluster_addresses(spec),
        *_external_addresses(spec),
        *required_and_supported("spec.type", spec.get("type", ""), _TYPES),
        *_node_ports(spec),
        *_repeated_ports("spec.ports", spec.get("ports", [])),
        *_source_ranges(service),
        *_load_balancer(spec),
        *_traffic_policies(spec),
    ]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    now, then = new["spec"], old["spec"]
    return [*kept_addresses(now, then), *_kept_class(now, then), *_kept_health_port(now, then)]


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Where a load balancer says it can be reached."""
    field, entries = "status.loadBalancer.ingress", new.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    if entries and new["spec"].get("type") != "LoadBalancer":
        return [forbidden(field, "may only be used when `spec.type` is 'LoadBalancer'")]
    return [error for i, entry in enumerate(entries) for error in _ingress(f"{field}[{i}]", entry)]


def _ingress(field: str, entry: Manifest) -> Iterator[FieldError]:
    address, mode, name = entry.get("ip", ""), entry.get("ipMode"), entry.get("hostname", "")
    if address:
        yield from ip_address(f"{field}.ip", address)
    if mode is not None and not address:
        yield forbidden(f"{field}.ipMode", "may not be specified when `ip` is not set")
    elif mode is not None:
        yield from supported(f"{field}.ipMode", mode, ("Proxy", "VIP"))
    if name:
        yield from named(f"{field}.hostname", name, names.dns_subdomain)
        if is_ip_address(name):
            yield invalid(f"{field}.hostname", name, "must be a DNS name, not an IP address")


def _annotations(annotations: Manifest) -> Iterator[FieldError]:
    if _HINTS in annotations and _OLD_HINTS in annotations and annotations[_HINTS] != annotations[_OLD_HINTS]:
        refusal = f"must match annotations[{_OLD_HINTS}] when both are specified"
        yield invalid(f"metadata.annotations[{_HINTS}]", annotations[_HINTS], refusal)


def _kept_class(now: Manifest, then: Manifest) -> Iterator[FieldError]:
    balanced = now.get("type") == then.get("type") == "LoadBalancer"
    if balanced and now.get("loadBalancerClass") != then.get("loadBalancerClass"):
        yield invalid("spec.loadBalancerClass", now.get("loadBalancerClass"), "may not change once set")


def _kept_health_port(now: Manifest, then: Manifest) -> Iterator[FieldError]:
    if not (needs_health_port(now) and needs_health_port(then)):
        return
    if now.get("healthCheckNodePort", 0) != then.get("healthCheckNodePort", 0):
        yield forbidden("spec.healthCheckNodePort", "field is immutable")


def _ports_given(spec: Manifest) -> Iterator[FieldError]:
    if not spec.get("ports") and not is_headless(spec) and spec.get("type") != "ExternalName":
        yield required("spec.ports")


def _of_type(spec: Manifest) -> Iterator[FieldError]:
    kind = spec.get("type")
    if kind in NODE_PORT_TYPES and is_headless(spec):
        yield invalid("spec.clusterIPs[0]", spec["clusterIPs"][0], f"may not be set to 'None' for {kind} services")
    if kind != "ExternalName":
        return
    for member in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(member):
            yield forbidden(f"spec.{member}", "may not be set for ExternalName services")
    yield from required_name("spec.externalName", spec.get("externalName", "").removesuffix("."), names.dns_subdomain)


def _ports(field: str, spec: Manifest) -> Iterator[FieldError]:
    ports = spec.get("ports", [])
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at, name = f"{field}[{i}]", port.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{at}.name")
        elif name:
            yield from named(f"{at}.name", name, names.dns_label)
            if name in seen:
                yield duplicate(f"{at}.name", name)
            seen.add(name)
        yield from port_number(f"{at}.port", port.get("port", 0))
        yield from required_and_supported(f"{at}.protocol", port.get("protocol", ""), PROTOCOLS)
        yield from _target_port(f"{at}.targetPort", port.get("targetPort", 0))
        if "appProtocol" in port:
            yield from label_key(f"{at}.appProtocol", port["appProtocol"])


def _target_port(field: str, target: int | str) -> Iterator[FieldError]:
    if isinstance(target, int):
        yield from port_number(field, target)
    else:
        yield from named(field, target, names.port_name)


def _repeated_ports(field: str, ports: list[Manifest]) -> Iterator[FieldError]:
    seen: set[tuple[str, int]] = set()
    for i, port in enumerate(ports):
        key = (port.get("protocol", ""), port.get("port", 0))
        if key in seen:
            yield duplicate(f"{field}[{i}]", _port_structure(*key))
        seen.add(key)


def _port_structure(protocol: str, number: int) -> Manifest:
    """Upstream shows its structure with only those fields set that must be unique together."""
    return {
        "Name": "",
        "Protocol": protocol,
        "AppProtocol": None,
        "Port": number,
        "TargetPort": 0,
        "NodePort": 0,
    }


def _affinity(spec: Manifest) -> Iterator[FieldError]:
    affinity = spec.get("sessionAffinity", "")
    yield from required_and_supported("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    if affinity == "ClientIP":
        seconds = (config or {}).get("clientIP", {}).get("timeoutSeconds")
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        if seconds is None:
            yield required(field, "")
        elif not 0 < seconds <= _MOST_AFFINITY_S:
            yield invalid(field, seconds, f"must be greater than 0 and less than {_MOST_AFFINITY_S}")
    elif affinity == "None" and config is not None:
        refusal = "must not be set when session affinity is None"
        yield forbidden("spec.sessionAffinityConfig", refusal)


def _external_addresses(spec: Manifest) -> Iterator[FieldError]:
    for i, address in enumerate(spec.get("externalIPs", ())):
        field = f"spec.externalIPs[{i}]"
        if is_ip_address(address):
            yield from endpoint_address(field, address)
        else:
            yield from ip_address(field, address)


def _node_ports(spec: Manifest) -> Iterator[FieldError]:
    ports = spec.get("ports", ())
    if spec.get("type") == "ClusterIP":
        for i, port in enumerate(ports):
            if port.get("nodePort"):
                yield forbidden(f"spec.ports[{i}].nodePort", "may not be used when `type` is 'ClusterIP'")
    seen: set[tuple[Any, Any]] = set()
    for i, port in enumerate(ports):
        key = (port.get("protocol"), port.get("nodePort"))
        if key[1] and key in seen:
            yield duplicate(f"spec.ports[{i}].nodePort", key[1])
        seen.add(key)


def _source_ranges(service: Manifest) -> Iterator[FieldError]:
    """In the spec, or in the annotation that was there before."""
    spec, annotations = service["spec"], service["metadata"].get("annotations") or {}
    refusal = "may only be used when `type` is 'LoadBalancer'"
    if blocks := spec.get("loadBalancerSourceRanges"):
        # The capital is upstream's.
        field = "spec.LoadBalancerSourceRanges"
        if spec.get("type") != "LoadBalancer":
            yield forbidden(field, refusal)
        for i, block in enumerate(blocks):
            yield from cidr(f"{field}[{i}]", block.strip())
    elif _SOURCE_RANGES in annotations:
        field, text = f"metadata.annotations[{_SOURCE_RANGES}]", annotations[_SOURCE_RANGES].strip()
        if spec.get("type") != "LoadBalancer":
            yield forbidden(field, refusal)
        for block in text.split(",") if text else ():
            yield from cidr(field, block.strip())


def _load_balancer(spec: Manifest) -> Iterator[FieldError]:
    is_balanced = spec.get("type") == "LoadBalancer"
    if not is_balanced:
        for member in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(member) is not None:
                yield forbidden(f"spec.{member}", "may only be used when `type` is 'LoadBalancer'")
    elif spec.get("loadBalancerClass") is not None:
        yield from label_key("spec.loadBalancerClass", spec["loadBalancerClass"])


def _traffic_policies(spec: Manifest) -> Iterator[FieldError]:
    external, internal = spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy")
    if external and not is_externally_reached(spec):
        yield invalid("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services")
    elif external:
        yield from supported("spec.externalTrafficPolicy", external, _POLICIES)
    health_port = spec.get("healthCheckNodePort")
    if health_port and not needs_health_port(spec):
        refusal = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid("spec.healthCheckNodePort", health_port, refusal)
    elif health_port:
        yield from port_number("spec.healthCheckNodePort", health_port)
    if internal is not None:
        yield from supported("spec.internalTrafficPolicy", internal, _POLICIES)
    if "trafficDistribution" in spec:
        yield from supported("spec.trafficDistribution", spec["trafficDistribution"], _DISTRIBUTIONS)
