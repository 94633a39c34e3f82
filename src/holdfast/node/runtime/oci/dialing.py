"""Connections to programs inside a pod, from outside of its network (R60)."""

from __future__ import annotations

import asyncio
import socket

from holdfast.world import linux


async def dial(netns: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a port on the loopback of a network namespace; of this machine's, if `netns` is empty.

    IPv4 first, then IPv6, as upstream's port forwarding does. Raises OSError.
    """
    failure: OSError | None = None
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            return await _connect(netns, family, (address, port))
        except OSError as error:
            failure = failure or error
    assert failure is not None
    raise failure


async def _connect(
    netns: str, family: int, address: tuple[str, int]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    def make() -> socket.socket:
        return socket.socket(family, socket.SOCK_STREAM)

    connection = linux.in_network_namespace(netns, make) if netns else make()
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, address)
        return await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
