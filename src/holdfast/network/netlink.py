"""Netlink by way of pyroute2, which is loaded when something is asked of the kernel: it is large.

Blocking: to be called off the event loop.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from holdfast.network.pods.ranges import Address, Network


@contextlib.contextmanager
def opened() -> Iterator[Any]:
    """A socket in the calling thread's network namespace. What the kernel refuses is an OSError, once it is left."""
    from pyroute2.iproute.linux import IPRoute

    try:
        with IPRoute() as netlink:
            yield netlink
    except refusal() as error:
        raise OSError(error.code, str(error)) from error  # type: ignore[attr-defined]


def refusal() -> type[Exception]:
    """What the kernel's refusals are while the socket is open; `code` is the errno."""
    from pyroute2.netlink.exceptions import NetlinkError

    kind: type[Exception] = NetlinkError
    return kind


def family(of: Address | Network) -> int:
    return socket.AF_INET if of.version == 4 else socket.AF_INET6
