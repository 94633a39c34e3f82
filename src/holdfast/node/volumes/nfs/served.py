"""NFS mounts served by processes of our own (`holdfast.nfs.mount`), one for each export and set of options.

`<top>/<key>/` holds the mount itself (`mnt`), the process' `lock` and `log`, and `mount.json`, how it was asked for.
A volume is a bind mount of `mnt`; who still uses a file system is read from the mount table, so that nothing is
to be remembered over a crash. Pods of one node share a process, and with it pages and locks (V144).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from holdfast.node.runtime.oci.processes import Child, wait_readable
from holdfast.world import linux
from holdfast.world.mount_table import Mount

from . import table

log = logging.getLogger(__name__)

STARTED_WITHIN_S = 30.0
ENDED_WITHIN_S = 4.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0


class NotServed(Exception):
    """In the words of mount.nfs."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to serve."""

    source: str
    options: tuple[str, ...]
    address: str = ""

    @property
    def server(self) -> str:
        """Its address, or its name where nothing else is known."""
        return self.address or self.source.partition(":/")[0].strip("[]")


Begin = Callable[[str, Callable[[], Child]], Awaitable[Child]]
"""(server, start): what `start` returns."""


async def _begin_here(server: str, start: Callable[[], Child]) -> Child:
    return start()


class ServedMounts:
    """Of one node. `top` is a directory of their own."""

    def __init__(self, top: Path, begin: Begin | None = None) -> None:
        """`begin` starts a process where the server is reached, if that is not simply here."""
        self._top = top
        self._begin = begin or _begin_here
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._reaping: set[asyncio.Task[int]] = set()

    async def mount(self, key: str, order: Order, point: Path, *, is_read_only: bool) -> None:
        """On `point`, an empty directory or such a mount already. Raises NotServed, OSError."""
        async with self._locks[key]:
            shared = await self._serve(key, order)
            there = table.at(point)
            if there is not None and there.device == shared.device:
                return
            if there is not None:  # of a process that has died
                linux.unmount(str(point), linux.MNT_DETACH)
            try:
                _bind(shared.point, str(point), is_read_only=is_read_only)
            except OSError:
                await self._release_if_unused(key)
                raise

    async def unmount(self, point: Path) -> None:
        """Nothing if nothing of ours is there. Raises OSError."""
        there = table.at(point)
        if there is None:
            return
        key = self._key_of(there)
        if key is None:
            linux.unmount(there.point, linux.MNT_DETACH)
            return
        async with self._locks[key]:
            linux.unmount(there.point, linux.MNT_DETACH)
            await self._release_if_unused(key)

    async def sweep(self) -> None:
        """Ends what an agent that was killed had begun for nobody."""
        for directory in sorted(self._top.iterdir()) if self._top.is_dir() else ():
            async with self._locks[directory.name]:
                await self._release_if_unused(directory.name)

    # -- one process ------------------------------------------------------------------------------

    def _key_of(self, mount: Mount) -> str | None:
        for shared in table.below(self._top):
            if shared.device == mount.device:
                return Path(shared.point).parent.name
        return None

    async def _serve(self, key: str, order: Order) -> Mount:
        """The shared mount, served by a process that lives."""
        directory = self._top / key
        if not is_held(directory / "lock"):
            await self._start_anew(key, order)
        shared = table.at(directory / "mnt")
        if shared is None:
            raise NotServed("the mount went away")
        self._watch(key)
        return shared

    async def _start_anew(self, key: str, order: Order) -> None:
        """Where a process has died, its mount is still there, and in it the volumes of pods: they get the new one."""
        point = self._top / key / "mnt"
        dead = table.at(point)
        users = [each for each in table.mounts() if dead and each.device == dead.device and each.point != dead.point]
        _detach(point)
        try:
            await self._start(key, order)
        except BaseException:
            if users:  # the next attempt is to find them: what is dead is bound where it was
                point.mkdir(parents=True, exist_ok=True)
                linux.mount(users[0].point, str(point), flags=linux.MS_BIND)
                self._remember(key, order)
            raise
        for user in users:
            linux.unmount(user.point, linux.MNT_DETACH)
            _bind(str(point), user.point, is_read_only=user.is_read_only)

    def _remember(self, key: str, order: Order) -> None:
        temporary = self._top / key / "mount.json.new"
        temporary.write_text(json.dumps(asdict(order)))
        temporary.replace(self._top / key / "mount.json")

    async def _start(self, key: str, order: Order) -> None:
        directory = self._top / key
        (directory / "mnt").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._remember(key, order)
        command = [sys.executable, "-m", "holdfast.nfs.mount", order.source, str(directory / "mnt")]
        command += ["--options", ",".join(order.options), "--address", order.address, "--lock", str(directory / "lock")]
        output = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        reading, writing = os.pipe2(os.O_CLOEXEC)

        def begin() -> Child:
            return Child(command, stdout=writing, stderr=output, new_session=True, cwd="/")

        try:
            child = await self._begin(order.server, begin)
        finally:
            os.close(output)
            os.close(writing)
        try:
            async with asyncio.timeout(STARTED_WITHIN_S):
                facts = await _first_line(reading)
        except BaseException as error:
            child.signal(signal.SIGKILL)
            await child.wait()
            _detach(directory / "mnt")
            self._forget(key)
            if isinstance(error, TimeoutError):
                raise NotServed("Connection timed out") from error
            raise
        finally:
            os.close(reading)
        if "pid" not in facts:
            await child.wait()
            reason = str(facts.get("error") or f"the client ended ({_tail(directory / 'log')})")
            self._forget(key)
            raise NotServed(reason)
        reaping = asyncio.create_task(child.wait())
        self._reaping.add(reaping)
        reaping.add_done_callback(self._reaping.discard)

    async def _release_if_unused(self, key: str) -> None:
        directory = self._top / key
        shared = table.at(directory / "mnt")
        if shared is not None and any(
            mount.device == shared.device and mount.point != shared.point for mount in table.mounts()
        ):
            return
        if watching := self._watching.pop(key, None):
            watching.cancel()
        _detach(directory / "mnt")
        await end(directory / "lock")
        self._forget(key)

    def _forget(self, key: str) -> None:
        if table.at(self._top / key / "mnt") is None:
            shutil.rmtree(self._top / key, ignore_errors=True)

    # -- a process that dies ----------------------------------------------------------------------

    def _watch(self, key: str) -> None:
        if key in self._watching and not self._watching[key].done():
            return
        pidfd = _open(self._top / key / "lock")
        if pidfd is not None:
            self._watching[key] = asyncio.create_task(self._follow(key, pidfd))

    async def _follow(self, key: str, pidfd: int) -> None:
        """Puts a new process in the place of one that has died, so that containers find a mount as they restart."""
        try:
            await wait_readable(pidfd)
        finally:
            os.close(pidfd)
        log.warning("an nfs client died key=%s log=%s", key, self._top / key / "log")
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                async with self._locks[key]:
                    await self._revive(key)
                return
            except (NotServed, OSError) as error:
                log.warning("not mounted again key=%s error=%s", key, error)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    async def _revive(self, key: str) -> None:
        directory = self._top / key
        if not is_held(directory / "lock"):
            if table.at(directory / "mnt") is None:
                return
            read = json.loads((directory / "mount.json").read_text())
            await self._start_anew(key, Order(read["source"], tuple(read["options"]), read["address"]))
        self._watching.pop(key, None)
        self._watch(key)


