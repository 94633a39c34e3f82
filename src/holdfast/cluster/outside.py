"""Work in the machine's own network, for agents that have moved into another (R73).

A socket stays in the network of the thread that made it, and so does a program that a thread starts. So one thread of
the agents' process does not move, and makes what belongs outside: the agents' endpoint, programs that ask registries.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Outside:
    """Made before the process moves. Where it does not move, everywhere is outside, and there is no such thread."""

    def __init__(self, *, moves: bool) -> None:
        self._thread = ThreadPoolExecutor(1, "outside") if moves else None
        if self._thread is not None:
            self._thread.submit(int).result()  # the thread is there from now on, and the only one

    def do(self, function: Callable[[], Result]) -> Result:
        """What `function` returns; blocks for as long as it takes."""
        return function() if self._thread is None else self._thread.submit(function).result()

    async def __call__(self, function: Callable[[], Result]) -> Result:
        """The same without blocking, unless the process has not moved."""
        if self._thread is None:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def listen(self, host: str) -> socket.socket:
        """A listening socket on a port that is free. Raises OSError."""
        return self.do(lambda: socket.create_server((host, 0), backlog=1024))
