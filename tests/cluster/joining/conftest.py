"""A cluster that listens on loopback, with the controllers that a newcomer needs and no other part."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.ports import quiet_port

from holdfast.apiserver.auth.user import MASTERS, User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client.informer import Informers
from holdfast.cluster import certificates, cluster_info
from holdfast.cluster.home import Home
from holdfast.cluster.joining import tokens
from holdfast.cluster.joining.discovery import hash_of
from holdfast.cluster.listening import open_sockets
from holdfast.cluster.signing import sign
from holdfast.controllers.bootstrap.controller import ClusterInfoSigner
from holdfast.controllers.certificates.controller import RequestApproval, RequestSigning, ServingApproval
from holdfast.controllers.runner import Runner
from holdfast.store.memory import MemoryStore
from holdfast.wire.http import serve
from holdfast.wire.tls import server_context
from holdfast.world import real_world

WORLD = real_world()


@dataclass
class Cluster:
    """What newcomers are given, and what they are not."""

    home: Home
    server: ApiServer
    address: str

    @property
    def client(self) -> Any:
        return self.server.client("test")

    @property
    def ca_hash(self) -> str:
        return hash_of(self.home.ca_certificate.read_text())

    async def token(self, ttl: timedelta | None = timedelta(hours=1)) -> str:
        return str(await tokens.make(self.client, WORLD, ttl))


@pytest.fixture
async def cluster(tmp_path: Any) -> Any:
    async with running(tmp_path / "cluster") as made:
        yield made


@contextlib.asynccontextmanager
async def running(path: Any, sign: Any = sign) -> Any:
    """`sign` makes certificates, given the authority's home and the order."""
    home = Home(path)
    home.make()
    certificates.ensure(home, WORLD.clock.now(), [], [])
    store = MemoryStore(WORLD.clock)
    await store.open()
    server = ApiServer(store, WORLD, Config(tokens={"admin": User("admin", (MASTERS,))}))
    await server.open()
    sockets = open_sockets(["127.0.0.2"], quiet_port())  # the certificate names only the first address
    address = f"127.0.0.1:{sockets[0].getsockname()[1]}"
    client = server.client("kube-controller-manager")
    await cluster_info.ensure(client, f"https://{address}", home.ca_certificate.read_text())
    files = certificates.pair(home, "apiserver")
    context = server_context(str(files.certificate), str(files.key), client_ca=str(home.ca_certificate))
    doors = [await serve(server.handler, sock=each, ssl=context) for each in sockets]
    informers = Informers(client, WORLD)
    controllers: list[Any] = [
        RequestApproval(),
        ServingApproval(()),
        RequestSigning(WORLD.clock, partial(sign, home)),
        ClusterInfoSigner(WORLD.clock),
    ]
    parts = [Runner(each, client, informers, WORLD).run() for each in controllers]
    tasks = [asyncio.create_task(part) for part in (*parts, informers.run())]
    try:
        yield Cluster(home, server, address)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(door.close() for door in doors))
        await server.close()
        await store.close()


@pytest.fixture
def free_port() -> Iterator[int]:
    """One where nobody listens, and nobody else begins to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
