"""What a row of answers means, and when probes ask (N105-N119)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.node.probes import Answer, Kind, Result, Target
from holdfast.node.probes.rounds import Rounds
from holdfast.node.probes.verdict import fresh, may_ask, timing

sys.path.insert(0, str(Path(__file__).parent))

from pods import pod

S, F, U = Result.SUCCESS, Result.FAILURE, Result.UNKNOWN


def test_n105_defaults():
    numbers = timing({})
    assert (numbers.initial_delay_s, numbers.period_s, numbers.timeout_s) == (0, 10, 1)
    assert (numbers.success_threshold, numbers.failure_threshold) == (1, 3)


@pytest.mark.parametrize(
    ("kind", "answers", "holds"),
    [
        (Kind.LIVENESS, [], True),
        (Kind.READINESS, [], False),
        (Kind.STARTUP, [], None),
        (Kind.LIVENESS, [F, F], True),
        (Kind.LIVENESS, [F, F, F], False),
        (Kind.LIVENESS, [F, F, S, F, F], True),
        (Kind.READINESS, [S], False),
        (Kind.READINESS, [S, S], True),
        (Kind.READINESS, [S, S, F, F], True),
        (Kind.READINESS, [S, S, F, F, F], False),
        (Kind.READINESS, [S, U, S], True),
        (Kind.STARTUP, [F, F], None),
    ],
)
def test_n106_n110_thresholds(kind, answers, holds):
    numbers = timing({"successThreshold": 2 if kind is Kind.READINESS else 1})
    verdict = fresh(kind)
    for answer in answers:
        verdict = verdict.after(answer, numbers)
    assert verdict.holds is holds


@pytest.mark.parametrize(
    ("kind", "age_s", "is_started", "is_terminating", "asks"),
    [
        (Kind.READINESS, 5, True, False, True),
        (Kind.READINESS, 4, True, False, False),
        (Kind.READINESS, 5, False, False, False),
        (Kind.STARTUP, 5, False, False, True),
        (Kind.STARTUP, 5, True, False, False),
        (Kind.LIVENESS, 5, True, True, False),
        (Kind.READINESS, 5, True, True, True),
    ],
)
def test_n107_n108_n118_who_is_asked(kind, age_s, is_started, is_terminating, asks):
    numbers = timing({"initialDelaySeconds": 5})
    assert may_ask(kind, numbers, age_s=age_s, is_started=is_started, is_terminating=is_terminating) is asks


class Scripted:
    """Answers by the loop's time, and notes when it was asked."""

    def __init__(self, answer: Any = lambda kind, now: S) -> None:
        self.asked: list[tuple[str, float]] = []
        self._answer = answer

    async def ask(self, kind: Kind, probe: Any, target: Target) -> Answer:
        now = round(asyncio.get_running_loop().time(), 3)
        self.asked.append((str(kind), now))
        return Answer(self._answer(kind, now), "no")

    def times(self, kind: str) -> list[float]:
        return [now for asked, now in self.asked if asked == kind]


class Probed:
    """A container under probes, from the loop's second 0 on."""

    def __init__(self, world: Any, prober: Scripted, probes: dict[str, Any], ports: Any = lambda: None) -> None:
        self.changes = 0
        self.told: list[tuple[str, str]] = []
        self.rounds = Rounds(
            prober, world, asyncio.ensure_future, self._changed, lambda c, t, r, m: self.told.append((r, m)), ports
        )
        self._container = pod(containers=[{"name": "app", **probes}]).app_containers[0]

    def _changed(self) -> None:
        self.changes += 1

    def begin(self, **members: Any) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        self.rounds.begin(Target("id", self._container, "10.0.0.5"), lambda: loop.time() - start, **members)


def test_n108_ticks_are_counted_from_the_start_and_early_ones_are_skipped(world, on_jumping_time):
    prober = Scripted()

    async def scenario():
        probed = Probed(world, prober, {"readinessProbe": {"initialDelaySeconds": 15, "periodSeconds": 30}})
        probed.begin()
        await asyncio.sleep(100)

    on_jumping_time(scenario())
    assert prober.times("readiness") == [30, 60, 90]


def test_n109_without_delay_the_first_attempt_is_at_once(world, on_jumping_time):
    prober = Scripted()

    async def scenario():
        probed = Probed(world, prober, {"readinessProbe": {}})
        probed.begin()
        await asyncio.sleep(0.1)
        assert probed.rounds.is_ready("id")
        assert probed.changes == 1
        await asyncio.sleep(25)

    on_jumping_time(scenario())
    assert prober.times("readiness") == [0, 10, 20]


def test_n107_the_others_wait_for_the_startup_probe_which_then_never_runs_again(world, on_jumping_time):
    prober = Scripted(lambda kind, now: S if kind != "startup" or now >= 4 else F)

    async def scenario():
        probe = {"periodSeconds": 2}
        probed = Probed(world, prober, {"startupProbe": probe, "readinessProbe": probe, "livenessProbe": probe})
        probed.begin()
        await asyncio.sleep(3)
        assert not probed.rounds.is_started("id")
        await asyncio.sleep(10)
        assert probed.rounds.is_started("id")

    on_jumping_time(scenario())
    assert prober.times("startup") == [0, 2, 4]
    assert prober.times("readiness")[0] == 4
    assert prober.times("liveness")[0] in (4, 6)


