"""Work on the directories of a share, as a driver does it: `python -m holdfast.nfs.share SOURCE ...`, a program.

It mounts the share over a directory in a mount namespace of its own, by the kernel or by serving it itself, does one
thing, and ends; the mount ends with it, and it ends with who started it. Exit status 0, and one line of JSON tells what
came of it; else one line says why not. Whatever it does may be done again.

Source: kubernetes-csi/csi-driver-nfs, pkg/nfs/controllerserver.go.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from holdfast.world import linux, removal

from .mount import MountFailed, Source, serve
from .options import BadOption, parse
from .scrub import mount_by_the_kernel

_FAILED = 1
_DRAFT = ".holdfast-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make(top: str, path: str, mode: str) -> None:
    """The directory and those above it; `mode`, octal, is given to it unless it is 0."""
    with _parent(top, path, makes=True) as (parent, name), _inside(parent, name, makes=True) as made:
        if int(mode, 8):
            os.chmod(made, int(mode, 8))


def remove(top: str, path: str) -> None:
    """The directory and all in it, and what was begun in its place. Its absence counts as success."""
    with contextlib.suppress(FileNotFoundError), _parent(top, path) as (parent, name):
        for each in (_DRAFT + name, name):
            removal.remove(parent, each)


def discard(top: str, path: str) -> None:
    """What was made and never used: a directory in which something is stays."""
    with contextlib.suppress(FileNotFoundError), _parent(top, path) as (parent, name):
        removal.remove(parent, _DRAFT + name)
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise


def archive(top: str, path: str, target: str) -> None:
    """Gives the directory another name; one that has it already makes way, unless the work is done already."""
    with contextlib.suppress(FileNotFoundError), _parent(top, path) as (parent, name):
        os.stat(name, dir_fd=parent, follow_symlinks=False)
        with _parent(top, target, makes=True) as (new_parent, new_name):
            removal.remove(new_parent, new_name)
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent)


def fill(top: str, path: str, mode: str, source: str) -> None:
    """Makes the directory, with what is in another one."""
    with _parent(top, source) as (parent, name), _inside(parent, name) as original:
        _fill(
            top,
            path,
            mode,
            lambda draft: _run("cp", "-a", "-T", _path(original), _path(draft), keeps=[original, draft]),
        )


def restore(top: str, path: str, mode: str, archived: str) -> None:
    """Makes the directory, with what was taken from another one by `cut`."""
    with _parent(top, archived) as (parent, name):
        whole = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            words = ["tar", "--same-owner", "--numeric-owner", "-xpzf", f"/proc/self/fd/{whole}"]
            _fill(top, path, mode, lambda draft: _run(*words, "-C", _path(draft), keeps=[whole, draft]))
        finally:
            os.close(whole)


def cut(top: str, archived: str, source: str) -> dict[str, int]:
    """Packs what is in a directory; one that is there is told of. It has its name once it is whole."""
    with _parent(top, archived, makes=True) as (parent, name):
        if not _exists(parent, name):
            with _parent(top, source) as (above, below), _inside(above, below) as original:
                words = [
                    "tar",
                    "--numeric-owner",
                    "-C",
                    _path(original),
                    "-czf",
                    f"{_path(parent)}/{_DRAFT}{name}",
                    ".",
                ]
                _run(*words, keeps=[original, parent], accepts=(0, 1))  # 1: a file has changed while it was read
            os.rename(_DRAFT + name, name, src_dir_fd=parent, dst_dir_fd=parent)
        return _told(parent, name)


def look(top: str, archived: str) -> dict[str, int]:
    """Tells of what was packed."""
    with _parent(top, archived) as (parent, name):
        return _told(parent, name)


def _told(parent: int, name: str) -> dict[str, int]:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return {"size_bytes": status.st_size, "created_ns": status.st_mtime_ns}


def _fill(top: str, path: str, mode: str, copy: Callable[[int], None]) -> None:
    """In a place of its own, so that half a copy is no volume (V124); one that is there already gets it added."""
    with _parent(top, path, makes=True) as (parent, name):
        draft = _DRAFT + name
        removal.remove(parent, draft)
        with _inside(parent, draft, makes=True) as made:
            copy(made)
            if int(mode, 8):
                os.chmod(made, int(mode, 8))
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=parent)
        if _exists(parent, name):
            source, target = f"{_path(parent)}/{draft}", f"{_path(parent)}/{name}"
            _run("cp", "-a", "-T", source, target, keeps=[parent])
            removal.remove(parent, draft)
        else:
            os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)


OPERATIONS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (make, remove, discard, archive, fill, restore, cut, look)
}


@contextmanager
def _parent(top: str, path: str, *, makes: bool = False) -> Iterator[tuple[int, str]]:
    """The directory above and the last name of a path below the share. No link is followed. Raises OSError."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise PermissionError(errno.EPERM, "not a directory below the share", path)
    descriptor = os.open(top, _DIRECTORY)
    try:
        for part in parts[:-1]:
            with _inside(descriptor, part, makes=makes) as below:
                os.dup2(below, descriptor, inheritable=False)
        yield descriptor, parts[-1]
    finally:
        os.close(descriptor)


