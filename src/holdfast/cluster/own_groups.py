"""The control groups of a cluster without root, below a group that is the user's (R35).

The daemon moves into a leaf of that group before anything else is started, and whoever it starts is there too; the
groups of nodes are beside the leaf. Which group it was is noted: the next daemon goes to the same one.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import select
from pathlib import Path

from holdfast.node import delegation

from .home import Home

log = logging.getLogger(__name__)

EMPTY_WITHIN_MS = 20_000


def groups_name(home: Home) -> str:
    """How the names of the cluster's control groups begin: not shared by two clusters of one machine."""
    return f"holdfast-{hashlib.sha256(str(home.path).encode()).hexdigest()[:8]}"


class OwnGroups:
    """Of one data directory."""

    def __init__(self, home: Home) -> None:
        self._note = home.run / "control-group"
        self._name = groups_name(home)
        self._leaf = f"{self._name}-agents"

    def enter(self) -> None:
        """Moves this process into the leaf, if there is a group that is the user's."""
        try:
            group = self._enter()
        except OSError as error:
            log.info("limits do not hold: no control groups of the user's own: %s", error.strerror or error)
            return
        self._note.write_text(group)

    def _enter(self) -> str:
        if noted := self._noted():
            try:
                delegation.take(noted, self._leaf)
                return noted
            except OSError:
                if not self.remove(within_ms=0):  # pods are in it
                    raise
        return delegation.enter(self._leaf)

    @property
    def group(self) -> str:
        """The group below which this process may make others; empty if there is none."""
        noted = self._noted()
        is_inside = bool(noted) and delegation.own_group() == f"{noted.rstrip('/')}/{self._leaf}"
        return noted if is_inside else ""

    @property
    def controllers(self) -> frozenset[str]:
        """What can be limited."""
        return delegation.handed_on(delegation.directory(self.group)) if self.group else frozenset()

    def remove(self, *, within_ms: int = EMPTY_WITHIN_MS) -> bool:
        """Takes all groups of the cluster away as soon as they are empty; whether none is left."""
        if not (noted := self._noted()):
            return True
        left = [each for each in delegation.directory(noted).glob(f"{self._name}-*") if not _remove(each, within_ms)]
        if not left:
            self._note.unlink(missing_ok=True)
        return not left

    def _noted(self) -> str:
        try:
            return self._note.read_text()
        except OSError:
            return ""


def _remove(top: Path, within_ms: int) -> bool:
    """Whether it could be done."""
    if not _is_empty(top, within_ms):
        return False
    for path, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not top.exists()


def _is_empty(group: Path, within_ms: int) -> bool:
    """Waits a moment for processes that are about to end."""
    try:
        with (group / "cgroup.events").open() as events:
            changed = select.poll()
            changed.register(events, select.POLLPRI)
            while "populated 1" in events.read():
                if not changed.poll(within_ms):
                    return False
                events.seek(0)
    except OSError:
        return True  # it is gone
    return True