def _bind(source: str, point: str, *, is_read_only: bool) -> None:
    linux.mount(source, point, flags=linux.MS_BIND)
    if is_read_only:
        try:
            linux.mount("none", point, flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY)
        except OSError:
            linux.unmount(point, linux.MNT_DETACH)
            raise


def _detach(point: Path) -> None:
    while table.at(point) is not None:
        linux.unmount(str(point), linux.MNT_DETACH)


async def _first_line(reading: int) -> dict[str, object]:
    """What the process tells of its start; empty if it ends without a word."""
    os.set_blocking(reading, False)
    data = b""
    while not data.endswith(b"\n"):
        await wait_readable(reading)
        more = os.read(reading, 4096)
        if not more:
            break
        data += more
    try:
        facts = json.loads(data)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return lines[-1] if lines else "no reason given"


def is_held(lock: Path) -> bool:
    """Whether a process serves the mount of this lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(lock: Path) -> int | None:
    """A pidfd of who serves the mount: of the pid in the lock, if it is held and that process is what it should be."""
    try:
        pid = int(lock.read_text())
        pidfd = os.pidfd_open(pid)
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):
        if is_held(lock) and os.fsencode(lock) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pidfd
    os.close(pidfd)
    return None


async def end(lock: Path) -> None:
    """Ends the process that serves a mount nobody uses, and waits until it is gone."""
    pidfd = _open(lock)
    if pidfd is None:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDED_WITHIN_S):
                    await wait_readable(pidfd)
                    return
    finally:
        os.close(pidfd)


async def end_all(state: Path, top: Path) -> None:
    """Takes away every NFS mount below a node's state directory: its pods are gone, and perhaps its agent too."""
    for mount in table.below(state):
        with contextlib.suppress(OSError):
            linux.unmount(mount.point, linux.MNT_DETACH | linux.MNT_FORCE)
    for lock in top.glob("*/lock"):
        await end(lock)
    shutil.rmtree(top, ignore_errors=True)
