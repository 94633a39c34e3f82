"""User namespaces: in one of its own, an ordinary user may do what only root may do outside of it (R71).

Root inside is the user outside. Others inside are from the ranges that /etc/subuid and /etc/subgid give the user, if
`newuidmap` and `newgidmap` can hand them out; else there are no others.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import linux

EVERYBODY = 1 << 32
OVERFLOW = 65534
"""Whom the kernel shows as the owner of what belongs to somebody outside."""

_FIRST = 0xEFFFFFFD

Extent = tuple[int, int, int]
"""First id inside, first id outside, how many."""

_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/bin", "/usr/bin", "/bin"))


def enter(kinds: int = 0) -> None:
    """Moves the calling process, which must have one thread only, into a new user namespace, as its root.

    `kinds` are further namespaces to leave for new ones. Raises OSError.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    process, uid, gid = os.getpid(), os.geteuid(), os.getegid()
    helper = os.fork()
    if helper == 0:
        status = 1
        try:
            os.close(writing)
            if os.read(reading, 1):
                status = _map(process, uid, gid)
        finally:
            os._exit(status)
    os.close(reading)
    try:
        linux.unshare(linux.CLONE_NEWUSER | kinds)
        os.write(writing, b"1")
    finally:
        os.close(writing)
        _, ended = os.waitpid(helper, 0)
    if code := os.waitstatus_to_exitcode(ended):
        raise OSError(code, f"the new user namespace knows no ids: {os.strerror(code)}")


def _map(process: int, uid: int, gid: int) -> int:
    """Runs outside, where the ids are known; an errno if not even the user's own can be mapped."""
    try:
        if not _map_kind(process, "uid", uid):
            Path(f"/proc/{process}/uid_map").write_text(f"0 {uid} 1\n")
        if not _map_kind(process, "gid", gid):
            Path(f"/proc/{process}/setgroups").write_text("deny")
            Path(f"/proc/{process}/gid_map").write_text(f"0 {gid} 1\n")
    except OSError as error:
        return error.errno or 1
    return 0


def _map_kind(process: int, kind: str, own: int) -> bool:
    """Whether several ids of that kind were mapped; if not, none is."""
    if own == 0:
        extents = everyone(Path(f"/proc/self/{kind}_map").read_text())
        try:
            Path(f"/proc/{process}/{kind}_map").write_text("".join(f"{a} {b} {count}\n" for a, b, count in extents))
        except OSError:
            return False
        return True
    program = shutil.which(f"new{kind}map", path=_SEARCH)
    ranges = subordinate(_read(Path(f"/etc/sub{kind}")), _names(os.getuid()))
    if program is None or not ranges:
        return False
    numbers = [str(number) for extent in extents_of(own, ranges) for number in extent]
    return subprocess.run([program, str(process), *numbers], capture_output=True, check=False).returncode == 0


def _names(uid: int) -> set[str]:
    """How a user may be named in /etc/subuid; for /etc/subgid too, the user's name counts and not the group's."""
    try:
        return {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        return {str(uid)}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def subordinate(text: str, names: Iterable[str]) -> list[tuple[int, int]]:
    """The ranges (first id, how many) that /etc/subuid's `text` gives to a user of one of these names."""
    known, found = set(names), []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in known and fields[1].isdigit() and fields[2].strip().isdigit():
            found.append((int(fields[1]), int(fields[2])))
    return found


def extents_of(own: int, ranges: Iterable[tuple[int, int]]) -> list[Extent]:
    """The user as root, and after it what the ranges hold, one behind the other."""
    extents, inside = [(0, own, 1)], 1
    for first, count in ranges:
        extents.append((inside, first, count))
        inside += count
    return extents


def everyone(text: str) -> list[Extent]:
    """Of a namespace whose map is `text`: all that it knows, each as itself.

    Of the first namespace, all but the last: by the very map others, such as crun, would take it for the first.
    """
    return [(inside, inside, min(count, EVERYBODY - 2)) for inside, _, count in parse(text)]


def parse(text: str) -> list[Extent]:
    """A map as /proc shows it."""
    rows: Iterable[Sequence[str]] = (line.split() for line in text.splitlines())
    return [(int(inside), int(outside), int(count)) for inside, outside, count in rows]


def ids(path: Path = Path("/proc/self/uid_map")) -> int:
    """How many users there can be in files and processes here: 1 is nobody but root."""
    return sum(count for _, _, count in parse(_read(path))) or EVERYBODY


def owner(status: os.stat_result) -> tuple[int, int]:
    """User and group to give a copy of a file: root's, where the file is somebody's who is not known here."""
    unknown = OVERFLOW if is_inside() else -1
    uid, gid = (0 if each == unknown else each for each in (status.st_uid, status.st_gid))
    return uid, gid


def give(path: str | Path, uid: int, gid: int) -> None:
    """Makes a file somebody's, -1 being nobody; a link is not followed. Who is not known here gets nothing (R72)."""
    for owner in ((uid, -1), (-1, gid)):
        try:
            os.chown(path, *owner, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise


def is_inside(path: str = "/proc/self/ns/user") -> bool:
    """Whether this process is not in the machine's first user namespace, which always has the same number."""
    try:
        return os.stat(path).st_ino != _FIRST
    except OSError:
        return False
