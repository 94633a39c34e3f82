"""Who has started this process and watches it, as far as it wants to be told: systemd, or what does as systemd.

Source: systemd, sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

VARIABLE = "NOTIFY_SOCKET"


class Supervisor:
    """Told by datagrams; that nobody listens, or nobody does any more, is no failure."""

    def __init__(self, address: str = "") -> None:
        """`address` is a path, or the name of an abstract socket behind an @; empty if nobody wants to be told."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def of(cls, environment: MutableMapping[str, str] = os.environ) -> Supervisor:
        """The one of this process alone: what this process starts will not find it."""
        return cls(environment.pop(VARIABLE, ""))

    def ready(self, status: str) -> None:
        self._tell("READY=1", f"STATUS={_line(status)}")

    def status(self, text: str) -> None:
        self._tell(f"STATUS={_line(text)}")

    def stopping(self, status: str) -> None:
        self._tell("STOPPING=1", f"STATUS={_line(status)}")

    def _tell(self, *assignments: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.sendto("\n".join(assignments).encode(), self._address)


def _line(text: str) -> str:
    return " ".join(text.split())
