"""What the daemon serves: store, API server, controllers. Imported once the agents have been started.

Importing the control plane takes longer than anything else in a start, and the agents have as much to import:
they do it side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence

from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.apiserver.auth.signing import SigningKey
from holdfast.apiserver.auth.user import AUTHENTICATED, MASTERS, User
from holdfast.apiserver.components import CONTROLLERS, SCHEDULER
from holdfast.apiserver.server import ApiServer, Config
from holdfast.apiserver.streams import PodStreams
from holdfast.apiserver.streams.dialing import NodeDialer
from holdfast.controllers.volumes import copies
from holdfast.controllers.volumes.bootstrap import create_first_classes
from holdfast.controllers.volumes.directories import LocalDirectories
from holdfast.controllers.volumes.marks import MARKS
from holdfast.network.dns.server import bind
from holdfast.network.pods.ranges import Network
from holdfast.store import Store, StoreFailed
from holdfast.wire.client import Dial
from holdfast.wire.http import serve
from holdfast.wire.tls import client_context, server_context
from holdfast.world import Clock, World

from . import certificates, cluster_info, dns_service, listening, pods_entrance
from .control_plane import ControlPlane
from .home import Damaged, Home
from .joining import facts
from .node_parts import has_pods
from .rootless import dial_pods, in_pods_network
from .settings import Settings, networks
from .shares import Shares
from .shown import Shown, keep_renewed
from .signing import sign

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
SERVER, CLIENT = PAIRS = "apiserver", "apiserver-client"
"""What the API server shows to those who call it, and to the nodes' agents."""

DAMAGED = (11, 26)
"""SQLite's codes for a database that has been harmed, and for what is none."""


@contextlib.asynccontextmanager
async def api_server(
    home: Home, settings: Settings, world: World, sockets: Sequence[socket.socket]
) -> AsyncIterator[ApiServer]:
    """The API server on `sockets`, for as long as the block lasts. Raises Damaged."""
    if settings.store == "sqlite":
        check_state(home)
    store = open_store(settings, home, world)
    try:
        await store.open()
    except StoreFailed as error:
        if not (words := in_words(error)):
            raise
        raise Damaged(f"the cluster's state cannot be read, {words}") from error
    is_new = store.revision == 0
    token = home.admin_token.read_text().strip()
    for_pods = in_pods_network(home, settings, lambda: _entrances(settings))
    config = Config(
        tokens={token: User("admin", (MASTERS, AUTHENTICATED))},
        service_cidrs=tuple(map(str, settings.service_networks())),
        address=listening.host_and_port(listening.advertised(settings.listen) or HOST, settings.port),
        pods_address=_pods_address(settings, has_entrance=bool(for_pods)),
        first_machine=tuple(settings.node_names()),
        signing_key=SigningKey(lambda: certificates.service_account_key(home)),
    )
    server = ApiServer(store, world, config)
    await server.open()
    dialer = _dialer(home, server, dial_pods(home) if settings.is_rootless else None)
    server.streams = PodStreams(dialer, world.clock)
    server.dialer = dialer
    if is_new:
        await create_first_classes(server.client("kube-controller-manager"))
    await facts.publish(server.client("kube-controller-manager"), settings)
    if has_pods(settings) and "dns" not in settings.without:
        client = server.client("kube-controller-manager")
        await dns_service.ensure(
            client, settings.service_networks(), [address for address, _ in dns_addresses(settings)]
        )
    await cluster_info.ensure(
        server.client("kube-controller-manager"), f"https://{config.address}", home.ca_certificate.read_text()
    )
    context = _serving_context(home)
    listen = functools.partial(serve, server.handler, ssl=context, too_large=server.too_large, failed=server.failed)
    doors = [await listen(sock=each) for each in sockets]
    for entrance in for_pods:
        doors.append(await listen(sock=entrance, admits=pods_entrance.admits(settings.pod_networks()[0])))
    try:
        async with _renewed(home, settings, context, dialer, world.clock):
            yield server
    finally:
        await server.close()
        await dialer.close()
        await asyncio.gather(*(door.close() for door in doors))
        await store.close()


def _entrances(settings: Settings) -> list[socket.socket]:
    """Where pods reach the API; and agents, if they are in the pods' network themselves, at its usual address."""
    if not has_pods(settings):
        return []
    found: list[socket.socket | None] = []
    if settings.is_rootless or not listening.takes_everything(settings.listen):
        found.append(pods_entrance.listen(settings.gateway(), settings.port))
    if settings.is_rootless:
        found.append(pods_entrance.listen(HOST, settings.port))
    return [entrance for entrance in found if entrance is not None]


def _pods_address(settings: Settings, *, has_entrance: bool) -> str:
    """Where `kubernetes.default` leads, if pods reach it at all: for pods of several machines, where those reach it.

    Without root the machine's own addresses are not those of the pods' network.
    """
    address = settings.gateway() if has_entrance else ""
    if settings.listen and not settings.is_rootless:
        others = listening.advertised(settings.listen)
        address = others if others and ":" not in others else address
    return f"{address}:{settings.port}" if address else ""


