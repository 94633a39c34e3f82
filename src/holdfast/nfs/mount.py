"""The process that serves one NFS mount: `python -m holdfast.nfs.mount SOURCE POINT`, a program of its own.

It outlives whoever started it. One line of JSON on standard output tells how the start went: `{"pid": N}` or
`{"error": "..."}` with the words of mount.nfs. It ends when the file system is unmounted everywhere, or at SIGTERM.
As long as it lives it holds a lock on the file `--lock`, which has its pid.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast.world import linux

from . import FILE_SYSTEM, attributes
from .client import Client
from .errors import MINOR_VERSION_MISMATCH, NfsError
from .filesystem import FileSystem
from .fuse import Kernel
from .options import BadOption, Options, parse
from .rpc import ROOT, Refused
from .session import Session
from .xdr import Garbled

log = logging.getLogger(__name__)

_GREETED_WITHIN_S = 10.0
_SETTLE_S = 1.0
"""For what nobody waits for any more: files that were closed are on the server's disk already."""


class MountFailed(Exception):
    """In the words of mount.nfs, without its name in front."""


@dataclass(frozen=True, slots=True)
class Source:
    """`server:/path`, with an IPv6 address in brackets."""

    text: str

    @property
    def server(self) -> str:
        server = self.text[: self.text.index(":/")] if ":/" in self.text else self.text.partition(":")[0]
        return server.removeprefix("[").removesuffix("]")

    @property
    def path(self) -> str:
        return self.text[self.text.index(":/") + 1 :] if ":/" in self.text else self.text.partition(":")[2]


async def connect(source: Source, address: str, options: Options) -> tuple[Session, Client]:
    """A session; `address` where the server's name is known otherwise. Raises MountFailed."""
    session = Session(
        address or source.server,
        options.port,
        largest_bytes=max(options.most_read_bytes, options.most_written_bytes),
        privileged=options.is_privileged,
        timeout_s=options.fails_after_s,
        report=lambda message: log.warning("nfs: %s", message),
    )
    try:
        await session.open()
    except socket.gaierror as error:
        raise MountFailed(f"Failed to resolve server {source.server}: {error.strerror}") from error
    except NfsError as error:
        if error.status == MINOR_VERSION_MISMATCH:
            raise MountFailed("requested NFS version or transport protocol is not supported") from error
        raise MountFailed(f"mounting {source.text} failed, reason given by server: {error.strerror}") from error
    except OSError as error:
        raise MountFailed(os.strerror(error.errno) if error.errno else str(error)) from error
    except (Refused, Garbled) as error:
        raise MountFailed(str(error)) from error
    return session, Client(session)


async def serve(
    source: Source, address: str, options: Options, point: str, *, ready: Callable[[], None], ended: Callable[[], None]
) -> None:
    """Serves the mount until it is unmounted everywhere; `ready` once it can be used, `ended` once it is not any more.

    Raises MountFailed.
    """
    session, client = await connect(source, address, options)
    try:
        root = await client.root(source.path, ROOT)
        most_read, most_written = await client.limits(root.handle, ROOT)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise MountFailed(f"access denied by server while mounting {source.text}") from error
        raise MountFailed(f"mounting {source.text} failed, reason given by server: {error.strerror}") from error
    if root.attributes.type != attributes.DIRECTORY:
        raise MountFailed(f"mounting {source.text} failed, reason given by server: {os.strerror(errno.ENOTDIR)}")
    file_system = FileSystem(
        client,
        root,
        min(most_read, options.most_read_bytes),
        min(most_written, options.most_written_bytes),
        options.valid_s,
    )
    descriptor = _mount(source.text, point, options)
    try:
        await _until_unmounted(file_system, descriptor, point, ready)
        ended()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await file_system.commit_all(ROOT)
    finally:
        os.close(descriptor)
        await session.close()


async def _until_unmounted(file_system: FileSystem, descriptor: int, point: str, ready: Callable[[], None]) -> None:
    kernel = Kernel(descriptor, file_system.handlers, file_system.forget)
    file_system.attach(kernel)

    def leave() -> None:
        # Not only unmounted: a mount namespace that somebody made meanwhile has a copy of the mount, and would keep it.
        _unmount(point)
        kernel.end()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)
    serving = asyncio.create_task(kernel.serve())
    greeted = asyncio.create_task(kernel.greeted.wait())
    done, _ = await asyncio.wait({serving, greeted}, timeout=_GREETED_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
    if greeted not in done:
        greeted.cancel()
        _unmount(point)
        raise MountFailed("the kernel did not take the file system")
    ready()
    await serving
    await kernel.settle(_SETTLE_S)


def _mount(source: str, point: str, options: Options) -> int:
    """The open /dev/fuse. Raises MountFailed."""
    try:
        descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MountFailed(f"/dev/fuse: {error.strerror}") from error
    flags = options.flags | (linux.MS_RDONLY if options.is_read_only else 0)
    words = f"fd={descriptor},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,allow_other"
    try:
        linux.mount(source, point, FILE_SYSTEM, flags, words)
    except OSError as error:
        os.close(descriptor)
        raise MountFailed(error.strerror or str(error)) from error
    return descriptor


def _unmount(point: str) -> None:
    with contextlib.suppress(OSError):
        linux.unmount(point, linux.MNT_DETACH)


def _tell(facts: dict[str, object]) -> None:
    """The first line of output is the last: whoever reads it must not wait for this process to end."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(facts).encode() + b"\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _lock(path: str) -> int:
    """Held until the process ends. Raises MountFailed if another serves this mount."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MountFailed("another process serves this mount") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.nfs.mount")
    parser.add_argument("source")
    parser.add_argument("point")
    parser.add_argument("--options", default="", help="comma-separated, as for mount -o")
    parser.add_argument("--address", default="", help="where the server is, if its name is not to be looked up")
    parser.add_argument("--lock", required=True)
    arguments = parser.parse_args(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        lock = _lock(arguments.lock)
        options = parse(filter(None, arguments.options.split(",")))
        serving = serve(
            Source(arguments.source),
            arguments.address,
            options,
            arguments.point,
            ready=lambda: _tell({"pid": os.getpid()}),
            ended=lambda: os.close(lock),  # what follows must not keep a successor from mounting
        )
        asyncio.run(serving)
    except (MountFailed, BadOption) as error:
        _tell({"error": str(error)})
        return 32
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
