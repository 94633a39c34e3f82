"""What one node's agent is made of on this machine: runtime driver, pod network, image store, settings."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from holdfast.api.core.machines import MACHINE
from holdfast.network.pods.ranges import Network
from holdfast.node import delegation
from holdfast.node.config import AgentConfig
from holdfast.node.eviction.thresholds import HARD
from holdfast.node.runtime import Runtime
from holdfast.wire.tls import server_context
from holdfast.world import World, user_namespace

from . import way_out
from .certificates import serving_pair
from .home import Home
from .outside import Outside
from .own_groups import OwnGroups, groups_name
from .settings import Settings

ENOUGH_BYTES, ENOUGH_INODES = 1 << 30, 20_000
"""Free on a disk: nothing has to go for want of more."""
HOST = "127.0.0.1"
AGENT_PORT = 10250
ADDRESSES6 = Path("/proc/net/if_inet6")

if TYPE_CHECKING:
    from holdfast.network.pods.gate import Gate
    from holdfast.node.runtime.oci.processes import Child
    from holdfast.node.volumes.nfs.served import Begin

Step = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class NodeParts:
    """`prepare` makes what the agent needs, then looks after it until cancelled; `take_down` comes after its end."""

    runtime: Runtime
    config: AgentConfig
    prepare: Step
    take_down: Step


def node_parts(
    home: Home, settings: Settings, number: int, world: World, outside: Outside, gate: Gate | None = None
) -> NodeParts:
    """Everything for node `number`, nothing of it started. At `gate` its pods wait for their network policies."""
    kind = settings.driver
    config = agent_config(home, settings, number, kind, outside)
    if kind == "oci":
        return _containers(home, settings, number, world, config, outside, gate)
    if kind == "process":
        return NodeParts(_processes(home, number, world), config, _nothing, lambda: _unmount_volumes(home, number))
    from holdfast.node.runtime.simulated import SimulatedRuntime

    first, second = settings.pod_cidr.split(".")[:2]
    network = f"{first}.{(int(second) + number) % 256}"  # nothing is routed there: only different for each node
    return NodeParts(SimulatedRuntime(world, network=network), config, _nothing, _nothing)


def agent_config(home: Home, settings: Settings, number: int, kind: str, outside: Outside) -> AgentConfig:
    name = settings.node_names()[number]
    files = serving_pair(home, name)
    tls = server_context(
        str(files.certificate), str(files.key), client_ca=str(home.ca_certificate), require_client=True
    )
    addresses = node_addresses(settings, number)
    has_dns = kind == "oci" and "dns" not in settings.without
    return AgentConfig(
        node_name=name,
        state_dir=None if kind == "simulated" else home.node(number),
        run_dir=None if kind == "simulated" else home.run / str(number),
        node_ips=addresses,
        pod_cidrs=tuple(str(slice.node) for slice in settings.slices(number)) if kind == "oci" else (),
        hostname=os.uname().nodename,
        cluster_dns=(settings.dns_address(),) if has_dns else (),
        is_control_plane=number == 0 and not settings.is_joined,
        asks_one_by_one=settings.is_joined,
        labels={MACHINE: name} if settings.is_joined else {},
        server_host=addresses[0] if settings.is_joined else HOST,
        server_listen=listen_for_others if settings.is_joined else outside.listen,
        server_tls=tls,
        image_dir=home.images,
        volumes_dir=home.volumes,
        eviction_hard={**thresholds(home.path), **settings.eviction_hard},
        allowed_sysctls=settings.allowed_unsafe_sysctls,
        shutdown_grace_s=settings.shutdown_grace_s,
        nfs_begin=nfs_begin(settings, outside) if settings.is_rootless else None,
        limits=limits_without_root(OwnGroups(home).controllers) if settings.is_rootless else (),
    )


def nfs_begin(settings: Settings, outside: Outside) -> Begin:
    """Servers among pods and services are reached from the pods' network, all others from this machine's own."""
    within = (*settings.pod_networks(), *settings.service_networks())

    async def begin(server: str, start: Callable[[], Child]) -> Child:
        return start() if any(_is_in(server, network) for network in within) else await outside(start)

    return begin


def _is_in(server: str, network: Network) -> bool:
    try:
        return ip_address(server) in network
    except ValueError:
        return False  # a name that this machine resolves


def limits_without_root(controllers: frozenset[str]) -> list[str]:
    """What pods do without where the agents are not root outside of their user namespace.

    `controllers` are those of the control groups that are the user's.
    """
    unlimited = " and ".join(delegation.missing(controllers))
    found = [f"limits of {unlimited} do not hold"] if unlimited else []
    found.append("volumes are as large as their disk")
    if user_namespace.ids() == 1:
        found.append("images and volumes know one user only")
    if why_not := way_out.obstacle():
        found.append(f"pods reach nothing beyond the cluster ({why_not})")
    return found


def thresholds(disk: Path) -> dict[str, str]:
    """Below what pods are ended: the kubelet's numbers, but of a large disk no more than is enough.

    A node has its disks for itself; a tenth of a developer's disk may well be in use for good reason.
    """
    try:
        status = os.statvfs(disk)
    except OSError:
        return dict(HARD)
    size_bytes = status.f_blocks * status.f_frsize
    enough = {"available": (size_bytes, ENOUGH_BYTES), "inodesFree": (status.f_files, ENOUGH_INODES)}
    capped = {}
    for signal, part in HARD.items():
        if part.endswith("%"):
            size, most = enough[signal.partition(".")[2]]
            capped[signal] = str(most) if size * Decimal(part.removesuffix("%")) / 100 > most else part
    return {**HARD, **capped}


def _containers(
    home: Home,
    settings: Settings,
    number: int,
    world: World,
    config: AgentConfig,
    outside: Outside,
    gate: Gate | None,
) -> NodeParts:
    from holdfast.network.pods.network import PodNetwork
    from holdfast.node.images.puller import Puller
    from holdfast.node.images.store import ImageStore
    from holdfast.node.runtime.oci.driver import OciRuntime

    run_dir = home.run / str(number)
    network = PodNetwork(str(home.path), settings.slices(number), home.node(number) / "addresses", gate)
    store = ImageStore(home.images)
    runtime = OciRuntime(
        run_dir,
        store,
        Puller(store, home.images, home.registries, outside),
        network,
        world,
        group=control_group(home, number),
        below=OwnGroups(home).group if settings.is_rootless else None,
        host_dir=run_dir / "host",
        hidden=[home.path],
    )

    async def prepare() -> None:
        await network.open()
        await asyncio.to_thread(store.sweep, world.clock.now())
        await network.keep(world.clock)

    async def take_down() -> None:
        await runtime.remove_all()
        await _unmount_volumes(home, number)
        await network.close()

    return NodeParts(runtime, config, prepare, take_down)


def _processes(home: Home, number: int, world: World) -> Runtime:
    from holdfast.node.runtime.process import ProcessRuntime

    return ProcessRuntime(home.run / str(number), world)


async def _unmount_volumes(home: Home, number: int) -> None:
    """What the agent itself takes away as its pods end, and what one that was killed has left."""
    from holdfast.node.volumes import memory
    from holdfast.node.volumes.nfs.plugin import nfs_directory
    from holdfast.node.volumes.nfs.served import end_all

    await end_all(home.node(number), nfs_directory(home.node(number)))
    memory.take_down(home.run / str(number) / "pods")


def control_group(home: Home, number: int) -> str:
    """The name of the node's control groups."""
    return f"{groups_name(home)}-{number}"


