"""Writes that the server may still lose are kept until they are committed, and sent again if it lost them (RFC 8881
section 18.32.4): a server that is killed and comes back costs nobody a byte."""

from __future__ import annotations

from .client import Client
from .errors import NfsError
from .nodes import Node, Unwritten
from .rpc import Credentials

MOST_UNWRITTEN_BYTES = 16 << 20
"""Of one file: beyond this it is committed though nobody has asked."""


async def write(
    client: Client, node: Node, offset: int, data: bytes, most_bytes: int, credentials: Credentials
) -> None:
    """All of it, in pieces of at most `most_bytes`. Raises OSError."""
    async with node.writing:
        done = 0
        while done < len(data):
            piece = data[done : done + most_bytes]
            written = await client.write(node.handle, offset + done, piece, credentials)
            if not written.is_stable:
                node.unwritten.append(Unwritten(offset + done, piece[: written.count], written.verifier))
            done += written.count
    if sum(len(each.data) for each in node.unwritten) > MOST_UNWRITTEN_BYTES:
        await commit(client, node, credentials)


async def commit(client: Client, node: Node, credentials: Credentials) -> None:
    """Returns when all that was written is on the server's disk. Raises OSError: then some of it may be lost."""
    async with node.committing:  # who comes second waits for the first: its data may be among those
        kept, node.unwritten = node.unwritten, []
        if kept:
            await _commit(client, node, kept, credentials)


async def _commit(client: Client, node: Node, kept: list[Unwritten], credentials: Credentials) -> None:
    try:
        verifier = await client.commit(node.handle, credentials)
        if any(each.verifier != verifier for each in kept):
            await _write_again(client, node, kept, credentials)
    except NfsError:
        raise  # told once, as close and fsync do; to keep the data would not help
    except BaseException:
        node.unwritten[:0] = kept
        raise


async def _write_again(client: Client, node: Node, kept: list[Unwritten], credentials: Credentials) -> None:
    """In the order in which it was written, with what came since: an older write must not win."""
    async with node.writing:
        later, node.unwritten = node.unwritten, []
        for each in (*kept, *later):
            done = 0
            while done < len(each.data):
                written = await client.write(
                    node.handle, each.offset + done, each.data[done:], credentials, stable=True
                )
                done += written.count
