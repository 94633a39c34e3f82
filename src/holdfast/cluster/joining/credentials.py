"""Everything that the agent of a further machine needs to prove itself, and to know whom it speaks to.

Two pairs, since no signer of Kubernetes signs for both sides: `node-NAME` shows the agent to the API server,
`node-NAME-serving` the agent's own server to whoever calls it (`certificates.serving_pair`).
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from holdfast.api import names
from holdfast.api.conditions import is_true
from holdfast.api.core.node import NODES
from holdfast.api.errors import ApiError, Forbidden, NotFound, Unauthorized
from holdfast.api.resource import Manifest
from holdfast.client import Client, Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.cluster.certificates import pair
from holdfast.cluster.connect import as_node
from holdfast.cluster.home import Home
from holdfast.cluster.private_files import write_private
from holdfast.world import World

from .discovery import ANOTHER_TOKEN, check_hash, connected, discover, renewed, token_of, unreachable, url_of
from .refusal import CannotJoin
from .requests import Wanted, certificate, is_good, still_holds

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"


async def obtain(server: str, token: str, ca_hash: str, node_name: str, home: Home, world: World) -> None:
    """Leaves `home.ca_certificate` and both pairs of the node in `home`. Raises CannotJoin.

    `server` is HOST:PORT. May be run again at any time: it asks for what is missing, or about to end, and for nothing
    else. With everything there it sends nothing, and with a certificate that still holds it needs no token.
    """
    url = url_of(server)
    if problem := names.dns_subdomain(node_name):
        raise CannotJoin(f"{node_name!r} cannot be a node's name: {problem}")
    home.make()
    _check_is_free(home)
    authority = await _authority(home, url, token, ca_hash, world)
    now, client_files = world.clock.now(), pair(home, client_file(node_name))
    try:
        if not is_good(client_files, now):
            if still_holds(client_files, now):
                connection = as_node(home, url, node_name)
            else:
                connection = Connection(server=url, ca=authority, token=str(token_of(token)))
            await _ask_as_client(connection, home, node_name, world)
        if not is_good(pair(home, serving_file(node_name)), now):
            await ask_as_server(home, url, node_name, world)
    except Unreachable as error:
        raise CannotJoin(unreachable(url, error)) from error
    except Unauthorized as error:
        raise CannotJoin(f"the cluster does not take the token: it is over, or was deleted; {ANOTHER_TOKEN}") from error
    except Forbidden as error:
        raise CannotJoin(f"the cluster does not let this machine join ({error}): {ANOTHER_TOKEN}") from error
    except ApiError as error:
        raise CannotJoin(f"the cluster did not answer the request ({error}): try again") from error


def _check_is_free(home: Home) -> None:
    """A data directory is a cluster's or a further machine's."""
    if pair(home, "ca").key.exists():
        raise CannotJoin(f"{home.path} holds a cluster of its own: use another --home, or holdfast down --purge")


async def _authority(home: Home, url: str, token: str, ca_hash: str, world: World) -> str:
    """Whom to trust, as PEM: as on the first run, else as found out now."""
    path = home.ca_certificate
    if not path.exists():
        authority = await discover(url, token_of(token), ca_hash, world.clock)
        write_private(path, authority.encode())
        return authority
    known = path.read_text()
    if ca_hash:
        try:
            check_hash(known, ca_hash)
        except CannotJoin as error:
            where = f"{home.path} belongs to a node of another cluster"
            raise CannotJoin(f"{where}: use another --home, or remove that one ({error})") from error
    return known


def client_file(node_name: str) -> str:
    """What the pair is called that the agent shows to the API server."""
    return f"node-{node_name}"


def serving_file(node_name: str) -> str:
    """What the pair is called that it shows to those who call it."""
    return f"node-{node_name}-serving"


async def ask_as_client(home: Home, url: str, node_name: str, world: World) -> None:
    """For the next client's certificate, with the one that there is. Raises CannotJoin, ApiError, OSError.

    And for the authority's: it may have been renewed as well.
    """
    await _ask_as_client(as_node(home, url, node_name), home, node_name, world)
    write_private(home.ca_certificate, (await renewed(url, home.ca_certificate.read_text())).encode())


async def _ask_as_client(connection: Connection, home: Home, node_name: str, world: World) -> None:
    wanted = Wanted(node_name, client_file(node_name), CLIENT_SIGNER, ("digital signature", "client auth"))
    async with connected(connection) as client:
        if connection.token:
            await _check_name(client, node_name)
        await certificate(client, home, wanted, world.clock)


async def _check_name(client: Client, name: str) -> None:
    """One that is not Ready may be this very machine, made anew. Raises CannotJoin."""
    node = await _node(client, name)
    if node is not None and is_true(node, "Ready"):
        raise CannotJoin(
            f"the cluster has a node {name} that is Ready: give this machine another name, "
            f"or take that one away first, kubectl delete node {name}"
        )


async def ask_as_server(home: Home, url: str, node_name: str, world: World) -> None:
    """For the agent's next serving certificate. Raises CannotJoin, ApiError, OSError."""
    async with connected(as_node(home, url, node_name)) as client:
        addresses = _addresses(await _node(client, node_name)) or _own_address(url)
        usages = ("digital signature", "server auth")
        wanted = Wanted(node_name, serving_file(node_name), SERVING_SIGNER, usages, addresses, (node_name,))
        await certificate(client, home, wanted, world.clock)


async def _node(client: Client, name: str) -> Manifest | None:
    try:
        return await client.get(NODES, name)
    except NotFound:
        return None


def _addresses(node: Manifest | None) -> tuple[str, ...]:
    """Those that the node has told of: others would not be taken for its own."""
    listed = ((node or {}).get("status") or {}).get("addresses") or ()
    return tuple(each["address"] for each in listed if each.get("type") in ("InternalIP", "ExternalIP"))


def _own_address(url: str) -> tuple[str, ...]:
    """By which this machine reaches the server: none on the server's own machine. Sends nothing.

    The API server goes by the node's name, which the certificate always has; the address is for everybody else.
    """
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, target = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)
            address = str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return ()
    own = ip_address(address)
    return () if own.is_loopback or own.is_link_local or address == target[0] else (address,)
