"""Every ten seconds: is the node short of something, has a pod passed a limit of its own? Then it goes (N145, N146)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from holdfast.api.core.taints import tolerates
from holdfast.node.observed import Verdict
from holdfast.node.pod import Pod
from holdfast.world import World

from . import limits, ranking, thresholds
from .limits import DiskUse
from .ranking import Candidate, Used, is_critical
from .thresholds import Met, Readings, Threshold

log = logging.getLogger(__name__)

EVERY_S = 10.0
RECLAIMED_WITHIN_S = 30.0
MEMORY_TAINT = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}


class Runner(Protocol):
    """The worker of a pod that runs here."""

    @property
    def pod(self) -> Pod: ...

    @property
    def reclaimed(self) -> asyncio.Event:
        """Set once the pod takes nothing of the node any more but its logs."""

    def evict(self, verdict: Verdict) -> None:
        """Ends the pod for good, at once."""


class Measure(Protocol):
    """What pods use now."""

    async def memory(self, pod: Pod) -> Used | None: ...

    async def disk(self, pod: Pod) -> DiskUse: ...


class Evictions:
    """Of one node. `report` is told after each look which conditions hold, and what is to be reclaimed, if anything."""

    def __init__(
        self,
        world: World,
        given: Sequence[Threshold],
        readings: Callable[[], Awaitable[Readings]],
        measure: Measure,
        running: Callable[[], Iterable[Runner]],
        report: Callable[[frozenset[str], str], None],
    ) -> None:
        self._world = world
        self._thresholds = tuple(given)
        self._readings = readings
        self._measure = measure
        self._running = running
        self._report = report
        self._last_met: dict[str, datetime] = {}
        self.pressures: frozenset[str] = frozenset()

    async def run(self) -> None:
        """For ever. What one pod has left behind is looked at before the next one has to go."""
        while True:
            if evicted := await self.look():
                try:
                    async with asyncio.timeout(RECLAIMED_WITHIN_S):
                        await evicted.reclaimed.wait()
                except TimeoutError:
                    log.warning("evicted pod still there pod=%s", evicted.pod.key)
            await self._world.clock.sleep(EVERY_S)

    async def look(self) -> Runner | None:
        """One look; the pod that was evicted, if one was: at most one at a time."""
        found = thresholds.met(self._thresholds, await self._readings())
        now = self._world.clock.now()
        self._last_met = thresholds.last_met(self._last_met, found, now)
        self.pressures = thresholds.pressures(self._last_met, now)
        self._report(self.pressures, found[0].signal.resource if found else "")
        if evicted := await self._evict_for_limits():
            return evicted
        return await self._evict_for(found[0]) if found else None

    async def _evict_for_limits(self) -> Runner | None:
        for runner in list(self._running()):
            if limits.is_limited(runner.pod) and not is_critical(runner.pod):
                message = limits.excess(runner.pod, await self._measure.disk(runner.pod))
                if message:
                    return self._evict(runner, Verdict("Evicted", message))
        return None

    async def _evict_for(self, met: Met) -> Runner | None:
        runners = {runner.pod.uid: runner for runner in self._running()}
        candidates = [Candidate(runner.pod, await self._used(runner.pod, met)) for runner in runners.values()]
        for victim in ranking.victims(candidates, met.signal.resource):
            verdict = Verdict("Evicted", ranking.message(victim, met), is_disruption=True)
            return self._evict(runners[victim.pod.uid], verdict)
        return None

    async def _used(self, pod: Pod, met: Met) -> Used | None:
        if met.signal.resource == "memory":
            return await self._measure.memory(pod)
        if met.signal.resource == "ephemeral-storage":
            use = await self._measure.disk(pod)
            return Used(use.total, use.containers)
        return None

    def _evict(self, runner: Runner, verdict: Verdict) -> Runner:
        log.info("evicting pod=%s message=%s", runner.pod.key, verdict.message)
        runner.evict(verdict)
        return runner


def refusal(pod: Pod, pressures: frozenset[str]) -> str:
    """Why a new pod may not start while the node is short of something; empty if it may."""
    if not pressures or is_critical(pod):
        return ""
    is_best_effort = pod.status.get("qosClass") == "BestEffort"
    if pressures == {"MemoryPressure"} and (not is_best_effort or tolerates(pod.manifest, MEMORY_TAINT)):
        return ""
    return f"The node had condition: [{' '.join(sorted(pressures))}]. "
