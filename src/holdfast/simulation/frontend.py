"""The API server's process as the simulation has it: killed at any moment, started again on the same store."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.apiserver.server import ApiServer, Config
from holdfast.client import Client, Unreachable
from holdfast.store import Store
from holdfast.world import World


class Frontend:
    """One API server after another. What one had in memory, watches and caches, is lost with it."""

    def __init__(self, store: Store, world: World) -> None:
        self.crashes = 0
        self.under_way: set[asyncio.Task[Any]] = set()
        """Calls and watches that the server works on."""
        self._store = store
        self._world = world
        self._server: ApiServer | None = None
        self._is_up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._is_up.is_set()

    async def wait_up(self) -> None:
        await self._is_up.wait()

    def client(self, name: str) -> Client:
        """Its own client, for a part of that name. Raises Unreachable while it is down."""
        if self._server is None or not self.is_up:
            raise Unreachable("the server is down")
        return self._server.client(name)

    async def start(self) -> None:
        if self._server is None:
            self._server = ApiServer(self._store, self._world, Config())
            await self._server.open()
            self._is_up.set()

    async def kill(self) -> None:
        """As `kill -9`: what is in the store stays, nobody is answered any more."""
        server, self._server = self._server, None
        if server is None:
            return
        self.crashes += 1
        self._is_up.clear()
        for task in list(self.under_way):
            task.cancel()
        await server.close()