def test_n111_n113_a_condemned_run_is_asked_no_more(world, on_jumping_time):
    prober = Scripted(lambda kind, now: F)

    async def scenario():
        probed = Probed(world, prober, {"livenessProbe": {"periodSeconds": 1}})
        probed.begin()
        await asyncio.sleep(20)
        assert probed.rounds.failed_probe("id") == "liveness"
        assert probed.told == [("Unhealthy", "Liveness probe failed: no")] * 3  # N113

    on_jumping_time(scenario())
    assert len(prober.asked) == 3


def test_n117_trouble_of_the_agent_is_tried_thrice_and_changes_nothing(world, on_jumping_time):
    prober = Scripted(lambda kind, now: U)

    async def scenario():
        probed = Probed(world, prober, {"livenessProbe": {"periodSeconds": 10}})
        probed.begin()
        await asyncio.sleep(1)
        assert probed.rounds.failed_probe("id") == ""
        assert probed.told == [("Unhealthy", "Liveness probe errored and resulted in unknown state: no")]

    on_jumping_time(scenario())
    assert len(prober.asked) == 3


def test_n118_while_terminating_only_readiness_is_asked(world, on_jumping_time):
    prober = Scripted()

    async def scenario():
        probed = Probed(world, prober, {"livenessProbe": {"periodSeconds": 1}, "readinessProbe": {"periodSeconds": 1}})
        probed.begin()
        await asyncio.sleep(2.5)
        probed.rounds.terminate()
        await asyncio.sleep(3)

    on_jumping_time(scenario())
    assert max(prober.times("liveness")) == 2
    assert max(prober.times("readiness")) == 5


def test_n119_an_adopted_run_keeps_its_verdicts(world, on_jumping_time):
    prober = Scripted()

    async def scenario():
        probed = Probed(world, prober, {"startupProbe": {}, "readinessProbe": {}})
        probed.begin(was_started=True, was_ready=True, is_adopted=True)
        assert probed.rounds.is_started("id")
        assert probed.rounds.is_ready("id")
        await asyncio.sleep(30)

    on_jumping_time(scenario())
    assert prober.times("startup") == []
    assert 0 < prober.times("readiness")[0] < 10


@pytest.mark.parametrize("handler", ["httpGet", "tcpSocket", "grpc"])
def test_r153_the_first_attempt_follows_the_open_port(world, on_jumping_time, handler):
    prober = Scripted(lambda kind, now: S if now >= 1.2 else F)

    async def scenario():
        loop = asyncio.get_running_loop()
        probe = {handler: {"port": 80}, "periodSeconds": 10}
        probed = Probed(world, prober, {"readinessProbe": probe}, lambda: frozenset({80} if loop.time() >= 1.2 else ()))
        probed.begin()
        await asyncio.sleep(2)
        assert probed.rounds.is_ready("id")

    on_jumping_time(scenario())
    [first] = prober.times("readiness")
    assert 1.2 <= first <= 1.45


@pytest.mark.parametrize("opens_s", [0.1, 0.7, 1.1, 1.9, 3.1, 4.3, 11.0, 60.0])
def test_r153_the_port_is_found_within_a_hundredth_of_the_wait_for_it(world, on_jumping_time, opens_s):
    prober = Scripted()

    async def scenario():
        loop = asyncio.get_running_loop()
        probe = {"tcpSocket": {"port": 80}, "periodSeconds": 300}
        ports = lambda: frozenset({80} if loop.time() >= opens_s else ())  # noqa: E731
        Probed(world, prober, {"readinessProbe": probe}, ports).begin()
        await asyncio.sleep(opens_s + 1)

    on_jumping_time(scenario())
    [first] = prober.times("readiness")
    assert opens_s <= first <= opens_s + min(max(0.005, opens_s / 100), 0.25) + 0.001


def test_r153_looking_for_a_port_costs_next_to_nothing(world, on_jumping_time):
    looks = 0

    def ports():
        nonlocal looks
        looks += 1
        return frozenset()

    async def scenario():
        probe = {"tcpSocket": {"port": 80}, "periodSeconds": 300}
        Probed(world, Scripted(), {"readinessProbe": probe}, ports).begin()
        await asyncio.sleep(60)

    on_jumping_time(scenario())
    assert looks <= 650, "less than half a thousandth of a core, at 40 us each"


def test_r153_a_port_that_never_opens_is_asked_for_every_period(world, on_jumping_time):
    prober = Scripted(lambda kind, now: F)

    async def scenario():
        probe = {"tcpSocket": {"port": 80}, "periodSeconds": 10}
        probed = Probed(world, prober, {"startupProbe": probe}, lambda: frozenset())
        probed.begin()
        probed.rounds.nudge()
        await asyncio.sleep(35)
        assert probed.rounds.failed_probe("id") == "startup"

    on_jumping_time(scenario())
    assert prober.times("startup") == [10, 20, 30]


def test_r153_an_initial_delay_still_holds(world, on_jumping_time):
    prober = Scripted()

    async def scenario():
        probe = {"httpGet": {"port": 80}, "periodSeconds": 30, "initialDelaySeconds": 5}
        probed = Probed(world, prober, {"readinessProbe": probe}, lambda: frozenset({80}))
        probed.begin()
        await asyncio.sleep(20)

    on_jumping_time(scenario())
    assert 5 <= prober.times("readiness")[0] <= 5.3


def test_a_run_that_is_gone_is_asked_no_more(world, on_jumping_time):
    prober = Scripted()

    async def scenario():
        probed = Probed(world, prober, {"readinessProbe": {"periodSeconds": 1}})
        probed.begin()
        await asyncio.sleep(1.5)
        probed.rounds.keep(set())
        await asyncio.sleep(5)

    on_jumping_time(scenario())
    assert max(prober.times("readiness")) == 1
