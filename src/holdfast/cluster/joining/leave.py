"""Leaving: the Node goes when its pods have stopped, as by `kubectl delete node`.

The pods' objects follow: they are bound to a node that is gone, so they are collected, and whoever owns them makes
others elsewhere. That is what is wanted of a machine that says good-bye. One that is to come back need not say it: its
process may end in any other way, and everything is found again.
"""

from __future__ import annotations

import asyncio

from holdfast.api.core.node import NODES
from holdfast.api.errors import ApiError, NotFound
from holdfast.client.remote import RemoteClient
from holdfast.cluster.connect import as_node
from holdfast.cluster.home import Home
from holdfast.cluster.settings import Settings

WITHIN_S = 10.0


async def leave(home: Home, settings: Settings) -> str:
    """Deletes the Node of a machine whose agents have ended; why it is still there, empty if it is not."""
    try:
        client = RemoteClient(as_node(home, settings.server, settings.name))
    except OSError as error:
        return str(error)
    try:
        async with asyncio.timeout(WITHIN_S):
            await client.delete(NODES, settings.name)
    except NotFound:
        return ""
    except TimeoutError:
        return f"{settings.server} does not answer"
    except ApiError as error:
        return str(error)
    finally:
        await client.close()
    return ""
