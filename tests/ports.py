"""Ports that are free now and will be in a moment: the kernel gives them to nobody who does not ask for them."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOOPBACK = ("127.0.0.1", "127.0.0.2")


def quiet_port() -> int:
    """Nobody has it on loopback, for TCP or UDP; below those that clients are given, and that nodes give away."""
    highest = min(29_000, int(_RANGE.read_text().split()[0]) - 1) if _RANGE.exists() else 29_000
    chance = random.SystemRandom()
    for _ in range(100):
        number = chance.randint(highest // 2, highest)
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for address in LOOPBACK:
                    opened.enter_context(socket.socket(socket.AF_INET, kind)).bind((address, number))
            return number
    raise OSError("no port is free")
