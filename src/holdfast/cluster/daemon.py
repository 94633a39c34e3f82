"""The daemon: API server, store, controllers, scheduler and DNS in one process; it starts the agents' process.

Crash-only: killed at any moment it comes back from the store, and the containers never notice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast import __version__
from holdfast.api import feature_gates
from holdfast.network.pods.ranges import Network, NoRangeLeft
from holdfast.node.capabilities import probe_containers
from holdfast.world import real_world

from . import address_ranges, certificates, kubeconfig, listening, node_faults
from . import settings as saved
from .agents_process import AgentsProcess
from .choice import CannotRun, decide
from .cycles import collect_when_idle
from .home import Damaged, Home
from .launch import LEAVE, LOCK, NOTIFY, STARTING, STOPPING, agents_lock, daemon_lock, daemon_log, has_records
from .locks import Held, ProcessLock, holder
from .logs import keep_small
from .loop import run
from .node_parts import has_ipv6
from .own_groups import OwnGroups
from .private_files import set_usual_umask
from .rootless import Namespaces, in_pods_network
from .settings import IPV6, Settings, host_name, networks

if TYPE_CHECKING:
    from holdfast.apiserver.server import ApiServer

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


class StartFailed(Exception):
    """The daemon cannot start; the message says why and what to do."""


class Progress:
    """Tells whoever started the daemon how far it is; nobody may be listening."""

    def __init__(self) -> None:
        self._descriptor = int(os.environ.pop(NOTIFY, "-1"))
        if self._descriptor >= 0:
            os.set_inheritable(self._descriptor, False)

    def tell(self, **message: object) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._descriptor, json.dumps(message).encode() + b"\n")

    def end(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def main(arguments: Sequence[str]) -> int:
    set_usual_umask()
    parser = argparse.ArgumentParser(prog="python -m holdfast.cluster.daemon")
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args(arguments).home)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    progress = Progress()
    try:
        lock = held_lock(home)
        settings = choose(home, saved.load(home.settings) or Settings())
        with namespaces(home, settings):
            run(Daemon(home, settings, progress, lock).run())
    except (StartFailed, Damaged) as error:
        progress.tell(error=str(error))
        log.error("not started: %s", error)
        return 1
    except PermissionError as error:
        log.exception("not started")
        progress.tell(error=f"{error.filename or home.path}: {error.strerror}: has another user left it there?")
        return 1
    return 0


def held_lock(home: Home) -> ProcessLock:
    """By this process, or by who has started it and handed it over. Raises StartFailed."""
    lock = ProcessLock(daemon_lock(home))
    if (handed := os.environ.pop(LOCK, None)) is not None:
        lock.take_over(int(handed))
    else:
        try:
            lock.acquire()
        except Held as error:
            raise StartFailed(f"another daemon runs on {home.path}") from error
    lock.describe(state=STARTING)
    return lock


def choose(home: Home, settings: Settings) -> Settings:
    """The settings with what `auto` comes to on this machine. Raises StartFailed."""
    in_use = holder(agents_lock(home)) is not None or has_records(home)
    try:
        return decide(settings, in_use=in_use, probe=functools.partial(probe_containers, home.path))
    except CannotRun as error:
        raise StartFailed(str(error)) from error


@contextlib.contextmanager
def namespaces(home: Home, settings: Settings) -> Iterator[None]:
    """Without root, this process lives in namespaces of the cluster's own, which go when no pods are left in them."""
    if not settings.is_rootless:
        yield
        return
    OwnGroups(home).enter()
    own = Namespaces(home)
    try:
        own.enter()
    except OSError as error:
        raise StartFailed(f"no namespaces of the cluster's own: {error}; see `holdfast doctor`") from error
    try:
        yield
    finally:
        if holder(daemon_lock(home)) is None and holder(agents_lock(home)) is None:
            own.remove()