def check_state(home: Home) -> None:
    """That volumes are not left to a new cluster, which knows of none of them. Raises Damaged, PermissionError."""
    state = home.database
    if state.exists() and not os.access(state, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(state))
    if state.exists() and state.stat().st_size:
        return
    if made := sorted(entry.name for entry in home.volumes.iterdir() if entry.name != MARKS):
        raise Damaged(
            f"{state} is missing or empty, and there are volumes ({made[0]}): put a copy of the data directory back, or"
            f" move {home.volumes} elsewhere to begin anew"
        )


def in_words(error: StoreFailed) -> str:
    """What is wrong with the file, and what to do; empty if it is not the file, but the disk for example."""
    cause = error.__cause__
    if cause is None:
        return str(error)
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
        return ""
    return (
        f"{error}: put a copy of the data directory back, or begin anew with `holdfast down --purge`, which removes the"
        " volumes too"
    )


def open_store(settings: Settings, home: Home, world: World) -> Store:
    if settings.store == "memory":
        from holdfast.store.memory import MemoryStore

        return MemoryStore(world.clock)
    from holdfast.store.sqlite import SqliteStore

    return SqliteStore(home.database, world.clock, failed=_give_up)


def _give_up(error: Exception) -> None:
    """After a failed commit nobody knows what is on disk: the next start finds out, this process must not go on."""
    log.critical("the store failed error=%r", str(error))
    os._exit(1)


def _serving_context(home: Home) -> ssl.SSLContext:
    files = certificates.pair(home, SERVER)
    return server_context(str(files.certificate), str(files.key), client_ca=str(home.ca_certificate))


@contextlib.asynccontextmanager
async def _renewed(
    home: Home, settings: Settings, context: ssl.SSLContext, dialer: NodeDialer, clock: Clock
) -> AsyncIterator[None]:
    """What both have loaded does not run out for as long as the block lasts."""
    as_server, as_client = (Shown(functools.partial(certificates.pair, home, name)) for name in PAIRS)
    url = f"https://{HOST}:{settings.port}"
    with as_server.by(context.load_cert_chain), as_client.by(dialer.show):
        renewal = asyncio.create_task(keep_renewed(home, url, (as_server, as_client), clock))
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)


def _dialer(home: Home, server: ApiServer, to_pods: Dial | None) -> NodeDialer:
    """How logs, exec and the like reach the nodes: as the API server, by client certificate."""
    files = certificates.pair(home, CLIENT)
    context = client_context(str(home.ca_certificate), str(files.certificate), str(files.key))
    nodes = server.cache.of(NODES)

    def find(name: str) -> Manifest | None:
        stored = nodes.objects.get(nodes.key("", name))
        return None if stored is None else stored.manifest

    return NodeDialer(find, context, to_pods)


def control_plane(home: Home, settings: Settings, world: World, server: ApiServer) -> ControlPlane:
    volumes = str(home.volumes)
    shares = Shares([address for address, _ in dns_addresses(settings)][:1], volumes)
    plane = ControlPlane(
        server.client,
        world,
        directories=_directories(volumes, settings, shares),
        volumes_root=volumes,
        ca_certificate=home.ca_certificate.read_text(),
        token_for=server.tokens.accounts.legacy,
        sign=functools.partial(sign, home),
        reserved=_reserved(settings),
        dns_addresses=dns_addresses(settings),
        pod_ranges=settings.pod_networks() if facts.can_be_joined(settings) else (),
        dns_bind=lambda address: in_pods_network(home, settings, lambda: bind(address)),
        without=settings.without,
        host=os.uname().nodename,
    )
    for component in (CONTROLLERS, SCHEDULER):
        server.api.components[component] = functools.partial(plane.problem, component)
    return plane


def _reserved(settings: Settings) -> list[Network]:
    """Where the cluster itself is: services, pods, the API server."""
    own = [name for name in listening.names(settings.listen) if listening.is_address(name)]
    return [*settings.service_networks(), *settings.pod_networks(), *networks(",".join(own))]


def _directories(volumes: str, settings: Settings, shares: Shares) -> LocalDirectories:
    """Volumes with a size need nodes that can mount them; of nodes that are not there at all nothing is said."""
    copies.let_all_go_on(volumes)
    if settings.nodes == 0 or settings.driver == "simulated":
        obstacle = ""
    else:
        obstacle = "root" if settings.is_rootless else "real containers"
    # Hand-made volumes may be deleted below /tmp only (V54).
    roots = [volumes, "/tmp"]
    may_size = has_pods(settings) and not settings.is_rootless
    return LocalDirectories(roots, may_size=may_size, obstacle=obstacle, on_share=shares.work)


def dns_addresses(settings: Settings) -> list[tuple[str, int]]:
    """Where pods may look for names; they are told of the first."""
    return [(str(slice.gateway), 53) for slice in settings.slices(0)] if has_pods(settings) else []


async def nodes_ready(server: ApiServer, names: list[str]) -> None:
    """Returns when every one of the nodes is Ready."""
    waiting = set(names)
    if not waiting:
        return
    async for event in server.client("daemon").watch(NODES):
        if event.type != "BOOKMARK" and _is_ready(event.object):
            waiting.discard(event.object["metadata"]["name"])
        if not waiting:
            return


def _is_ready(node: Manifest) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
