"""The namespaces in which a cluster without root lives, and the process that keeps them (R71).

Daemon and agents move into the user and the mount namespace before they have any thread, and are root there: what
they do to files, mounts and links is what they do as root elsewhere. The network namespace stands for the machine: it
has the pods' gateway, routes and rules. The agents move into that too; the daemon stays in the machine's own network,
and makes in the other the sockets by which pods reach it.

An ordinary user cannot pin namespaces as files of the machine. So a process that does nothing keeps them until
`holdfast down`: containers go on whoever else is killed, and who comes back finds them where they were. Should it be
killed itself, agents and the containers' supervisors are inside too, and there will be another.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from holdfast.node import delegation
from holdfast.world import linux, user_namespace

from .home import Home
from .launch import agents_lock
from .locks import ProcessLock, holder
from .own_groups import OwnGroups
from .settings import Settings

if TYPE_CHECKING:
    from holdfast.wire.client import Dial

Result = TypeVar("Result")

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
_ENTERED = {"user": linux.CLONE_NEWUSER, "mnt": linux.CLONE_NEWNS}


class Namespaces:
    """Of one data directory."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = home.run / "namespaces.lock"
        self.network = str(home.run / "network")
        """The network namespace, as a file: seen from inside the mount namespace only."""

    @property
    def keeper(self) -> int | None:
        """The process that keeps them, if there is one."""
        facts = holder(self._lock)
        return None if facts is None else int(facts["pid"])

    def enter(self) -> None:
        """Moves this process, which has one thread, into the user and the mount namespace; makes them if need be.

        Raises OSError.
        """
        keeper = self.keeper
        member = keeper or next(self._others(), None) or self._start_keeper(is_first=True)
        if not os.path.samefile(f"/proc/{member}/ns/user", "/proc/self/ns/user"):
            for kind, flag in _ENTERED.items():
                _join(f"/proc/{member}/ns/{kind}", flag)
        if self.keeper is None:
            self._start_keeper(is_first=False)

    @property
    def exist(self) -> bool:
        """Whether any process is inside."""
        return self.keeper is not None or next(self._others(), None) is not None

    def _others(self) -> Iterator[int]:
        """Processes that are inside as long as they live, whatever became of the keeper."""
        agents = holder(agents_lock(self._home))
        if agents is not None and agents["pid"] != os.getpid():
            yield int(agents["pid"])
        for file in self._home.run.glob("*/c/*/conmon.pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(file.read_text())
                if str(file.parent).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    yield pid

    def enter_network(self) -> None:
        """Moves the calling thread, which has entered the others, and the threads it will start. Raises OSError."""
        _join(self.network, linux.CLONE_NEWNET)

    def remove(self) -> None:
        """They go with the last process that is inside."""
        if (keeper := self.keeper) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGKILL)

    def _start_keeper(self, *, is_first: bool) -> int:
        """Makes what it is to keep if it `is_first`; else this process is inside already. Raises OSError.

        The lock tells of the process, and is let go of with it.
        """
        reading, writing = os.pipe2(os.O_CLOEXEC)
        keeper = os.fork()
        if keeper == 0:
            self._keep(writing, is_first=is_first)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            failure = pipe.read()  # ends when the process has become the one that sleeps
        if failure:
            os.waitpid(keeper, 0)
            raise OSError(failure.decode(errors="replace"))
        return keeper

    def _keep(self, failed: int, *, is_first: bool) -> None:
        """What the new process does; it never returns."""
        try:
            os.setsid()
            lock = ProcessLock(self._lock)
            lock.acquire()
            lock.outlive_exec()
            if is_first:
                user_namespace.enter(linux.CLONE_NEWNS | linux.CLONE_NEWNET)
                self._furnish()
            os.chdir("/")
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            os.execv(shutil.which("sleep") or "/bin/sleep", ["sleep", "infinity"])
        except BaseException as error:
            os.write(failed, (str(error) or repr(error)).encode())
        finally:
            os._exit(1)

    def _furnish(self) -> None:
        """Mounts reach in from outside, and none goes out.

        Below /sys are the links of this network. Where no control groups are the user's, nothing is in their place, in
        the form in which crun accepts it: it refuses some layouts even if it is not to use them (R31).
        """
        groups = os.open(delegation.ROOT, os.O_PATH | os.O_DIRECTORY) if OwnGroups(self._home).group else None
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
        linux.mount("sysfs", "/sys", "sysfs", linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        if groups is None:
            linux.mount("none", "/sys/fs/cgroup", "tmpfs", linux.MS_RDONLY | linux.MS_NOSUID)
        else:
            linux.mount(f"/proc/self/fd/{groups}", str(delegation.ROOT), flags=linux.MS_BIND)
            os.close(groups)
        Path(self.network).touch()
        linux.mount("/proc/self/ns/net", self.network, flags=linux.MS_BIND)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _join(path: str, kind: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(descriptor, kind)
    finally:
        os.close(descriptor)


def in_pods_network(home: Home, settings: Settings, function: Callable[[], Result]) -> Result:
    """What `function` returns, run where the pods' gateway is: this machine's own network, unless without root."""
    if not settings.is_rootless:
        return function()
    return linux.in_network_namespace(Namespaces(home).network, function)


def dial_pods(home: Home) -> Dial:
    """Connections to pods from the machine's own network, to whose programs pods are not known."""
    network = Namespaces(home).network

    async def dial(host: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = await asyncio.to_thread(linux.in_network_namespace, network, lambda: socket.socket(family))
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made

    return dial