@contextmanager
def _inside(parent: int, name: str, *, makes: bool = False) -> Iterator[int]:
    if makes:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o777, dir_fd=parent)
    descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _path(directory: int) -> str:
    """For programs that inherit the descriptor."""
    return f"/proc/self/fd/{directory}/."


def _run(*words: str, keeps: Sequence[int], accepts: Sequence[int] = (0,)) -> None:
    """Raises OSError with the program's words."""
    program = shutil.which(words[0]) or words[0]
    done = subprocess.run(
        [program, *words[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        pass_fds=tuple(keeps),
        preexec_fn=linux.die_with_parent,
    )
    if done.returncode not in accepts:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OSError(f"{words[0]} failed: {said[-1]}")


async def _in_user_space(source: Source, arguments: argparse.Namespace, work: Callable[[], Any]) -> Any:
    """Serves the mount to its own thread, which does the work."""
    ready = asyncio.Event()
    options = parse(filter(None, arguments.options.split(",")))
    serving = asyncio.create_task(
        serve(source, arguments.address, options, arguments.point, ready=ready.set, ended=lambda: None)
    )
    mounted = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, mounted}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        mounted.cancel()
        return serving.result()
    try:
        return await asyncio.to_thread(work)
    finally:
        linux.unmount(arguments.point, linux.MNT_DETACH)
        await serving


def _work(arguments: argparse.Namespace) -> Any:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    source, operation = Source(arguments.source), OPERATIONS[arguments.operation]

    def work() -> Any:
        return operation(arguments.point, *arguments.arguments)

    if not arguments.kernel:
        return asyncio.run(_in_user_space(source, arguments, work))
    options = [option for option in arguments.options.split(",") if option]
    mount_by_the_kernel(f"{arguments.address or source.server}:{source.path}", options, arguments.point)
    try:
        return work()
    finally:
        linux.unmount(arguments.point, linux.MNT_DETACH)


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.nfs.share")
    parser.add_argument("source")
    parser.add_argument("point", help="a directory; what is in it cannot be seen meanwhile, by this process alone")
    parser.add_argument("operation", choices=OPERATIONS)
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--options", default="")
    parser.add_argument("--address", default="", help="where the server is, if its name is not to be looked up")
    parser.add_argument("--kernel", action="store_true", help="mount it by the kernel")
    linux.die_with_parent()
    try:
        result = _work(parser.parse_args(given))
    except OSError as error:
        sys.stdout.write(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}\n")
        return _FAILED
    except (MountFailed, BadOption) as error:
        sys.stdout.write(f"{error}\n")
        return _FAILED
    sys.stdout.write(f"{json.dumps(result)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
