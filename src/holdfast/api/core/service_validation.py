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
    label_map,
    named,
    port_number,
    required_and_supported,
    supported,
)
from holdfast.api.resource import Manifest

from .container_validation import PROTOCOLS
from .service_defaults import EXTERNALLY_REACHED

_OLD_HINTS, _HINTS = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("Cluster", "Local")
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
    spec = service["spec"]
    return [
        *_ports_given(spec),
        *_external_name(spec),
        *_ports("spec.ports", spec),
        *label_map("spec.selector", spec.get("selector", {})),
        *_affinity(spec),
        *_cluster_addresses(spec),
        *_external_addresses(spec),
        *required_and_supported("spec.type", spec.get("type", ""), _TYPES),
        *_node_ports(spec),
        *_source_ranges(spec),
        *_traffic_policies(spec),
    ]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """The address is kept as long as the type has one."""
    now, then = new["spec"], old["spec"]
    if "ExternalName" in (now.get("type"), then.get("type")):
        return []
    addresses, before = now.get("clusterIPs", []), then.get("clusterIPs", [])
    if before and (not addresses or addresses[0] != before[0]):
        return [invalid("spec.clusterIPs[0]", addresses or None, "may not change once set")]
    return []


def _is_headless(spec: Manifest) -> bool:
    return bool(spec.get("clusterIP") == "None")


def _ports_given(spec: Manifest) -> Iterator[FieldError]:
    if not spec.get("ports") and not _is_headless(spec) and spec.get("type") != "ExternalName":
        yield required("spec.ports")


def _external_name(spec: Manifest) -> Iterator[FieldError]:
    if spec.get("type") != "ExternalName":
        return
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = spec.get("externalName", "")
    if name:
        yield from named("spec.externalName", name.removesuffix("."), names.dns_subdomain)
    else:
        yield required("spec.externalName")


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
        if protocol := port.get("appProtocol"):
            yield from named(f"{at}.appProtocol", protocol, names.qualified_name)
    yield from _repeated_ports(field, ports)


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


def _cluster_addresses(spec: Manifest) -> Iterator[FieldError]:
    addresses = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    if spec.get("type") == "ExternalName":
        return
    for i, address in enumerate(addresses):
        if address != "None":
            yield from ip_address(f"spec.clusterIPs[{i}]", address)
        elif len(addresses) > 1:
            yield invalid(f"spec.clusterIPs[{i}]", address, "must be empty when spec.clusterIPs[0] is set to None")
    if _is_headless(spec) and spec.get("type") in EXTERNALLY_REACHED:
        refusal = f"may not be set to 'None' for {spec['type']} services"
        yield invalid("spec.clusterIPs[0]", addresses[0], refusal)
    if addresses and spec.get("clusterIP") and spec["clusterIP"] != addresses[0]:
        yield invalid("spec.clusterIPs", addresses, "first value must match `clusterIP`")


def _external_addresses(spec: Manifest) -> Iterator[FieldError]:
    for i, address in enumerate(spec.get("externalIPs", ())):
        field = f"spec.externalIPs[{i}]"
        if is_ip_address(address):
            yield from endpoint_address(field, address)
        else:
            yield from ip_address(field, address)


def _node_ports(spec: Manifest) -> Iterator[FieldError]:
    kind = spec.get("type")
    seen: set[tuple[Any, Any]] = set()
    for i, port in enumerate(spec.get("ports", ())):
        number = port.get("nodePort")
        if not number:
            continue
        field = f"spec.ports[{i}].nodePort"
        if kind not in EXTERNALLY_REACHED:
            yield forbidden(field, f"may not be used when `type` is '{kind}'")
        if (port.get("protocol"), number) in seen:
            yield duplicate(field, number)
        seen.add((port.get("protocol"), number))


def _source_ranges(spec: Manifest) -> Iterator[FieldError]:
    if "loadBalancerSourceRanges" not in spec:
        return
    # The capital is upstream's.
    field = "spec.LoadBalancerSourceRanges"
    if spec.get("type") != "LoadBalancer":
        yield forbidden(field, "may only be used when `type` is 'LoadBalancer'")
    for i, block in enumerate(spec["loadBalancerSourceRanges"]):
        yield from cidr(f"{field}[{i}]", block)


def _traffic_policies(spec: Manifest) -> Iterator[FieldError]:
    external, internal = spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy")
    is_reached = spec.get("type") in EXTERNALLY_REACHED or bool(spec.get("externalIPs"))
    if external and not is_reached:
        yield invalid("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services")
    elif external:
        yield from supported("spec.externalTrafficPolicy", external, _POLICIES)
    if internal and spec.get("type") != "ExternalName":
        yield from supported("spec.internalTrafficPolicy", internal, _POLICIES)
    if spec.get("healthCheckNodePort") and external != "Local":
        number = spec["healthCheckNodePort"]
        refusal = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid("spec.healthCheckNodePort", number, refusal)
