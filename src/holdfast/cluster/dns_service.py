"""The Service `kube-dns`, by which tools find cluster DNS (D69). Pods ask the server itself, at its own address."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.api.core.service import SERVICES
from holdfast.api.core.service_addresses import family_of
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.errors import Invalid, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.network.pods.ranges import Network

NAMESPACE, NAME = "kube-system", "kube-dns"
PORT = 53
PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
ORDINAL = 10
"""Its address is by custom the tenth of the services' range."""


async def ensure(client: Client, ranges: Sequence[Network], server_addresses: Sequence[str]) -> None:
    """Makes it, or has it lead to where the server is by now; whoever has the tenth address already keeps it.

    Both are given in the order of the cluster's families.
    """
    try:
        await client.get(SERVICES, NAME, NAMESPACE)
    except NotFound:
        await _make(client, _service([str(network[ORDINAL]) for network in ranges]))
    for address in server_addresses:
        await _lead_to(client, _slice(address))


async def _make(client: Client, service: Manifest) -> None:
    try:
        await client.create(SERVICES, service, NAMESPACE)
    except Invalid:
        for member in ("clusterIP", "clusterIPs"):
            del service["spec"][member]
        await client.create(SERVICES, service, NAMESPACE)


async def _lead_to(client: Client, wanted: Manifest) -> None:
    try:
        present = await client.get(ENDPOINT_SLICES, wanted["metadata"]["name"], NAMESPACE)
    except NotFound:
        await client.create(ENDPOINT_SLICES, wanted, NAMESPACE)
        return
    if present["endpoints"] != wanted["endpoints"]:
        await client.update(ENDPOINT_SLICES, {**present, "endpoints": wanted["endpoints"]})


def _service(addresses: list[str]) -> Manifest:
    labels = {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    ports = [{"name": name, "port": PORT, "protocol": protocol, "targetPort": PORT} for name, protocol in PORTS]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "clusterIP": addresses[0],
            "clusterIPs": addresses,
            "ipFamilyPolicy": "PreferDualStack" if len(addresses) > 1 else "SingleStack",
            "ports": ports,
        },
    }


def _slice(address: str) -> Manifest:
    labels = {"kubernetes.io/service-name": NAME, "k8s-app": NAME}
    family = family_of(address)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": NAME if family == "IPv4" else f"{NAME}-ipv6", "namespace": NAMESPACE, "labels": labels},
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": PORT, "protocol": protocol} for name, protocol in PORTS],
    }
