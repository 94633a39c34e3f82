"""What goes wrong by itself, now and then, for as long as the faults of the moment say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from random import Random
from typing import Any

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import NotFound
from holdfast.client import Unreachable

from .faults import Faults
from .frontend import Frontend
from .process import Process

OTHERS = (STATEFUL_SETS, PODS, PERSISTENT_VOLUME_CLAIMS)
"""What another writer touches."""
IDLE_S = 15.0
"""How often somebody looks whether a fault that does not happen has begun to."""


class Mishaps:
    """Crashes of processes, and writes of somebody who has nothing to do with it."""

    def __init__(self, faults: Callable[[], Faults], random: Random) -> None:
        self._faults = faults
        self._random = random
        self._tasks: list[asyncio.Task[None]] = []
        self._writes = 0

    def begin(self, frontend: Frontend, control_plane: Process, agents: Sequence[Process]) -> None:
        self._now_and_then(lambda faults: faults.server_crash_every_s, partial(self._crash, frontend))
        self._now_and_then(lambda faults: faults.other_write_every_s, partial(self._write, frontend))
        self._now_and_then(lambda faults: faults.crash_every_s, partial(self._crash, control_plane))
        for agent in agents:
            self._now_and_then(lambda faults: faults.agent_crash_every_s, partial(self._crash, agent))

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _now_and_then(
        self, every_s: Callable[[Faults], float], happen: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        async def go_on() -> None:
            while True:
                mean_s = every_s(self._faults())
                await asyncio.sleep(self._random.expovariate(1 / mean_s) if mean_s else IDLE_S)
                if mean_s and every_s(self._faults()):
                    await happen()

        self._tasks.append(asyncio.get_running_loop().create_task(go_on(), name="mishap"))

    async def _crash(self, process: Process | Frontend) -> None:
        await process.kill()
        await asyncio.sleep(self._random.random() * self._faults().down_s)
        await process.start()

    async def _write(self, frontend: Frontend) -> None:
        """Touches the annotations of one object: whoever read it before has to read it again."""
        try:
            client = frontend.client("somebody")
            resource = self._random.choice(OTHERS)
            found = (await client.list(resource, "default")).items
            if found:
                self._writes += 1
                patch = {"metadata": {"annotations": {"touched": str(self._writes)}}}
                await client.patch(resource, self._random.choice(found)["metadata"]["name"], patch, "default")
        except (NotFound, Unreachable):
            return
