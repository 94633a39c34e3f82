"""Where pods reach the API: at the first node's own address among its pods', by the way of `kubernetes.default`.

127.0.0.1 is out of everybody's reach but this machine's. The gateway's address is not quite: it takes packets
whatever link they come in on, and a neighbour may send some. So connections are taken from pods and from this
machine only. No neighbour can pose as one: the answers go to the pod, or to this machine, and nothing comes about.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from ipaddress import ip_address

from holdfast.network.pods.ranges import Network

log = logging.getLogger(__name__)

IP_FREEBIND = 15


def listen(address: str, port: int) -> socket.socket | None:
    """A listening socket on an address that the agent may make later; None if the port is another's there."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setblocking(False)
    try:
        listening.bind((address, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
            raise
        log.warning("pods cannot reach the API address=%s:%s error=%r", address, port, str(error))
        return None
    return listening


def admits(pods: Network) -> Callable[[str], bool]:
    """Whether a client's address is a pod's or this machine's."""

    def check(address: str) -> bool:
        client = ip_address(address)
        return client in pods or client.is_loopback or is_own(address)

    return check


def is_own(address: str) -> bool:
    """Whether the address is this machine's: only then does it reach itself under it. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)
