"""The Service `kube-dns`, by which tools find cluster DNS (D69). Pods ask the server itself, at its own address."""

from __future__ import annotations

from ipaddress import IPv4Network

from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.errors import Invalid, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client

NAMESPACE, NAME = "kube-system", "kube-dns"
PORT = 53
PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
ORDINAL = 10
"""Its address is by custom the tenth of the services' range."""


async def ensure(client: Client, service_cidr: str, server_address: str) -> None:
    """Makes it, or has it lead to where the server is by now; whoever has the tenth address already keeps it."""
    try:
        await client.get(SERVICES, NAME, NAMESPACE)
    except NotFound:
        await _make(client, _service(str(IPv4Network(service_cidr)[ORDINAL])))
    await _lead_to(client, _slice(server_address))


async def _make(client: Client, service: Manifest) -> None:
    try:
        await client.create(SERVICES, service, NAMESPACE)
    except Invalid:
        del service["spec"]["clusterIP"]
        await client.create(SERVICES, service, NAMESPACE)


async def _lead_to(client: Client, wanted: Manifest) -> None:
    try:
        present = await client.get(ENDPOINT_SLICES, NAME, NAMESPACE)
    except NotFound:
        await client.create(ENDPOINT_SLICES, wanted, NAMESPACE)
        return
    if present["endpoints"] != wanted["endpoints"]:
        await client.update(ENDPOINT_SLICES, {**present, "endpoints": wanted["endpoints"]})


def _service(address: str) -> Manifest:
    labels = {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    ports = [{"name": name, "port": PORT, "protocol": protocol, "targetPort": PORT} for name, protocol in PORTS]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "spec": {"clusterIP": address, "ports": ports},
    }


def _slice(address: str) -> Manifest:
    labels = {"kubernetes.io/service-name": NAME, "k8s-app": NAME}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": PORT, "protocol": protocol} for name, protocol in PORTS],
    }
