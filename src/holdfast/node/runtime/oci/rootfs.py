"""Root filesystems of containers: layers of an image under a private top, or this machine's own system.

An image's root is one overlay, mounted by the agent. The root of the `host` image needs no mount of the
agent: /usr, /etc and an empty /var are overlays that crun makes inside the container's own mount
namespace, so they vanish with it, and nothing else of this machine is in it: no home directories, no
/root, no data of other pods, and of /etc only what every user may read.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import stat
import tempfile
import threading
import time  # noqa: TID251 - waits for a process of this machine, in a thread
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.node.disk import tree_bytes
from holdfast.node.runtime import RuntimeFailure
from holdfast.world import linux, user_namespace
from holdfast.world.removal import require_no_mounts

ATTEMPTS, ATTEMPT_S = 20, 0.1
"""How long a removal outlasts somebody who still writes."""

_LONGEST_OPTIONS = 4095
_HOST_PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_EMPTY_DIRECTORIES = {
    "dev": 0o755,
    "home": 0o755,
    "media": 0o755,
    "mnt": 0o755,
    "opt": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "run/lock": 0o1777,
    "srv": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
}


@dataclass(frozen=True, slots=True)
class Root:
    path: str
    mounts: tuple[dict[str, Any], ...] = ()
    """For the container's configuration, before all other mounts."""
    is_mounted: bool = False
    """Whether `path` is a mount that `take_down` has to end."""
    accounts: str = ""
    """Where /etc/passwd and /etc/group are to be read; `path` itself when empty."""


def overlay_options(lower: Sequence[str], upper: str, work: str) -> str:
    """Mount options; `lower` is topmost first. Raises RuntimeFailure if they exceed a page (R24)."""
    return _checked(f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}{_unsynced()}{_in_attributes()}", lower)


def _checked(text: str, lower: Sequence[str]) -> str:
    if len(text) > _LONGEST_OPTIONS:
        raise RuntimeFailure(
            "CreateContainerError",
            f"the image has too many layers for this data directory ({len(lower)}): use a shorter path",
        )
    return text


@functools.cache
def _unsynced() -> str:
    """A container's private top is never used again after a crash of the machine, so nothing in it is worth
    waiting for a disk: without this the end of each container writes out the whole file system. Linux 5.10."""
    return ",volatile" if linux.is_at_least(5, 10) else ""


def _in_attributes() -> str:
    """Inside a user namespace overlayfs keeps its notes where users may have theirs. Linux 5.11."""
    return ",userxattr" if user_namespace.is_inside() else ""


def written_bytes(directory: Path) -> int:
    """What a container has added to its root. Of the `host` image's the directory itself may be written to as well;
    an image's is another file system's."""
    root = directory / "root"
    try:
        is_plain = root.stat().st_dev == directory.stat().st_dev
    except OSError:
        return 0
    return tree_bytes(directory / "upper") + (tree_bytes(root) if is_plain else 0)


def mount_layers(directory: Path, layers: Sequence[str]) -> Root:
    """The merged view of `layers` (topmost first) and a private top inside `directory`."""
    root, upper, work = (directory / name for name in ("root", "upper", "work"))
    for path in (root, upper, work):
        path.mkdir(exist_ok=True)
    upper.chmod(0o755)
    if not os.path.ismount(root):
        options = overlay_options(layers, str(upper), str(work))
        linux.mount("overlay", str(root), "overlay", linux.MS_NODEV, options)
    return Root(str(root), is_mounted=True)


def mount_contents(directory: Path, layers: Sequence[str], empty: Path) -> None:
    """The merged view of `layers` (topmost first) on `directory`, to be read only.

    Overlayfs wants two of them at least: the lowest is `empty`.
    """
    for path in (directory, empty):
        path.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(directory):
        options = _checked(f"lowerdir={':'.join((*layers, str(empty)))}{_in_attributes()}", layers)
        linux.mount("overlay", str(directory), "overlay", linux.MS_NODEV | linux.MS_RDONLY, options)


class HostSystem:
    """This machine's programs as an image. `directory` keeps what all its containers share below."""

    def __init__(self, directory: Path, hidden: Sequence[Path]) -> None:
        self._top = directory
        self._directory = directory
        self._preparing = threading.Lock()
        self._hidden = [path.resolve() for path in hidden]
        self._prepared = False
        self._etc: list[str] = []
        """Layers, topmost first."""

    def make_root(self, directory: Path) -> Root:
        """A root inside `directory`. Raises RuntimeFailure if the data directory lies within /usr or /etc."""
        self._prepare()
        root = directory / "root"
        root.mkdir(exist_ok=True)
        for name, mode in _EMPTY_DIRECTORIES.items():
            with contextlib.suppress(FileExistsError):
                (root / name).mkdir()
                (root / name).chmod(mode)
        mounts = [
            self._overlay(directory, "etc", self._etc),
            self._overlay(directory, "var", [str(self._directory / "var"), str(self._directory / "empty")]),
        ]
        for name in _HOST_PROGRAMS:
            source = Path("/", name)
            if source.is_symlink():
                with contextlib.suppress(FileExistsError):
                    (root / name).symlink_to(os.readlink(source))
            elif source.is_dir():
                mounts.append(self._overlay(directory, name, [str(source), str(self._directory / "empty")]))
        for mount in mounts:
            (root / mount["destination"].lstrip("/")).mkdir(exist_ok=True)
        return Root(str(root), tuple(mounts), accounts="/")

    def _overlay(self, directory: Path, name: str, lower: list[str]) -> dict[str, Any]:
        upper, work = directory / "upper" / name, directory / "work" / name
        for path in (upper, work):
            path.mkdir(parents=True, exist_ok=True)
        upper.chmod(0o755)
        return {
            "destination": f"/{name}",
            "type": "overlay",
            "source": "overlay",
            "options": ["nodev", *overlay_options(lower, str(upper), str(work)).split(",")],
        }

    def _prepare(self) -> None:
        """Once for each agent, in a directory of its own: containers of an earlier one still stand on theirs."""
        with self._preparing:
            if self._prepared:
                return
            self._refuse_hidden()
            self._top.mkdir(parents=True, exist_ok=True)
            self._directory = Path(tempfile.mkdtemp(dir=self._top))
            self._directory.chmod(0o755)
            (self._directory / "empty").mkdir()
            self._etc = _prepare_etc(self._directory)
            _copy_skeleton(Path("/var"), self._directory / "var", self._hidden)
            self._prepared = True

    def _refuse_hidden(self) -> None:
        for hidden in self._hidden:
            if hidden.parts[1:2] and hidden.parts[1] in (*_HOST_PROGRAMS, "etc"):
                raise RuntimeFailure(
                    "CreateContainerError",
                    f"the image `host` cannot be used with data in {hidden}: choose a home outside /{hidden.parts[1]}",
                )

    def remove(self) -> None:
        """When no container is left that stands on it."""
        shutil.rmtree(self._top, ignore_errors=True)
        self._prepared = False


