"""When to ask: the probes of one pod's runs, on the event loop's own timer heap (R155), one task per attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from holdfast.api.resource import Manifest
from holdfast.node.pod import Container
from holdfast.world import World

from . import Answer, Kind, Prober, Result, Target
from .verdict import Timing, Verdict, fresh, may_ask, timing

ATTEMPTS = 3
"""So often an internal error is tried again within one attempt (N117)."""
SHORTEST_PEEK_S, LONGEST_PEEK_S = 0.005, 0.25
PEEK_SHARE = 0.01
"""Of the wait so far: so much later than it might a port be found, and so rarely is looked for one that never opens."""
SOON_S = 0.001
_WITH_PORT = ("httpGet", "tcpSocket", "grpc")

Tell = Callable[[Container, str, str, str], None]
"""(container, event type, reason, message)."""


@dataclass(slots=True)
class _Probe:
    kind: Kind
    manifest: Manifest
    timing: Timing
    verdict: Verdict
    due_s: float
    timer: asyncio.TimerHandle | None = None
    peek: asyncio.TimerHandle | None = None
    is_asking: bool = False
    is_over: bool = False

    def stop(self) -> None:
        self.is_over = True
        for timer in (self.timer, self.peek):
            if timer is not None:
                timer.cancel()


@dataclass(slots=True)
class _Run:
    target: Target
    age_s: Callable[[], float]
    probes: dict[Kind, _Probe] = field(default_factory=dict)

    @property
    def is_started(self) -> bool:
        probe = self.probes.get(Kind.STARTUP)
        return probe is None or probe.verdict.holds is True


class Rounds:
    """The probes of one pod. `on_change` is called whenever a verdict turns."""

    def __init__(
        self,
        prober: Prober,
        world: World,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        on_change: Callable[[], None],
        tell: Tell,
        listening: Callable[[], frozenset[int] | None] = lambda: None,
    ) -> None:
        """`listening` says which ports are open in the pod, None if it cannot be known (R152)."""
        self._prober = prober
        self._world = world
        self._spawn = spawn
        self._on_change = on_change
        self._tell = tell
        self._listening = listening
        self._runs: dict[str, _Run] = {}
        self._is_terminating = False

    def begin(
        self,
        target: Target,
        age_s: Callable[[], float],
        *,
        was_started: bool | None = None,
        was_ready: bool | None = None,
        is_adopted: bool = False,
    ) -> None:
        """Starts the probes of a run, once. `age_s` tells how long it has been running.

        An adopted run keeps the verdicts it had (N119), and its first tick comes after a random delay.
        """
        if target.container_id in self._runs:
            return
        run = _Run(target, age_s)
        now_s = self._world.clock.monotonic_s()
        for kind in Kind:
            manifest = target.container.probe(kind)
            if manifest is None:
                continue
            verdict = fresh(kind)
            if kind is Kind.STARTUP and was_started:
                verdict = Verdict(kind, True)
            elif kind is Kind.READINESS and was_ready is not None:
                verdict = Verdict(kind, was_ready)
            numbers = timing(manifest)
            delay_s = self._world.random.random() * numbers.period_s if is_adopted else 0.0
            run.probes[kind] = _Probe(kind, manifest, numbers, verdict, now_s + delay_s)
        self._runs[target.container_id] = run
        for probe in run.probes.values():
            if not is_adopted and probe.kind is not Kind.LIVENESS:
                self._peek_for_port(run, probe)
            self._schedule(run, probe)

    def keep(self, container_ids: set[str]) -> None:
        """Stops the probes of all other runs."""
        for container_id in [id for id in self._runs if id not in container_ids]:
            for probe in self._runs.pop(container_id).probes.values():
                probe.stop()

    def terminate(self) -> None:
        """The pod is being stopped: only readiness is asked from now on (N118)."""
        self._is_terminating = True

    def nudge(self) -> None:
        """An extra attempt, at once, for every run that is not ready yet (N109)."""
        for run in self._runs.values():
            kind = Kind.READINESS if run.is_started else Kind.STARTUP
            probe = run.probes.get(kind)
            if probe is not None and probe.verdict.holds is not True and probe.peek is None:
                self._ask_now(run, probe)

    def is_started(self, container_id: str) -> bool:
        run = self._runs.get(container_id)
        return run is None or run.is_started

    def is_ready(self, container_id: str) -> bool:
        run = self._runs.get(container_id)
        probe = run.probes.get(Kind.READINESS) if run else None
        return probe is None or probe.verdict.holds is True

    def failed_probe(self, container_id: str) -> str:
        """`liveness` or `startup` if that probe condemned the run, else empty."""
        run = self._runs.get(container_id)
        for probe in run.probes.values() if run else ():
            if probe.verdict.is_final:
                return str(probe.kind)
        return ""

    # -- ticks ------------------------------------------------------------------------------------

    def _schedule(self, run: _Run, probe: _Probe) -> None:
        if probe.is_over:
            return
        loop = asyncio.get_running_loop()
        delay_s = max(0.0, probe.due_s - self._world.clock.monotonic_s())
        probe.timer = loop.call_later(delay_s, self._tick, run, probe)

    def _tick(self, run: _Run, probe: _Probe) -> None:
        """One turn of the probe's clock, which starts with the run and never shifts (N108)."""
        now_s = self._world.clock.monotonic_s()
        probe.due_s = max(probe.due_s + probe.timing.period_s, now_s)
        if not self._ask_now(run, probe):
            self._schedule(run, probe)

    def _ask_now(self, run: _Run, probe: _Probe) -> bool:
        if probe.is_asking or probe.is_over or self._runs.get(run.target.container_id) is not run:
            return probe.is_asking
        if probe.verdict.is_final or (probe.kind is Kind.STARTUP and probe.verdict.holds):
            probe.stop()
            return False
        if not may_ask(
            probe.kind,
            probe.timing,
            age_s=run.age_s(),
            is_started=run.is_started,
            is_terminating=self._is_terminating,
        ):
            return False
        if probe.timer is not None:
            probe.timer.cancel()
        if probe.due_s <= self._world.clock.monotonic_s() + SOON_S:
            probe.due_s += probe.timing.period_s  # this attempt is the one of that tick
        probe.is_asking = True
        self._spawn(self._attempt(run, probe))
        return True

    async def _attempt(self, run: _Run, probe: _Probe) -> None:
        try:
            answer = Answer(Result.UNKNOWN)
            for _ in range(ATTEMPTS):
                answer = await self._prober.ask(probe.kind, probe.manifest, run.target)
                if answer.result is not Result.UNKNOWN:
                    break
        finally:
            probe.is_asking = False
        if probe.is_over:
            return
        self._report(run, probe, answer)
        before = probe.verdict.holds
        probe.verdict = probe.verdict.after(answer.result, probe.timing)
        self._schedule(run, probe)
        if probe.verdict.holds is not before:
            self._on_change()
            if probe.kind is Kind.STARTUP and probe.verdict.holds:
                self.nudge()

    def _report(self, run: _Run, probe: _Probe, answer: Answer) -> None:
        kind, container = probe.kind.capitalize(), run.target.container
        match answer.result:
            case Result.FAILURE:
                self._tell(container, "Warning", "Unhealthy", f"{kind} probe failed: {answer.output}")
            case Result.WARNING:
                self._tell(container, "Warning", "ProbeWarning", f"{kind} probe warning: {answer.output}")
            case Result.UNKNOWN:
                message = f"{kind} probe errored and resulted in unknown state: {answer.output}"
                self._tell(container, "Warning", "Unhealthy", message)

    # -- looking for the port, so that the first success does not wait for a tick (R153) ----------------

    def _peek_for_port(self, run: _Run, probe: _Probe) -> None:
        """While the port is known to be closed the first attempt, which could only fail, waits for it."""
        handler = next((probe.manifest[kind] for kind in _WITH_PORT if probe.manifest.get(kind)), None)
        port = run.target.container.port(handler.get("port")) if handler and not handler.get("host") else None
        ports = self._listening() if port is not None else None
        if port is None or ports is None or (port in ports and not probe.timing.initial_delay_s):
            return
        probe.due_s += probe.timing.period_s
        self._peek_later(run, probe, port)

    def _peek_later(self, run: _Run, probe: _Probe, port: int) -> None:
        delay_s = min(max(run.age_s() * PEEK_SHARE, SHORTEST_PEEK_S), LONGEST_PEEK_S)
        probe.peek = asyncio.get_running_loop().call_later(delay_s, self._peek, run, probe, port)

    def _peek(self, run: _Run, probe: _Probe, port: int) -> None:
        probe.peek = None
        ports = self._listening()
        if probe.is_over or probe.verdict.holds or ports is None:
            return
        if port not in ports or not self._ask_now(run, probe):
            self._peek_later(run, probe, port)
