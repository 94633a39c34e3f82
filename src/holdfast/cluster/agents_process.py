"""The node agents' process as the daemon sees it: found or started, watched, started again, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
from typing import Any

from holdfast import __version__
from holdfast.world import Clock

from .home import Home
from .launch import agents_lock, agents_log
from .locks import holder
from .settings import Settings

log = logging.getLogger(__name__)

RESTART_AFTER_S = 1.0
STOP_WITHIN_S = 840.0
LOOK_EVERY_S = 0.01
GONE_WITHIN_S = 5.0
GO = b"go"


def description(settings: Settings, url: str) -> dict[str, Any]:
    """What a process of agents must be doing to be taken over as it is."""
    names, pods = settings.node_names(), [settings.pod_cidr, settings.first_slice]
    return {"version": __version__, "url": url, "runtime": settings.driver, "nodes": names, "pods": pods}


class AgentsProcess:
    """Containers belong to the agents, not to the daemon: a daemon that comes back finds them at work."""

    def __init__(self, home: Home, settings: Settings, url: str, clock: Clock) -> None:
        self._home = home
        self._wanted = description(settings, url)
        self._clock = clock
        self._stopping = False
        self._pid: int | None = None
        self._held = -1

    def start(self) -> None:
        """Finds one that is at work, or starts one, which does not go beyond loading itself before `release`."""
        self._pid = self._found() or self._spawn()

    def release(self) -> None:
        """The credentials that the agents need are there."""
        if self._held >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._held, GO)
            os.close(self._held)
            self._held = -1

    async def run(self) -> None:
        """Keeps one such process alive, until cancelled; that leaves it alive."""
        while not self._stopping:
            pid = self._pid or self._found() or self._spawn()
            self.release()
            self._pid = None
            await ended(pid)
            if not self._stopping:
                log.error("agents ended pid=%s restarting_after_s=%s", pid, RESTART_AFTER_S)
                await self._clock.sleep(RESTART_AFTER_S)

    def _found(self) -> int | None:
        """A process that already does what is wanted. One that does something else is killed: it loses nothing."""
        facts = holder(agents_lock(self._home))
        if facts is None:
            return None
        pid = int(facts.pop("pid"))
        facts.pop("conditions", None)
        if facts == self._wanted:
            log.info("agents adopted pid=%s", pid)
            return pid
        log.info("agents replaced pid=%s", pid)
        _kill(pid)
        return None

    def _spawn(self) -> int:
        """It loads itself and waits to be released; a daemon that dies before that takes it along."""
        waiting, self._held = os.pipe()
        descriptor = os.open(agents_log(self._home), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "holdfast.cluster.agents", "--home", str(self._home.path), self._wanted["url"]],
                stdin=waiting,
                stdout=descriptor,
                stderr=descriptor,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
            os.close(waiting)
        process.returncode = 0  # reaped by `ended`, or by init once we are gone
        return process.pid

    async def over(self) -> None:
        """Returns when the process that `start` has found or started has ended."""
        if self._pid is not None:
            await ended(self._pid)

    async def started(self) -> None:
        """Returns when every agent has registered its Node and knows its pods, or is kept from it by its user."""
        while set((holder(agents_lock(self._home)) or {}).get("conditions", ())) != set(self._wanted["nodes"]):
            await self._clock.sleep(LOOK_EVERY_S)

    async def stop(self) -> None:
        """Has it stop the pods within their grace periods and end."""
        self._stopping = True
        facts = holder(agents_lock(self._home))
        if facts is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(facts["pid"], signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await ended(facts["pid"])
            except TimeoutError:
                log.error("agents did not stop pid=%s within_s=%s", facts["pid"], STOP_WITHIN_S)
                os.kill(facts["pid"], signal.SIGKILL)


async def ended(pid: int) -> None:
    """Returns once the process has ended, a child of ours or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    _reap(pid)


def _kill(pid: int) -> None:
    """Returns when it is gone, and what it said of itself with it: a few milliseconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    select.select([descriptor], [], [], GONE_WITHIN_S)
    os.close(descriptor)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
