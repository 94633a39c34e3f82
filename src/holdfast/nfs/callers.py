"""The programs that ask: whom they say they are, and whether they are still there to hear the answer."""

from __future__ import annotations

import asyncio

from .rpc import Credentials

_SIGKILL = 1 << 8
_REMEMBERED_S = 1.0
_MOST_REMEMBERED = 4096


def _status(pid: int) -> dict[str, str]:
    """/proc's words on a thread; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return {}


def is_ended(pid: int) -> bool:
    """Whether the thread is gone, or has been killed and only waits for the kernel to let it go."""
    status = _status(pid)
    if not status:
        return True
    pending = int(status.get("SigPnd", "0"), 16) | int(status.get("ShdPnd", "0"), 16)
    return bool(pending & _SIGKILL) or status.get("State", "").startswith(("Z", "X"))


class Callers:
    """Credentials by user and process, remembered for a moment: supplementary groups are read from /proc."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], tuple[float, Credentials]] = {}

    def credentials(self, uid: int, gid: int, pid: int) -> Credentials:
        now_s = asyncio.get_running_loop().time()
        key = uid, gid, pid
        known = self._known.get(key)
        if known is not None and now_s - known[0] < _REMEMBERED_S:
            return known[1]
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        groups = tuple(map(int, _status(pid).get("Groups", "").split()))
        found = Credentials(uid, gid, tuple(group for group in groups if group != gid))
        self._known[key] = now_s, found
        return found
