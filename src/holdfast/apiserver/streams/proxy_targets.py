"""Where a request to `/proxy` of a pod, service or node goes (A157): pure, with every refusal that needs no dialing.

Only addresses that the API knows of pods and nodes are dialed, and none that is this machine's own business.
Source: Kubernetes, pkg/registry/core/{pod,service,node}, ResourceLocation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.errors import BadRequest, NotFound, ServiceUnavailable, show
from holdfast.api.resource import Manifest, Resource

from .targets import agent_address

Find = Callable[[Resource, str, str], Manifest]
"""(resource, namespace, name) Raises NotFound."""
PROXIED = (PODS, SERVICES, NODES)


@dataclass(frozen=True, slots=True)
class Location:
    """A backend."""

    scheme: str
    host: str
    port: str = ""
    """A number or the name of a well-known port; empty is the scheme's own."""
    agent_of: str = ""
    """The node whose agent this is: it is spoken to with the API server's certificate."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


def locate(resource: Resource, namespace: str, asked: str, find: Find, chance: random.Random) -> Location:
    """`asked` is the name in the path: `[SCHEME:]NAME[:PORT]`. Raises ApiError."""
    scheme, name, port = _split(resource, asked)
    if resource is PODS:
        return _pod(find(PODS, namespace, name), scheme, port)
    if resource is SERVICES:
        return _service(namespace, asked, (scheme, name, port), find, chance)
    return _node(find(NODES, "", name), scheme, port)


def _split(resource: Resource, asked: str) -> tuple[str, str, str]:
    match asked.split(":"):
        case [name]:
            scheme, port = "", ""
        case [name, port]:
            scheme = ""
        case [scheme, name, port]:
            pass
        case _:
            name = scheme = port = ""
    if not name or scheme not in ("", "http", "https"):
        raise BadRequest(f"invalid {resource.singular} request {show(asked)}")
    return scheme or "http", name, port


def _pod(pod: Manifest, scheme: str, port: str) -> Location:
    address = _address(pod)
    check_address(address)
    return Location(scheme, address, port or _first_port(pod))


def _address(pod: Manifest) -> str:
    status = pod.get("status") or {}
    found: str = next((each["ip"] for each in status.get("podIPs") or () if each.get("ip")), status.get("podIP") or "")
    return found


def _first_port(pod: Manifest) -> str:
    """Of the first container that has any."""
    ports = (each for container in pod["spec"]["containers"] for each in container.get("ports") or ())
    return next((str(port["containerPort"]) for port in ports), "")


def _service(namespace: str, asked: str, parts: tuple[str, str, str], find: Find, chance: random.Random) -> Location:
    scheme, name, port = parts
    if port.isascii() and port.isdigit() and len(port) < 19:  # a longer one is no number to Go either
        port = _port_name(find(SERVICES, namespace, name), int(port))
    subsets = find(ENDPOINTS, namespace, name).get("subsets") or []
    if not subsets:
        raise ServiceUnavailable(f"no endpoints available for service {show(name)}")
    backends = [
        (address, target["port"])
        for subset in subsets
        for target in subset.get("ports") or ()
        if (target.get("name") or "") == port
        for address in subset.get("addresses") or ()
    ]
    chance.shuffle(backends)
    for ip, number in _real(backends, namespace, find):
        return Location(scheme, ip, str(number))
    raise ServiceUnavailable(f"no endpoints available for service {show(asked)}")


def _port_name(service: Manifest, number: int) -> str:
    for port in service["spec"].get("ports") or ():
        if port["port"] == number:
            name: str = port.get("name") or ""
            return name
    name = service["metadata"]["name"]
    raise ServiceUnavailable(f"no service port {number} found for service {show(name)}")


def _real(backends: list[tuple[Manifest, int]], namespace: str, find: Find) -> Iterator[tuple[str, int]]:
    """Those that are addresses of pods of the namespace: whoever may write Endpoints could name any other."""
    for address, number in backends:
        target = address.get("targetRef") or {}
        if target.get("namespace") != namespace or not target.get("name"):
            continue
        try:
            pod = find(PODS, namespace, target["name"])
            check_address(address["ip"])
        except (NotFound, BadRequest):
            continue
        if address["ip"] in {each.get("ip") for each in pod.get("status", {}).get("podIPs") or ()}:
            yield address["ip"], number


def _node(node: Manifest, scheme: str, port: str) -> Location:
    """Its agent, unless another port is asked for; the agent answers on the loopback link of this machine."""
    name = node["metadata"]["name"]
    host, agent_port = agent_address(node)
    if port in ("", str(agent_port)):
        return Location("https", host, str(agent_port), agent_of=name)
    addresses = node.get("status", {}).get("addresses") or ()
    address = next((each["address"] for each in addresses if each.get("type") == "InternalIP"), "")
    check_address(address)
    return Location(scheme, address, port)


def check_address(address: str) -> None:
    """Raises BadRequest unless it is a unicast address that is no host's own (loopback) or link's own."""
    try:
        ip = ip_address(address)
    except ValueError:
        raise BadRequest("address not allowed") from None
    if "%" in address:
        raise BadRequest("address not allowed")  # a zone is some link's own, and need not look like one
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255":
        raise BadRequest("address not allowed")