def node_addresses(settings: Settings, number: int) -> tuple[str, ...]:
    """Under what pods and this machine know the node. Without root, nobody else can reach it."""
    if settings.is_rootless:
        return tuple(str(slice.gateway) for slice in settings.slices(number))
    return host_addresses(settings)


def listen_for_others(host: str) -> socket.socket:
    """A listening socket at the port by which agents are known; at any other if that is taken. Raises OSError."""
    try:
        return socket.create_server((host, AGENT_PORT), backlog=1024)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return socket.create_server((host, 0), backlog=1024)


def host_address(towards: str = "192.0.2.1") -> str:
    """This machine's address on the network it reaches others by; loopback if it reaches none. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
        except OSError:
            return HOST
        return str(probe.getsockname()[0])


def server_address(settings: Settings) -> str:
    """The API server's IPv4 address, of a machine that has joined; empty if that is not to be found out. Blocking."""
    try:
        return socket.getaddrinfo(urlsplit(settings.server).hostname, None, socket.AF_INET)[0][4][0]  # type: ignore[return-value]
    except OSError:
        return ""


def host_addresses(settings: Settings) -> tuple[str, ...]:
    """One of each family that the cluster has, as far as this machine has one: IPv4 first."""
    second = host_address6() if len(settings.pod_networks()) > 1 else ""
    towards = server_address(settings) if settings.is_joined else ""
    first = host_address(towards) if towards else host_address()
    return (first, second) if second else (first,)


def host_address6() -> str:
    """The same of IPv6; empty if this machine has none but its own. Sends nothing."""
    try:
        lines = ADDRESSES6.read_text().splitlines()
    except OSError:
        return ""
    found = [(IPv6Address(int(fields[0], 16)), fields[5]) for fields in map(str.split, lines)]
    usable = [address for address, link in found if link != "lo" and not (address.is_link_local or address.is_loopback)]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1", 9))
        except OSError:
            return str(usable[0]) if usable else ""
        preferred = ip_address(probe.getsockname()[0])
    return str(preferred if preferred in usable else next(iter(usable), ""))


def has_ipv6() -> bool:
    """Whether the kernel has it, and lets this machine talk to itself by it."""
    try:
        return any(line.endswith(" lo") for line in ADDRESSES6.read_text().splitlines())
    except OSError:
        return False


def has_pods(settings: Settings) -> bool:
    """Whether there will be pods with addresses of their own."""
    return settings.nodes > 0 and settings.driver == "oci"


async def _nothing() -> None:
    """Neither network nor mounts to take down."""
