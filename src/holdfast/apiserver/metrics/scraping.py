"""Asks the agents what is used there, twice, when somebody wants to know; an idle cluster is never asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from holdfast.api.errors import ApiError
from holdfast.wire.client import ConnectionFailed
from holdfast.world import Clock

from .samples import Sample, parse

log = logging.getLogger(__name__)

FRESH_S = 2.0
"""So long an answer is good for others who ask."""
SHORTEST_WINDOW_S = 1.0
LONGEST_WINDOW_S = 60.0
"""Between the two samples that a rate is told from: a longer one would tell of the past."""

Fetch = Callable[[str], Awaitable[str]]
"""From a node's name to the body of its agent's `/metrics/resource`. Raises ConnectionFailed, ApiError."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two samples of one node."""

    base: Sample
    last: Sample


@dataclass(slots=True)
class _Node:
    last: Sample | None = None
    taken_s: float = 0.0
    pair: Pair | None = None
    under_way: asyncio.Task[Pair] | None = None


class Scraper:
    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._nodes: dict[str, _Node] = {}

    async def measured(self, names: Collection[str]) -> dict[str, Pair]:
        """By node; those that do not answer are left out."""
        self._forget()
        pairs = await asyncio.gather(*(self._pair(name) for name in names))
        return {name: pair for name, pair in zip(names, pairs, strict=True) if pair}

    def _forget(self) -> None:
        now_s = self._clock.monotonic_s()
        for name, node in list(self._nodes.items()):
            if node.under_way is None and now_s - node.taken_s > LONGEST_WINDOW_S:
                del self._nodes[name]

    async def _pair(self, name: str) -> Pair | None:
        node = self._nodes.setdefault(name, _Node())
        if node.pair and self._clock.monotonic_s() - node.taken_s < FRESH_S:
            return node.pair
        if node.under_way is None:
            node.under_way = asyncio.create_task(self._measure(name, node))
            node.under_way.add_done_callback(lambda task: _settle(node, task))
        try:
            # Whoever asked first may leave; the others still wait.
            return await asyncio.shield(node.under_way)
        except (ConnectionFailed, ApiError, ValueError, OverflowError) as error:
            log.warning("node not measured node=%s error=%s", name, error)
            return None

    async def _measure(self, name: str, node: _Node) -> Pair:
        if node.last is None:
            await self._sample(name, node)
        base = node.last
        assert base is not None
        wait_s = SHORTEST_WINDOW_S - (self._clock.monotonic_s() - node.taken_s)
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        node.pair = Pair(base, await self._sample(name, node))
        return node.pair

    async def _sample(self, name: str, node: _Node) -> Sample:
        sample = parse(await self._fetch(name))
        node.last, node.taken_s = sample, self._clock.monotonic_s()
        return sample


def _settle(node: _Node, task: asyncio.Task[Pair]) -> None:
    node.under_way = None
    if not task.cancelled():
        task.exception()  # everybody who waited has seen it
