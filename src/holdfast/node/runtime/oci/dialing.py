"""Connections to programs inside a pod, from outside of its network (R60)."""

from __future__ import annotations

import asyncio
import socket

from holdfast.world import linux


async def dial(netns: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a port on the loopback of a network namespace; of this machine's, if `netns` is empty."""

    def make() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    connection = linux.in_network_namespace(netns, make) if netns else make()
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
