"""A process that stays as long as its cluster is up, for whoever supervises: systemd, runit, a container's entry point.

It runs nothing itself. The daemon is a process of its own as ever, and so is, on a machine that has joined, that of the
agents: one that is up already is watched as if it had been started here, and this process may be killed as they may.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from . import launch
from . import settings as saved
from .home import Home
from .launch import LaunchFailed, Report
from .locks import holder
from .supervisor import Supervisor

LEFT = 128 + signal.SIGTERM
"""The exit status of who was told to leave. 0 says that the pods have stopped, and that nothing is to be started."""


class Asked(KeyboardInterrupt):
    """Somebody wants this process to end: with SIGTERM itself and the daemon, with SIGINT the pods before."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True, slots=True)
class Watched:
    """The process whose end is waited for."""

    what: str
    lock: Path
    log: Path


def watched(home: Home) -> Watched:
    settings = saved.load(home.settings)
    if settings is not None and settings.is_joined:
        return Watched("the node's agent", launch.agents_lock(home), home.logs / "agents.log")
    return Watched("the daemon", launch.daemon_lock(home), home.logs / "daemon.log")


def stay(home: Home, supervisor: Supervisor, report: Report, bring_up: Callable[[], str]) -> int:
    """Has the cluster up, and returns when it is not any more: the exit status, 0 if its pods were stopped.

    `bring_up` returns when it is ready, with a line about it. Raises LaunchFailed if what is watched ends by itself.
    """
    try:
        with _asked():
            line = bring_up()
            place = watched(home)
            pid = _pid(place.lock)
            report(f"stays until {place.what} (pid {pid}) ends")
            supervisor.ready(line)
            if pid is not None:
                _until_ended(pid)
    except Asked as asked:
        if asked.number == signal.SIGTERM:
            return _leave(home, supervisor, report)
        return _stop(home, supervisor, report)
    if launch.was_stopped(place.lock):
        report("the pods have been stopped")
        return 0
    raise LaunchFailed(f"{place.what} (pid {pid}) has ended, the pods go on; its log is {place.log}")


@contextlib.contextmanager
def _asked() -> Iterator[None]:
    """Within, the first signal raises Asked; from then on there are none."""

    def raise_once(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise Asked(number)

    before = {number: signal.signal(number, raise_once) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _pid(lock: Path) -> int | None:
    facts = holder(lock)
    return None if facts is None else int(facts["pid"])


def _until_ended(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        select.select([descriptor], [], [])
        os.close(descriptor)


def _leave(home: Home, supervisor: Supervisor, report: Report) -> int:
    """The agents go on too: the next start takes them over, and replaces those of another version."""
    supervisor.stopping("the pods go on")
    if watched(home).lock == launch.daemon_lock(home):
        for pid in {_pid(launch.daemon_lock(home)), *_children()}:
            if pid not in (None, os.getpid()):
                launch.leave(pid)
    report("told to end: the pods go on, and the next start finds them")
    return LEFT


def _stop(home: Home, supervisor: Supervisor, report: Report) -> int:
    """As `holdfast down`, but that a machine that has joined does not leave its cluster: it may just be restarting."""
    supervisor.stopping("pods are ending within their grace periods")
    for pid in set(_children()) - {_pid(launch.daemon_lock(home)), _pid(launch.agents_lock(home))}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            _until_ended(pid)
    launch.stop(home, report)
    report("stopped")
    return 0


def _children() -> Iterator[int]:
    """What this process has started: it may not have come to hold its lock, by which it is found."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _state, parent, *_ = file.read_text().rpartition(")")[2].split()
            if int(parent) == os.getpid():
                yield int(file.parent.name)
