"""Time that jumps to the next timer, and small builders of pods."""

from __future__ import annotations

import asyncio
import random
import selectors
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.node.runtime.simulated import Script
from holdfast.world import World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class _Jump(selectors.DefaultSelector):
    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits and no timer is set")
        self.now_s += max(timeout, 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only while nothing else is to do."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now_s


class LoopClock:
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
def world() -> World:
    return World(clock=LoopClock(), random=random.Random(7))


@pytest.fixture
def on_jumping_time() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on time that jumps; an hour takes milliseconds."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture
def scenario(world: World, on_jumping_time: Callable[[Coroutine[Any, Any, Any]], Any]) -> Callable[..., None]:
    """Runs a test's body with a machine of its own; keywords go into the agent's configuration."""
    sys.path.insert(0, str(Path(__file__).parent))
    from machines import Machine, machine

    def run(
        body: Callable[[Machine], Awaitable[None]], scripts: dict[str, Script] | None = None, **config: Any
    ) -> None:
        async def whole() -> None:
            async with machine(world, scripts, **config) as one:
                await body(one)

        on_jumping_time(whole())

    return run