class Daemon:
    """One run of the daemon on one data directory."""

    def __init__(self, home: Home, settings: Settings, progress: Progress, lock: ProcessLock) -> None:
        self._home = home
        self._settings = settings
        self._progress = progress
        self._lock = lock
        self._world = real_world()
        self._stop = asyncio.Event()
        self._leave = asyncio.Event()
        self._holds: list[address_ranges.Hold] = []
        """What keeps other clusters from our addresses."""

    async def run(self) -> None:
        """Until SIGTERM or SIGINT, then stops the pods, then itself; or until LEAVE, and the pods go on.

        Raises StartFailed.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(LEAVE, self._leave.set)
        try:
            await self._run()
            if self._stop.is_set():
                self._lock.describe(state=STOPPING, stopped=True)
        finally:
            self._lock.release()

    async def _run(self) -> None:
        feature_gates.set_enabled(self._settings.feature_gates)
        try:
            sockets = listening.open_sockets(self._settings.listen, self._settings.port)
        except listening.CannotListen as error:
            raise StartFailed(str(error)) from error
        known = self._settings.changed(port=sockets[0].getsockname()[1], name=self._settings.name or host_name())
        self._settings = self._with_ranges(known)
        saved.save(self._home.settings, self._settings)
        url = f"https://{HOST}:{self._settings.port}"
        agents = AgentsProcess(self._home, self._settings, url, self._world.clock)
        if self._settings.nodes:
            agents.start()
        self._make_credentials(url)
        agents.release()
        from . import serving

        async with serving.api_server(self._home, self._settings, self._world, sockets) as server:
            self._progress.tell(step=f"API server answers at {url}")
            self._lock.describe(url=url, version=__version__, state=STARTING)
            plane = serving.control_plane(self._home, self._settings, self._world, server)
            gc.freeze()
            await self._until_stopped(server, url, agents, asyncio.create_task(plane.run()))

    def _with_ranges(self, settings: Settings) -> Settings:
        """Raises StartFailed."""
        versions = self._versions(settings)
        in_use = holder(agents_lock(self._home)) is not None
        before = networks(settings.service_cidr)
        machine = address_ranges.Machine(is_left=self._is_left, is_apart=settings.is_rootless)
        try:
            pods, of_pods = address_ranges.choose_pods(settings.pod_networks(), versions, in_use, machine)
            services, of_services = address_ranges.choose_services(before, versions, pods, machine)
        except NoRangeLeft as error:
            raise StartFailed(str(error)) from error
        self._holds = [*of_pods, *of_services]
        kept = [network for network in before if network.version not in versions]
        return settings.changed(pod_cidr=",".join(map(str, pods)), service_cidr=",".join(map(str, [*services, *kept])))

    def _versions(self, settings: Settings) -> list[int]:
        """Of IP, that the cluster is to have now."""
        if IPV6 not in settings.ip_families:
            return [4]
        if settings.is_rootless:
            self._progress.tell(step="without root the cluster has IPv4 only")
        elif not has_ipv6():
            self._progress.tell(step="this machine has IPv6 switched off: the cluster has IPv4 only, for now")
        else:
            return [4, 6]
        return [4]

    def _is_left(self, network: Network) -> bool:
        return in_pods_network(self._home, self._settings, functools.partial(address_ranges.is_left, network))

    async def _until_stopped(
        self, server: ApiServer, url: str, agents: AgentsProcess, plane: asyncio.Task[None]
    ) -> None:
        """When something breaks instead, the pods go on, and the next start finds them."""
        collector = asyncio.create_task(collect_when_idle(self._world.clock))
        small = asyncio.create_task(keep_small(daemon_log(self._home), self._world.clock))
        supervision = asyncio.create_task(agents.run() if self._settings.nodes else self._stop.wait())
        ready = asyncio.create_task(self._tell_when_ready(server, agents, url))
        stop = asyncio.create_task(self._stop.wait())
        leave = asyncio.create_task(self._leave.wait())
        try:
            done, _ = await asyncio.wait({stop, leave, plane, supervision}, return_when=asyncio.FIRST_COMPLETED)
            await _cancel(ready)
            self._lock.describe(url=url, version=__version__, state=STOPPING)
            for task in done - {stop, leave}:
                task.result()
            if self._stop.is_set():
                await _cancel(plane)
                await agents.stop()
        finally:
            for task in (ready, stop, leave, plane, supervision, collector, small):
                await _cancel(task)

    def _make_credentials(self, url: str) -> None:
        now = self._world.clock.now()
        addresses = [str(self._settings.service_networks()[0][1]), self._settings.gateway()]
        addresses += [name for name in listening.names(self._settings.listen) if name not in addresses]
        certificates.ensure(self._home, now, self._settings.node_names(), addresses)
        kubeconfig.write(self._home, url)

    async def _tell_when_ready(self, server: ApiServer, agents: AgentsProcess, url: str) -> None:
        from .serving import nodes_ready

        if self._settings.nodes:
            await agents.started()  # what the API says of a node may be from before it was stopped
        away = node_faults.wanted(self._home)
        await nodes_ready(server, [name for name in self._settings.node_names() if name not in away])
        self._lock.describe(url=url, version=__version__)
        self._progress.tell(ready=True, url=url)
        self._progress.end()
        await asyncio.to_thread(server.tokens.accounts.key.load)  # at leisure, unless a pod was faster


async def _cancel(task: asyncio.Task[object] | asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
