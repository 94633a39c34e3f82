"""What Services with their EndpointSlices, and host ports of pods, ask for: addresses and ports (D40-D50)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from holdfast.api.resource import Manifest

SERVICE_NAME = "kubernetes.io/service-name"
NOT_OURS = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")
AFFINITY_TIMEOUT_S = 10800
EVERYWHERE = {"IPv4": ("", "0.0.0.0"), "IPv6": ("", "::")}
"""What a host port says that is to be had at all addresses."""
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Route:
    """One port of one service, or one host port of a pod."""

    name: str
    """"namespace/service/protocol-port", for a pod's port with `_pod/` before it: no other route has it."""
    protocol: str
    """"tcp", "udp" or "sctp"."""
    port: int
    cluster_ip: str
    """Empty for a host port."""
    external_ips: tuple[str, ...]
    """Those of the spec, and those of the load balancer."""
    node_port: int
    """0 for none."""
    endpoints: tuple[Endpoint, ...]
    """Where connections may go, of whatever node, sorted."""
    local: tuple[tuple[str, tuple[Endpoint, ...]], ...]
    """The same for each node of this machine, counting its own endpoints only."""
    is_internal_local: bool
    is_external_local: bool
    affinity_s: int
    """0 for none."""

    @property
    def on_this_machine(self) -> tuple[Endpoint, ...]:
        return tuple(sorted({endpoint for _, endpoints in self.local for endpoint in endpoints}))


@dataclass(frozen=True, slots=True)
class _Listed:
    """An endpoint as a slice lists it."""

    endpoint: Endpoint
    node: str
    is_ready: bool
    is_draining: bool
    """On its way out, and still serving."""


def routes(
    service: Manifest, slices: Iterable[Manifest], nodes: Sequence[str], family: str = "IPv4"
) -> tuple[Route, ...]:
    """One for each port; none if the service has no address of the family or belongs to another proxy (D50).

    `nodes` are the names of this machine's nodes.
    """
    metadata, spec = service["metadata"], service["spec"]
    labels = metadata.get("labels") or {}
    if spec.get("type") == "ExternalName" or any(label in labels for label in NOT_OURS):
        return ()
    addresses = _of(family, spec.get("clusterIPs") or [spec.get("clusterIP") or ""])
    if not addresses:
        return ()
    known = [each for each in slices if each.get("addressType") == family]
    return tuple(_route(service, addresses[0], port, known, nodes, family) for port in spec.get("ports") or ())


def _route(
    service: Manifest, address: str, port: Manifest, slices: Sequence[Manifest], nodes: Sequence[str], family: str
) -> Route:
    metadata, spec = service["metadata"], service["spec"]
    protocol = (port.get("protocol") or "TCP").lower()
    listed = list(_listed(slices, port.get("name") or "", protocol, family))
    by_node = {node: [each for each in listed if each.node == node] for node in nodes}
    return Route(
        name=f"{metadata['namespace']}/{metadata['name']}/{protocol}-{port['port']}",
        protocol=protocol,
        port=port["port"],
        cluster_ip=address,
        external_ips=external_ips(service, family),
        node_port=port.get("nodePort") or 0,
        endpoints=_usable(listed),
        local=tuple((node, _usable(those)) for node, those in by_node.items()),
        is_internal_local=spec.get("internalTrafficPolicy") == "Local",
        is_external_local=spec.get("externalTrafficPolicy") == "Local",
        affinity_s=affinity_s(spec),
    )


def host_routes(pod: Manifest, family: str = "IPv4") -> tuple[Route, ...]:
    """One for each port of the node that the pod takes; none before it has an address, or under hostNetwork (N3).

    A port of one address only is routed like an external address, one of all addresses like a node port. Whether the
    pod is ready does not matter: it was asked for by this pod alone.
    """
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    known = [each.get("ip") or "" for each in status.get("podIPs") or ()] or [status.get("podIP") or ""]
    addresses = _of(family, known)
    if spec.get("hostNetwork") or status.get("phase") in ENDED or not addresses:
        return ()
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    ports = [port for container in containers for port in container.get("ports") or () if port.get("hostPort")]
    name = f"_pod/{metadata['namespace']}/{metadata['name']}"
    found = (_host_route(name, port, addresses[0], family) for port in ports)
    return tuple(route for route in found if route.node_port or route.external_ips)


def _host_route(name: str, port: Manifest, address: str, family: str) -> Route:
    protocol = (port.get("protocol") or "TCP").lower()
    endpoints = (Endpoint(address, port["containerPort"]),)
    is_everywhere = (port.get("hostIP") or "") in EVERYWHERE[family]
    return Route(
        name=f"{name}/{protocol}-{port['hostPort']}",
        protocol=protocol,
        port=port["hostPort"],
        cluster_ip="",
        external_ips=() if is_everywhere else _of(family, [port["hostIP"]]),
        node_port=port["hostPort"] if is_everywhere else 0,
        endpoints=endpoints,
        local=(),
        is_internal_local=False,
        is_external_local=False,
        affinity_s=0,
    )


def external_ips(service: Manifest, family: str) -> tuple[str, ...]:
    """The addresses beside the cluster's own that lead to the service, those of one family, each once."""
    given = list(service["spec"].get("externalIPs") or ())
    if service["spec"].get("type") == "LoadBalancer":
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        given += [each["ip"] for each in ingress if each.get("ip") and each.get("ipMode", "VIP") == "VIP"]
    return tuple(dict.fromkeys(_of(family, given)))


def _of(family: str, texts: Iterable[str]) -> tuple[str, ...]:
    """The addresses of the family, in the one way to write each.

    What is no address, the text `None` among others, never gets into a rule, whoever wrote it.
    """
    found = map(_read, texts)
    return tuple(address for of, address in found if of == family)


@functools.lru_cache(maxsize=1 << 14)
def _read(text: str) -> tuple[str, str]:
    """Family and address; both empty if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return "", ""
    return f"IPv{address.version}", str(address)


def affinity_s(spec: Manifest) -> int:
    """How long after its last connection a client still gets the same endpoint (D45)."""
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client_ip = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(client_ip.get("timeoutSeconds") or AFFINITY_TIMEOUT_S)


def _listed(slices: Iterable[Manifest], port_name: str, protocol: str, family: str) -> Iterator[_Listed]:
    """The service's port is found by its name; what a slice does not say counts as ready."""
    for slice in slices:
        for port in slice.get("ports") or ():
            found = (port.get("name") or "", (port.get("protocol") or "TCP").lower())
            if found == (port_name, protocol) and port.get("port"):
                for endpoint in slice.get("endpoints") or ():
                    for address in _of(family, endpoint["addresses"][:1]):
                        yield _one(endpoint, address, port["port"])


def _one(endpoint: Manifest, address: str, port: int) -> _Listed:
    conditions: dict[str, Any] = endpoint.get("conditions") or {}
    is_ready = _or(conditions.get("ready"), True)
    is_serving = _or(conditions.get("serving"), is_ready)
    return _Listed(
        endpoint=Endpoint(address, port),
        node=endpoint.get("nodeName") or "",
        is_ready=is_ready,
        is_draining=is_serving and _or(conditions.get("terminating"), False),
    )


def _or(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def _usable(listed: Sequence[_Listed]) -> tuple[Endpoint, ...]:
    """The ready ones; without any, those that still serve while they terminate (D41)."""
    ready = {each.endpoint for each in listed if each.is_ready}
    return tuple(sorted(ready or {each.endpoint for each in listed if each.is_draining}))
