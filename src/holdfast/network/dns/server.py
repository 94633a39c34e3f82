"""The DNS server: UDP and TCP, fed by informers, with a bounded way out for other names."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.world import World

if TYPE_CHECKING:
    from .forward import Forwarder
    from .resolver import Resolver

log = logging.getLogger(__name__)

IP_FREEBIND, IPV6_FREEBIND = 15, 78
TCP_IDLE_S = 10.0
TCP_CONNECTIONS = 256
REBIND_AFTER_S = 5.0

Address = tuple[str, int]
Bind = Callable[[Address], tuple[socket.socket, socket.socket]]
"""Gives a UDP and a TCP socket on the address. Raises OSError."""


def bind(address: Address) -> tuple[socket.socket, socket.socket]:
    """Both sockets on one port; the address may come into being later. Raises OSError."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    for _ in range(16):
        tcp = _socket(family, socket.SOCK_STREAM)
        udp = _socket(family, socket.SOCK_DGRAM)
        try:
            tcp.bind(address)
            udp.bind((address[0], tcp.getsockname()[1]))
        except OSError as error:
            tcp.close()
            udp.close()
            if address[1] == 0 and error.errno == errno.EADDRINUSE:
                continue  # the port that TCP was given is another's in UDP
            raise
        return udp, tcp
    raise OSError(errno.EADDRINUSE, "no port is free for both UDP and TCP")


def _socket(family: int, type: int) -> socket.socket:
    made = socket.socket(family, type)
    made.setblocking(False)
    if family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    if type == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


class DnsServer:
    """Answers on every one of `addresses`, which need not exist yet. `run` until cancelled."""

    def __init__(
        self,
        informers: Informers,
        world: World,
        addresses: Sequence[Address],
        domain: str = "cluster.local",
        upstreams: Sequence[Address] = (),
        bind: Bind = bind,
    ) -> None:
        """`upstreams` are asked for names outside of `domain`, in order; without any, such names do not exist.

        `bind` makes the sockets, in whatever network the addresses are.
        """
        self.listening: list[Address] = []
        """Where it answers by now; port 0 has become a real one."""
        self.answers = asyncio.Event()
        """Set as long as it answers on any address."""
        self._informers = informers
        self._world = world
        self._addresses = addresses
        self._domain = domain
        self._bind = bind
        self._upstreams = [each for each in upstreams if each not in addresses]

    async def run(self) -> None:
        from .forward import Forwarder

        followed = Followed(self._informers, self._world, self._domain)
        resolver = followed.resolver(Forwarder(self._upstreams, self._world))
        try:
            async with asyncio.TaskGroup() as group:
                for address in self._addresses:
                    group.create_task(self._serve(address, resolver, group), name=f"dns {address[0]}:{address[1]}")
        finally:
            self.listening.clear()
            self.answers.clear()
            followed.close()

    async def _serve(self, address: Address, resolver: Resolver, group: asyncio.TaskGroup) -> None:
        """Both transports on one address, again after a while if something else has it."""
        while True:
            try:
                udp, tcp = self._bind(address)
            except OSError as error:
                log.warning("dns cannot listen address=%s:%s error=%s", *address, error)
                await self._world.clock.sleep(REBIND_AFTER_S)
                continue
            await self._answer(udp, tcp, resolver, group)

    async def _answer(
        self, udp: socket.socket, tcp: socket.socket, resolver: Resolver, group: asyncio.TaskGroup
    ) -> None:
        loop = asyncio.get_running_loop()
        connections = asyncio.Semaphore(TCP_CONNECTIONS)

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with connections:
                await _converse(reader, writer, resolver)

        def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.create_task(converse(reader, writer), name="dns connection")

        server = await asyncio.start_server(on_connection, sock=tcp)
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(resolver, group), sock=udp)
        self.listening.append(udp.getsockname()[:2])
        self.answers.set()
        try:
            await loop.create_future()
        finally:
            transport.close()
            server.close()


class Followed:
    """The zone, and what keeps it up to date."""

    def __init__(self, informers: Informers, world: World, domain: str) -> None:
        from .ahead import follow
        from .records import Zone

        pods = informers.of(PODS)
        pods.add_index("ip", _addresses_of)
        self.zone = Zone(domain, world.random, lambda namespace, ip: _is_in(pods.by_index("ip", ip), namespace))
        self._informers: list[Informer] = [
            informers.of(resource) for resource in (NAMESPACES, SERVICES, ENDPOINT_SLICES, PODS)
        ]
        namespaces, services, slices, _ = self._informers
        self._ends = [
            namespaces.subscribe(lambda old, new: self.zone.set_namespace(key_of(_one(old, new)), new is not None)),
            services.subscribe(lambda old, new: self.zone.set_service(key_of(_one(old, new)), new)),
            slices.subscribe(lambda old, new: self.zone.set_slice(key_of(_one(old, new)), new)),
            follow(informers, self.zone),
        ]

    def resolver(self, forwarder: Forwarder) -> Resolver:
        from .resolver import Resolver

        return Resolver(self.zone, lambda: all(each.synced for each in self._informers), forwarder)

    def close(self) -> None:
        for end in self._ends:
            end()


def _one(old: Manifest | None, new: Manifest | None) -> Manifest:
    manifest = new or old
    assert manifest is not None
    return manifest


def _addresses_of(pod: Manifest) -> list[str]:
    return [each["ip"] for each in (pod.get("status") or {}).get("podIPs") or () if each.get("ip")]


def _is_in(pods: Sequence[Manifest], namespace: str) -> bool:
    return any(pod["metadata"]["namespace"] == namespace for pod in pods)


class _Datagrams(asyncio.DatagramProtocol):
    """Answers from memory at once; what has to be asked for elsewhere becomes a task."""

    def __init__(self, resolver: Resolver, group: asyncio.TaskGroup) -> None:
        self._resolver = resolver
        self._group = group

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._send: Callable[[bytes, Address], None] = transport.sendto  # type: ignore[attr-defined]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        answer = self._resolver.answer(data, is_udp=True)
        if isinstance(answer, bytes):
            self._send(answer, addr)
        elif answer is not None:
            self._group.create_task(self._send_later(answer, addr))

    async def _send_later(self, answer: Awaitable[bytes], addr: Address) -> None:
        self._send(await answer, addr)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, resolver: Resolver) -> None:
    """Questions and answers, each behind its length, until the client has no more or falls silent."""
    try:
        while True:
            async with asyncio.timeout(TCP_IDLE_S):
                length = int.from_bytes(await reader.readexactly(2), "big")
                data = await reader.readexactly(length)
            answer = resolver.answer(data, is_udp=False)
            if answer is None:
                break
            reply = answer if isinstance(answer, bytes) else await answer
            writer.write(len(reply).to_bytes(2, "big") + reply)
            async with asyncio.timeout(TCP_IDLE_S):
                await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def host_resolvers(path: Path = Path("/etc/resolv.conf")) -> list[Address]:
    """The name servers that this machine asks; none if it has none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [(each[1].partition("%")[0], 53) for each in words if len(each) > 1 and each[0] == "nameserver"][:3]
