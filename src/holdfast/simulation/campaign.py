"""Many seeds on all cores, and what becomes of the first that fails."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from holdfast.world import Clock

from .mixed.playing import tell
from .mixed.shrinking import shrink
from .mixed.story import Story
from .observation import InvariantBroken
from .scenarios import SCENARIOS, Drawn, watch

LIVES_PER_PROCESS = 200
RARELY = (50_000, 20, 20)
"""Thresholds of garbage collection; a life leaves much that is in use until its end."""
PROGRESS_EVERY_S = 10.0
SHRINKING_S = 120.0
PLANS = Path(".cache/simulation")
"""Where shrunk stories are left, under the working directory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one seed."""

    seed: int
    simulated_s: float = 0.0
    cpu_s: float = 0.0
    failure: str = ""
    """What broke, with the last changes; empty if nothing did."""


@dataclass(slots=True)
class Totals:
    seeds: int = 0
    simulated_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.simulated_s += outcome.simulated_s
        self.cpu_s += outcome.cpu_s

    def told(self, wall_s: float) -> str:
        hours, per_core = self.simulated_s / 3600, self.simulated_s / max(self.cpu_s, 1e-9)
        speed = f"{hours / wall_s:.2f} simulated hours per second, {per_core:.0f} x real time per core"
        return f"{self.seeds} seeds, {hours:.1f} simulated hours in {wall_s:.0f} s: {speed}"


def run(name: str, seeds: Iterable[int], clock: Clock, say: Callable[[str], None], jobs: int = 0) -> bool:
    """Plays the scenario with every seed, on so many processes (0: one per core). Whether all went well.

    Stops at the first that fails, shrinks it if it can be, and says how to play it again.
    """
    begun_s = said_s = clock.monotonic_s()
    totals = Totals()
    with closing(_outcomes(name, seeds, jobs or os.cpu_count() or 1)) as outcomes:
        for outcome in outcomes:
            if outcome.failure:
                say(f"{name} seed {outcome.seed} failed")
                report(name, outcome.seed, outcome.failure, clock, say)
                return False
            totals.add(outcome)
            if clock.monotonic_s() - said_s >= PROGRESS_EVERY_S:
                said_s = clock.monotonic_s()
                say(totals.told(said_s - begun_s))
    say(totals.told(clock.monotonic_s() - begun_s))
    return True


def _outcomes(name: str, seeds: Iterable[int], jobs: int) -> Generator[Outcome, None, None]:
    """In whatever order they come."""
    tasks = ((name, seed) for seed in seeds)
    with get_context("spawn").Pool(jobs, _begin, maxtasksperchild=LIVES_PER_PROCESS) as pool:
        yield from pool.imap_unordered(_live, tasks)


def _begin() -> None:
    """Of a process of its own: nothing is logged, and what was loaded is not looked through for garbage."""
    logging.disable()
    gc.freeze()
    gc.set_threshold(*RARELY)


def _live(task: tuple[str, int]) -> Outcome:
    name, seed = task
    before = os.times()
    try:
        played = watch(name, seed)
    except Exception as error:
        return Outcome(seed, failure=described(error))
    after = os.times()
    return Outcome(seed, played.simulated_s, after.user + after.system - before.user - before.system)


def described(error: BaseException) -> str:
    """What broke, with whatever was noted on it."""
    return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


def report(name: str, seed: int, failure: str, clock: Clock, say: Callable[[str], None]) -> None:
    """Says what broke, how to see it again, and of a drawn story what is left of it when all else is left out."""
    scenario = SCENARIOS[name]
    if not isinstance(scenario, Drawn):
        say(failure)
        return
    say(f"replay: python -m holdfast.simulation {name} --seed {seed}")
    say(f"shrinking, for {SHRINKING_S:g} s at most")
    until_s = clock.monotonic_s() + SHRINKING_S
    story = scenario.draw(seed)
    what = breaks(story)
    short = shrink(story, lambda one: breaks(one) == what, lambda: clock.monotonic_s() < until_s)
    plan = PLANS / f"{name}-{seed}.json"
    plan.parent.mkdir(parents=True, exist_ok=True)
    plan.write_text(short.written())
    say(f"what is left of it:\n{short.written()}")
    try:
        tell(short)
    except Exception as error:
        say(described(error))
    say(f"replay what is left: python -m holdfast.simulation --plan {plan}")


def breaks(story: Story) -> str:
    """Which guarantee a story breaks: the name of a checker, or of an error; empty if none."""
    try:
        tell(story)
    except InvariantBroken as error:
        return str(error).partition(":")[0]
    except Exception as error:
        return type(error).__name__
    return ""
