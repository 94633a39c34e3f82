"""Control groups of version 2 that are an ordinary user's own: found by trying (R30, R35).

Root, mostly by way of systemd, may have given the user a part of the tree. The user moves processes within that part
only, so who is to limit others is in it before they begin; in a leaf, since a group that hands controllers on has no
processes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from holdfast.world import linux

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
LINGERING = Path("/var/lib/systemd/linger")
LIMITING = {"cpu": "CPU", "memory": "memory"}
WANTED = (*LIMITING, "pids")
PROGRAM = "systemd-run"
THROUGH_MANAGER = (PROGRAM, "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--")
"""The words before a command by which the user's systemd has it run in a group of its own."""
TRIED_FOR_S = 5.0
_CGROUP2_MAGIC = 0x63677270
_ITSELF = "0"
"""Whoever writes it, where pids are written."""
_SHOW = 'cat "$1$(sed -n s/^0:://p "$2")/cgroup.controllers"'


def own_group() -> str:
    """Where this process is in the tree of version 2; empty where that is not the machine's only one."""
    try:
        if linux.filesystem_magic(str(ROOT)) != _CGROUP2_MAGIC:
            return ""
        lines = OWN.read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::/")), "")


def upwards(group: str) -> Iterator[str]:
    """The group and those above it, the root last."""
    path = PurePosixPath(group)
    yield from map(str, (path, *path.parents))


def directory(group: str) -> Path:
    return ROOT / group.lstrip("/")


def enter(leaf: str) -> str:
    """Moves this process to `leaf` of the nearest group that is the user's and hands controllers on: which one.

    Raises OSError; the process is then where it was.
    """
    refusals = []
    for group in upwards(own) if (own := own_group()) else ():
        try:
            take(group, leaf)
        except OSError as error:
            refusals.append(error)
        else:
            return group
    busy = next((error for error in refusals if error.errno == errno.EBUSY), None)
    raise busy or next(iter(refusals), OSError(errno.ENOENT, "no control groups of version 2 alone"))


def take(group: str, leaf: str) -> None:
    """Moves this process to `leaf` of the group, which hands on what it has. Raises OSError, as `enter` does."""
    before, place = own_group(), directory(group) / leaf
    is_new = not place.exists()
    place.mkdir(exist_ok=True)
    try:
        (place / "cgroup.procs").write_text(_ITSELF)
        hand_on(directory(group))
    except OSError as error:
        with contextlib.suppress(OSError):
            (directory(before) / "cgroup.procs").write_text(_ITSELF)
        if is_new:
            with contextlib.suppress(OSError):
                place.rmdir()
        if error.errno == errno.EBUSY:
            raise OSError(errno.EBUSY, f"other processes are in {group}") from error
        raise


def hand_on(group: Path) -> None:
    """Groups below have the controllers from now on. Raises OSError if it has processes or cannot limit."""
    refusal = OSError(errno.EOPNOTSUPP, f"neither memory nor cpu is handed on to {group}")
    handed = set()
    there = (group / "cgroup.controllers").read_text().split()
    for controller in WANTED:
        if controller in there:
            try:
                (group / "cgroup.subtree_control").write_text(f"+{controller}")
                handed.add(controller)
            except OSError as error:
                refusal = error
    if refusal.errno == errno.EBUSY or not handed.intersection(LIMITING):
        raise refusal


def handed_on(group: Path) -> frozenset[str]:
    """Which controllers groups below have."""
    try:
        return frozenset((group / "cgroup.subtree_control").read_text().split())
    except OSError:
        return frozenset()


def state() -> dict[str, frozenset[str]]:
    """What the process' own group and those above hand on, for `undo`."""
    own = own_group()
    return {group: handed_on(directory(group)) for group in upwards(own)} if own else {}


def undo(leaf: str, before: Mapping[str, frozenset[str]]) -> tuple[str, frozenset[str]]:
    """Takes away what a process that has ended did by `enter`: in which group that was, and what it handed on."""
    for group, handed in before.items():
        try:
            (directory(group) / leaf).rmdir()
        except OSError:
            continue
        now = handed_on(directory(group))
        for controller in now - handed:
            with contextlib.suppress(OSError):
                (directory(group) / "cgroup.subtree_control").write_text(f"-{controller}")
        return group, now
    return "", frozenset()


def missing(controllers: frozenset[str]) -> list[str]:
    """What cannot be limited, in words."""
    return [words for controller, words in LIMITING.items() if controller not in controllers]


def handed_by_manager() -> frozenset[str]:
    """The controllers of a group that the user's systemd makes when asked; none if it makes none.

    It does for who comes from elsewhere too; but with the user's last session it ends all it has, unless the user
    lingers. Nobody's cluster is to end sooner for having limits.
    """
    own = own_group()
    if not own or shutil.which(PROGRAM) is None or not (f"/user@{os.getuid()}.service" in own or lingers()):
        return frozenset()
    try:
        tried = subprocess.run(
            [*THROUGH_MANAGER, "sh", "-c", _SHOW, "sh", ROOT, OWN],
            env=manager_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIED_FOR_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(tried.stdout.decode().split()).intersection(WANTED) if tried.returncode == 0 else frozenset()


def manager_environment() -> dict[str, str]:
    """Who came by `su` is not told where the user's systemd listens."""
    return {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}", **os.environ}


def user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def lingers() -> bool:
    return (LINGERING / user_name()).exists()


def could_linger() -> bool:
    """Whether that is what is missing."""
    return bool(own_group()) and shutil.which(PROGRAM) is not None and not lingers()
