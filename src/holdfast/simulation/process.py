"""A process of the cluster as the simulation has it: started, killed at any moment, started again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from holdfast.client import Client

from .faults import Faults, FaultyClient
from .frontend import Frontend

log = logging.getLogger(__name__)

Run = Callable[[Callable[[str], Client]], Coroutine[Any, Any, None]]
"""The process' whole life, given how to make a client by the name of the part that uses it."""


class Process:
    """One life after another, each with clients of its own that die with it."""

    def __init__(self, name: str, run: Run, frontend: Frontend, faults: Callable[[], Faults], random: Random) -> None:
        self.name = name
        self.crashes = 0
        self.line = asyncio.Event()
        """Set while it reaches the API server. It goes on without."""
        self.line.set()
        self._run = run
        self._frontend = frontend
        self._faults = faults
        self._random = random
        self._clients: list[FaultyClient] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        return self._task is not None

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._live(), name=self.name)

    async def _live(self) -> None:
        await self._run(self._client)

    def _client(self, name: str) -> Client:
        made = FaultyClient(
            lambda: self._frontend.client(name),
            self._faults,
            self._random,
            line=self.line,
            at_server=self._frontend.under_way,
        )
        self._clients.append(made)
        return made

    async def kill(self) -> None:
        """As `kill -9`: what it was doing it does not finish, calls that the server has accepted are carried out."""
        task = self._task
        self.crashes += task is not None
        await self.end()
        if task is not None:
            _raise_if_broken(task)

    async def end(self) -> None:
        """Kills it whatever state it is in; for good."""
        task, self._task = self._task, None
        if task is None:
            return
        for client in self._clients:
            client.kill()
        self._clients.clear()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def check(self) -> None:
        """Raises what ended the process, if anything but `kill` did: no part may end by itself."""
        if self._task is not None and self._task.done():
            _raise_if_broken(self._task)
            raise AssertionError(f"{self.name} ended by itself")


def _raise_if_broken(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