def _prepare_etc(directory: Path) -> list[str]:
    """The layers of /etc. Inside a user namespace it is a copy: what is of users outside could not be changed, and
    overlayfs refuses a directory in which somebody outside has mounted something."""
    if not user_namespace.is_inside():
        _hide_private(Path("/etc"), directory / "etc-hidden")
        return [str(directory / "etc-hidden"), "/etc"]
    _copy_public(Path("/etc"), directory / "etc")
    return [str(directory / "etc"), str(directory / "empty")]


def _copy_public(source: Path, target: Path) -> None:
    """All below `source` that everybody may read, as the calling user's own."""

    def private(parent: str, names: list[str]) -> set[str]:
        return {name for name in names if not _is_public(Path(parent, name).lstat())}

    shutil.copytree(source, target, symlinks=True, ignore=private)


def _is_public(status: os.stat_result) -> bool:
    if stat.S_ISDIR(status.st_mode):
        return status.st_mode & 0o005 == 0o005
    return stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_mode & 0o004 != 0)


def _hide_private(source: Path, target: Path) -> None:
    """Makes `target` an overlay layer that hides everything below `source` that not everybody may read."""
    target.mkdir()
    target.chmod(0o755)
    for parent, directories, files in os.walk(source):
        for name in [*directories, *files]:
            path = Path(parent, name)
            status = path.lstat()
            is_directory = stat.S_ISDIR(status.st_mode)
            needed = 0o005 if is_directory else 0o004
            if stat.S_ISLNK(status.st_mode) or status.st_mode & needed == needed:
                continue
            if is_directory:
                directories.remove(name)
            whiteout = target / path.relative_to(source)
            _copy_parents(source, target, whiteout.parent)
            os.mknod(whiteout, stat.S_IFCHR | 0o000, os.makedev(0, 0))


def _copy_parents(source: Path, target: Path, directory: Path) -> None:
    """A directory of an upper layer decides on mode and owner of the merged one: they are copied."""
    if directory.is_dir():
        return
    _copy_parents(source, target, directory.parent)
    status = (source / directory.relative_to(target)).stat()
    directory.mkdir()
    os.chown(directory, *user_namespace.owner(status))
    directory.chmod(stat.S_IMODE(status.st_mode))


def _copy_skeleton(source: Path, target: Path, hidden: Sequence[Path]) -> None:
    """Directories two levels deep, without a single file: programs expect their own below /var/lib and /var/log."""
    for parent, directories, files in os.walk(source):
        here = Path(parent)
        copy = target / here.relative_to(source)
        status = here.stat()
        copy.mkdir(exist_ok=True)
        os.chown(copy, *user_namespace.owner(status))
        copy.chmod(stat.S_IMODE(status.st_mode))
        for name in [*directories, *files]:
            if (here / name).is_symlink():
                (copy / name).symlink_to(os.readlink(here / name))
        deep = len(here.relative_to(source).parts) >= 2
        directories[:] = [] if deep else [name for name in directories if here / name not in hidden]


def read_account_file(root: Root, name: str) -> str:
    """The text of /etc/<name> of the root filesystem; empty if it has none."""
    try:
        descriptor = linux.open_inside(root.accounts or root.path, f"/etc/{name}")
    except OSError:
        return ""
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 20)


def take_down(directory: Path) -> None:
    """Ends the root's mount, if there is one, and removes `directory`; never descends into a mount (N201)."""
    unmount_root(directory)
    remove_tree(directory)


def unmount_root(directory: Path) -> None:
    """Ends the root's mount, if there is one; what the container wrote stays."""
    root = directory / "root"
    if os.path.ismount(root):
        linux.unmount(str(root))


def remove_tree(directory: Path) -> None:
    """Removes a tree. Raises OSError rather than delete through a mount (N201).

    The runtime of an agent that was killed may be making its last directories in there: it is outlasted.
    """
    for _ in range(ATTEMPTS):
        if not directory.exists():
            return
        require_no_mounts(directory)
        try:
            shutil.rmtree(directory)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
            time.sleep(ATTEMPT_S)
        else:
            return
    raise OSError(errno.ENOTEMPTY, "something keeps writing into it", str(directory))
