"""Empties an export, as a recycler does: `python -m holdfast.nfs.scrub SOURCE`, a program of its own.

Everything below the export's root goes, names that begin with a dot included; the root itself stays as it is.
Symbolic links are removed, not followed; another file system inside is refused. Exit status 0: it is empty.
Else one line on standard output says why it is not. It ends with who started it: were it to go on alone, it would
delete what the volume's next user writes.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from holdfast.world import linux, removal

from .attributes import DIRECTORY
from .client import Client, File
from .mount import MountFailed, Source, connect
from .operations import Entry
from .options import BadOption, parse
from .rpc import ROOT

_FAILED = 1


async def scrub(client: Client, root: File) -> None:
    """Raises OSError for the first thing that cannot be removed."""
    await _empty(client, root, root.attributes.fsid)
    left = [entry.name for entry in await _entries(client, root.handle)]
    if left:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), left[0])


async def _empty(client: Client, directory: File, fsid: tuple[int, int]) -> None:
    for entry in await _entries(client, directory.handle):
        if entry.type == DIRECTORY:
            below = await client.lookup(directory.handle, entry.name, ROOT)
            if below.attributes.fsid != fsid:
                raise OSError(errno.EXDEV, "another filesystem is mounted here", entry.name)
            await _empty(client, below, fsid)
        await client.remove(directory.handle, entry.name, ROOT)


async def _entries(client: Client, handle: bytes) -> list[Entry]:
    """All of them, before any is removed: cookies need not survive removals."""
    found: list[Entry] = []
    cookie, verifier, is_end = 0, bytes(8), False
    while not is_end:
        verifier, entries, is_end = await client.read_directory(handle, cookie, verifier, ROOT)
        if not entries:
            break
        found += [entry for entry in entries if entry.name not in (".", "..")]
        cookie = entries[-1].cookie
    return found


async def _in_user_space(source: Source, address: str, options: Sequence[str]) -> None:
    session, client = await connect(source, address, parse(options))
    try:
        await scrub(client, await client.root(source.path, ROOT))
    finally:
        await session.close()


def _by_the_kernel(source: str, options: Sequence[str]) -> None:
    """On a mount in a namespace of this process' own, which ends with it."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    with tempfile.TemporaryDirectory(prefix="holdfast-recycler-") as point:
        mount_by_the_kernel(source, options, point)
        try:
            directory = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
            try:
                removal.empty(directory)
            finally:
                os.close(directory)
        finally:
            linux.unmount(point, linux.MNT_DETACH)


def mount_by_the_kernel(source: str, options: Sequence[str], point: str) -> None:
    """Raises MountFailed with the helper's words."""
    command = ["mount", "-t", "nfs", *(["-o", ",".join(options)] if options else ()), source, point]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise MountFailed((done.stderr or done.stdout).strip().removeprefix("mount.nfs: "))


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.nfs.scrub")
    parser.add_argument("source")
    parser.add_argument("--options", default="")
    parser.add_argument("--address", default="", help="where the server is, if its name is not to be looked up")
    parser.add_argument("--kernel", action="store_true", help="mount it by the kernel")
    arguments = parser.parse_args(given)
    linux.die_with_parent()
    options = [option for option in arguments.options.split(",") if option]
    source = Source(arguments.source)
    try:
        if arguments.kernel:
            _by_the_kernel(f"{arguments.address or source.server}:{source.path}", options)
        else:
            asyncio.run(_in_user_space(source, arguments.address, options))
    except OSError as error:
        sys.stdout.write(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}\n")
        return _FAILED
    except (MountFailed, BadOption) as error:
        sys.stdout.write(f"{error}\n")
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
