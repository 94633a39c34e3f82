"""A private mount namespace for the agent, where the machine's cgroup layout would make crun refuse (R31).

On "hybrid" machines whose v2 side still has controllers, crun creates no container. Inside the namespace
/sys/fs/cgroup shows the v1 controllers only; the machine itself is not touched. Root filesystems and
volumes have to be mounted in the same namespace, so it is made once, pinned as a file and joined again
by the next agent (R32).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from holdfast.world import linux, mount_table

CGROUP_ROOT = "/sys/fs/cgroup"
_CGROUP2_MAGIC = 0x63677270


def is_needed() -> bool:
    """Whether crun would refuse here: v1 controllers beside a v2 hierarchy that has some left."""
    unified = Path(CGROUP_ROOT, "unified")
    try:
        if linux.filesystem_magic(str(unified)) != _CGROUP2_MAGIC:
            return False
        return bool((unified / "cgroup.controllers").read_text().split())
    except OSError:
        return False


class MountNamespace:
    """The pinned namespace of one run directory. `enter` and `leave` concern the calling thread and
    the threads and processes it starts from then on."""

    def __init__(self, run_dir: Path) -> None:
        self._directory = run_dir / "mnt"
        self._pin = str(self._directory / "ns")
        self._outside: int | None = None

    @property
    def exists(self) -> bool:
        return linux.is_pinned_namespace(self._pin)

    @property
    def entered(self) -> bool:
        return self._outside is not None

    def enter(self) -> None:
        """Joins the namespace, making it if there is none. Raises OSError.

        The thread gets a file system state of its own (working directory, umask) first: joining
        demands it, and it is what lets a process with threads do this at all.
        """
        if self.entered:
            return
        if not self.exists:
            self._make()
        working_directory = os.getcwd()
        outside = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        pinned = os.open(self._pin, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.path.sameopenfile(outside, pinned):
                os.close(outside)
                return
            linux.unshare(linux.CLONE_FS)
            linux.setns(pinned, linux.CLONE_NEWNS)
        except OSError:
            os.close(outside)
            raise
        finally:
            os.close(pinned)
        self._outside = outside
        with contextlib.suppress(OSError):
            os.chdir(working_directory)

    def leave(self) -> None:
        """Back to where `enter` came from."""
        if self._outside is None:
            return
        working_directory = os.getcwd()
        linux.unshare(linux.CLONE_FS)
        linux.setns(self._outside, linux.CLONE_NEWNS)
        os.close(self._outside)
        self._outside = None
        with contextlib.suppress(OSError):
            os.chdir(working_directory)

    def remove(self) -> None:
        """Unpins it: once no process is left inside, all its mounts are gone."""
        self.leave()
        for target in mount_table.below(self._directory):
            with contextlib.suppress(OSError):
                linux.unmount(target, linux.MNT_DETACH)
        with contextlib.suppress(OSError):
            os.unlink(self._pin)
            os.rmdir(self._directory)

    def _make(self) -> None:
        """A namespace file can be mounted only outside the namespace itself, and only on a private mount."""
        self._directory.mkdir(parents=True, exist_ok=True)
        directory = str(self._directory)
        if not mount_table.below(directory):
            linux.mount(directory, directory, flags=linux.MS_BIND)
        linux.mount("none", directory, flags=linux.MS_PRIVATE)
        Path(self._pin).touch()

        def inside() -> None:
            linux.unshare(linux.CLONE_NEWNS)
            linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
            _hide_unified_hierarchy()
            namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                pin_from_outside(namespace)
            finally:
                os.close(namespace)

        def pin_from_outside(namespace: int) -> None:
            linux.setns(outside, linux.CLONE_NEWNS)
            linux.mount(f"/proc/self/fd/{namespace}", self._pin, flags=linux.MS_BIND)

        outside = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            linux.in_new_thread(inside)
        finally:
            os.close(outside)


def _hide_unified_hierarchy() -> None:
    """A tmpfs over /sys/fs/cgroup with bind mounts of the v1 controllers; `unified` is left out."""
    controllers = []
    with os.scandir(CGROUP_ROOT) as entries:
        for entry in entries:
            if entry.name == "unified" or not entry.is_dir(follow_symlinks=False):
                continue
            controllers.append((entry.name, os.open(entry.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)))
    links = [(link.name, os.readlink(link)) for link in Path(CGROUP_ROOT).iterdir() if link.is_symlink()]
    linux.mount("tmpfs", CGROUP_ROOT, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, "mode=755")
    for name, descriptor in controllers:
        target = os.path.join(CGROUP_ROOT, name)
        os.mkdir(target)
        linux.mount(f"/proc/self/fd/{descriptor}", target, flags=linux.MS_BIND)
        os.close(descriptor)
    for name, target in links:
        os.symlink(target, os.path.join(CGROUP_ROOT, name))
