"""Where a lesson is played: a directory with a cluster of its own and a shell in it; and what killed players left."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from holdfast.cluster import launch
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.locks import Held, ProcessLock
from holdfast.cluster.settings import Settings

from .shelf import Lesson
from .shell import Shell, shell

PREFIX = "holdfast-lesson-"
LOCK = "player.lock"
"""Held as long as the player lives: a directory whose lock is free belongs to nobody any more."""


@contextlib.asynccontextmanager
async def stage(lesson: Lesson, images: Path, kubectl: Path | None) -> AsyncIterator[Shell]:
    """A shell in a copy of the lesson's folder, for which `holdfast` and `kubectl` mean a new cluster.

    Raises LaunchFailed if something of the cluster cannot be removed at the end; its directory stays then.
    """
    directory, lock = _directory(lesson.name)
    try:
        home = Home(directory / "h")
        home.make()
        saved.save(home.settings, Settings(port=0))
        folder = shutil.copytree(lesson.folder, directory / "lesson")
        async with shell(folder, _environment(directory, home, images, kubectl)) as prompt:
            yield prompt
    finally:
        _remove(directory)
        lock.release()


def sweep() -> None:
    """Removes the clusters of players that were killed. Raises LaunchFailed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError, Held):
            if directory.lstat().st_uid == os.geteuid() and (directory / LOCK).exists():
                lock = ProcessLock(directory / LOCK)
                lock.acquire()
                _remove(directory)
                lock.release()


def _directory(name: str) -> tuple[Path, ProcessLock]:
    """A new one, locked before it has the name by which `sweep` knows it."""
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}{name}-"))
    lock = ProcessLock(made / LOCK)
    lock.acquire()
    return made.rename(made.with_name(made.name.removeprefix("."))), lock


def _remove(directory: Path) -> None:
    home = Home(directory / "h")
    if home.path.exists():
        launch.stop(home, lambda text: None)
        launch.purge(home)
    shutil.rmtree(directory, ignore_errors=True)  # not before: `purge` refuses where something is mounted


def _environment(directory: Path, home: Home, images: Path, kubectl: Path | None) -> Mapping[str, str]:
    """The reader's own, but for what would touch the reader's own cluster, kubeconfig and caches."""
    programs, user = directory / "bin", directory / "user"
    programs.mkdir()
    user.mkdir()
    holdfast = programs / "holdfast"
    holdfast.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m holdfast.cli "$@"\n')
    holdfast.chmod(0o755)
    if kubectl is not None:
        (programs / "kubectl").symlink_to(kubectl)
    inherited = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "KUBECACHEDIR")}
    return {
        **inherited,
        "HOLDFAST_HOME": str(home.path),
        "HOME": str(user),
        "IMAGES": str(images.absolute()),
        "PATH": os.pathsep.join((str(programs), os.environ.get("PATH", os.defpath))),
    }
