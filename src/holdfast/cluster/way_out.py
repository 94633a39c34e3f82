"""The pods' way out of their network without root: slirp4netns, where it can have /dev/net/tun (R74).

It carries what the kernel routes to it as connections of an ordinary program of this user. It outlives the agents, as
the containers do: who comes back finds it by its lock.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path

from holdfast.node.capabilities import SEARCH_PATH
from holdfast.world import Clock

from .agents_process import ended
from .home import Home
from .locks import Held, ProcessLock, holder
from .outside import Outside
from .rootless import Namespaces

log = logging.getLogger(__name__)

PROGRAM = "slirp4netns"
DEVICE = "/dev/net/tun"
LINK = "tap0"
LARGEST_PACKET = 65520
AGAIN_AFTER_S = 5.0


def obstacle() -> str:
    """Why pods have no way out; empty if they can have one. The device is opened: the program may hang without."""
    if shutil.which(PROGRAM, path=SEARCH_PATH) is None:
        return f"{PROGRAM} is not installed"
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return f"{DEVICE}: {os.strerror(error.errno or 0)}"
    return ""


class WayOut:
    """Of one data directory."""

    def __init__(self, home: Home, outside: Outside, clock: Clock) -> None:
        self._home = home
        self._outside = outside
        self._clock = clock

    async def run(self) -> None:
        """Keeps the program running until cancelled, which leaves it running; returns where it cannot run."""
        while True:
            pid = pid_of(self._home)
            if pid is None:
                if why_not := obstacle():
                    log.warning("pods reach nothing beyond the cluster reason=%r", why_not)
                    return
                try:
                    pid = await self._outside(functools.partial(start, self._home))
                except (OSError, Held) as error:
                    log.warning("%s cannot be started error=%r", PROGRAM, str(error))
            if pid is not None:
                await ended(pid)
                log.warning("%s ended restarting_after_s=%g log=%s", PROGRAM, AGAIN_AFTER_S, _log(self._home))
            await self._clock.sleep(AGAIN_AFTER_S)


def start(home: Home) -> int:
    """Its pid. To be called in the network that is to be reached, inside user and mount namespace."""
    lock = ProcessLock(_lock(home))
    lock.acquire()
    arguments = ["--configure", f"--mtu={LARGEST_PACKET}", "--disable-host-loopback", "--netns-type=path"]
    with _log(home).open("wb") as output:
        process = subprocess.Popen(
            [shutil.which(PROGRAM, path=SEARCH_PATH) or PROGRAM, *arguments, Namespaces(home).network, LINK],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock.outlive_exec(),),
            start_new_session=True,
            cwd="/",
        )
    process.returncode = 0  # reaped by `ended`, or by init once we are gone
    lock.describe(pid=process.pid)
    lock.release()
    return process.pid


def stop(home: Home) -> None:
    """Nothing if it does not run."""
    if (pid := pid_of(home)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def pid_of(home: Home) -> int | None:
    facts = holder(_lock(home))
    return None if facts is None else int(facts["pid"])


def _lock(home: Home) -> Path:
    return home.run / "way-out.lock"


def _log(home: Home) -> Path:
    return home.logs / "way-out.log"
