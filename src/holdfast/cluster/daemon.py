"""The daemon: API server, store, controllers, scheduler and DNS in one process; it starts the agents' process.

Crash-only: killed at any moment it comes back from the store, and the containers never notice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.apiserver.auth.user import AUTHENTICATED, MASTERS, User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.apiserver.streams import PodStreams
from holdfast.apiserver.streams.dialing import NodeDialer
from holdfast.controllers.volumes.bootstrap import create_standard_class
from holdfast.controllers.volumes.directories import LocalDirectories
from holdfast.network.pods import ranges
from holdfast.store import Store
from holdfast.wire.http import serve
from holdfast.world import World, real_world

from . import certificates, kubeconfig
from . import settings as saved
from .agents_process import AgentsProcess
from .control_plane import ControlPlane
from .home import Home
from .launch import NOTIFY, daemon_lock
from .locks import Held, ProcessLock
from .loop import run
from .settings import Settings

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


class StartFailed(Exception):
    """The daemon cannot start; the message says why and what to do."""


class Progress:
    """Tells whoever started the daemon how far it is; nobody may be listening."""

    def __init__(self) -> None:
        self._descriptor = int(os.environ.pop(NOTIFY, "-1"))

    def tell(self, **message: object) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._descriptor, msgspec.json.encode(message) + b"\n")

    def end(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.cluster.daemon")
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args(arguments).home)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    progress = Progress()
    try:
        run(Daemon(home, saved.load(home.settings) or Settings(), progress).run())
    except StartFailed as error:
        progress.tell(error=str(error))
        log.error("not started: %s", error)
        return 1
    return 0


class Daemon:
    """One run of the daemon on one data directory."""

    def __init__(self, home: Home, settings: Settings, progress: Progress) -> None:
        self._home = home
        self._settings = settings
        self._progress = progress
        self._world = real_world()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then stops the pods, then itself. Raises StartFailed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        lock = ProcessLock(daemon_lock(self._home))
        try:
            lock.acquire()
        except Held as error:
            raise StartFailed(f"another daemon runs on {self._home.path}") from error
        try:
            await self._run(lock)
        finally:
            lock.release()

    async def _run(self, lock: ProcessLock) -> None:
        listening = _listen(self._settings.port)
        self._settings = complete(self._settings, listening.getsockname()[1])
        saved.save(self._home.settings, self._settings)
        url = f"https://{HOST}:{self._settings.port}"
        self._make_credentials(url)
        agents = AgentsProcess(self._home, self._settings, url, self._world.clock)
        supervision = asyncio.create_task(agents.run() if self._settings.nodes else self._stop.wait())
        async with self._api_server(listening) as server:
            self._progress.tell(step=f"API server answers at {url}")
            lock.describe(url=url)
            plane = asyncio.create_task(self._control_plane(server).run())
            gc.freeze()
            try:
                await self._until_stopped(server, url, plane, supervision)
                await _cancel(plane)
                await agents.stop()
            finally:  # also when something broke: then the pods go on, and the next start finds them
                await _cancel(plane)
                await _cancel(supervision)

    async def _until_stopped(
        self, server: ApiServer, url: str, plane: asyncio.Task[None], supervision: asyncio.Task[object]
    ) -> None:
        ready = asyncio.create_task(self._tell_when_ready(server, url))
        stop = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait({stop, plane, supervision}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()
        finally:
            await _cancel(ready)
            await _cancel(stop)

    def _make_credentials(self, url: str) -> None:
        now = self._world.clock.now()
        network = ipaddress.ip_network(self._settings.service_cidr)
        certificates.ensure(self._home, now, self._settings.node_names(), str(network[1]))
        kubeconfig.write(self._home, url)

    @contextlib.asynccontextmanager
    async def _api_server(self, listening: socket.socket) -> AsyncIterator[ApiServer]:
        store = open_store(self._settings, self._home, self._world)
        await store.open()
        is_new = store.revision == 0
        token = self._home.admin_token.read_text().strip()
        config = Config(
            tokens={token: User("admin", (MASTERS, AUTHENTICATED))},
            service_cidr=self._settings.service_cidr,
            address=f"{HOST}:{self._settings.port}",
        )
        server = ApiServer(store, self._world, config)
        await server.open()
        dialer = self._dialer(server)
        server.streams = PodStreams(dialer, self._world.clock)
        if is_new:
            await create_standard_class(server.client("controller-manager"))
        http = await serve(
            server.handler,
            sock=listening,
            ssl=self._serving_context(),
            too_large=server.too_large,
            failed=server.failed,
        )
        try:
            yield server
        finally:
            await server.close()
            await dialer.close()
            await http.close()
            await store.close()

    def _serving_context(self) -> ssl.SSLContext:
        from holdfast.wire.tls import server_context

        files = certificates.pair(self._home, "apiserver")
        return server_context(str(files.certificate), str(files.key), client_ca=str(self._home.ca_certificate))

    def _dialer(self, server: ApiServer) -> NodeDialer:
        """How logs, exec and the like reach the nodes: as the API server, by client certificate."""
        from holdfast.wire.tls import client_context

        files = certificates.pair(self._home, "apiserver-client")
        context = client_context(str(self._home.ca_certificate), str(files.certificate), str(files.key))
        nodes = server.cache.of(NODES)

        def find(name: str) -> Manifest | None:
            stored = nodes.objects.get(nodes.key("", name))
            return None if stored is None else stored.manifest

        return NodeDialer(find, context)

    def _control_plane(self, server: ApiServer) -> ControlPlane:
        volumes = str(self._home.volumes)
        return ControlPlane(
            server.client,
            self._world,
            directories=LocalDirectories([volumes]),
            volumes_root=volumes,
            ca_certificate=self._home.ca_certificate.read_text(),
            dns_addresses=[(self._settings.dns_address(), 53)] if os.geteuid() == 0 else [],
            without=self._settings.without,
        )

    async def _tell_when_ready(self, server: ApiServer, url: str) -> None:
        waiting = set(self._settings.node_names())
        if waiting:
            async for event in server.client("daemon").watch(NODES):
                if event.type != "BOOKMARK" and _is_ready(event.object):
                    waiting.discard(event.object["metadata"]["name"])
                if not waiting:
                    break
        self._progress.tell(ready=True, url=url)
        self._progress.end()


def _is_ready(node: dict[str, object]) -> bool:
    status = node.get("status") or {}
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _listen(port: int) -> socket.socket:
    """The API's socket: bound and listening before anything else, so that clients started now need not try again."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        raise StartFailed(f"port {port} on {HOST} is taken: choose another with --port N, 0 picks one") from error
    listening.listen(1024)
    listening.setblocking(False)
    return listening


def complete(settings: Settings, port: int) -> Settings:
    """The settings with everything chosen that was left open."""
    return settings.changed(port=port, pod_cidr=settings.pod_cidr or str(ranges.choose(ranges.routed())))


def open_store(settings: Settings, home: Home, world: World) -> Store:
    if settings.store == "memory":
        from holdfast.store.memory import MemoryStore

        return MemoryStore(world.clock)
    from holdfast.store.sqlite import SqliteStore

    return SqliteStore(home.database, world.clock)


async def _cancel(task: asyncio.Task[object] | asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
