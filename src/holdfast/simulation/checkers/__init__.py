"""What has to be true at every moment, each named for its guarantee; asked after every change of the store.

A controller acts on views that lag. So what it does is judged by what it could know: it is right if the rules ask for
it under one of the views that it may have had when it decided (`moments`).
"""

from __future__ import annotations

from typing import Protocol

from holdfast.simulation.observation import Facts, Observation

from .claims import ClaimsAreKept, ClaimsBelongAsThePolicySays
from .counting import OneJobPerTime, PodsAreCountedOnce
from .generations import GenerationsCountSpecs
from .identity import OneRunningPodPerIdentity
from .ownership import PodsAreAdoptedByTheLiving
from .pods import PodsStartInTurn, PodsStopForAReason
from .revisions import RevisionsAreKept
from .status import StatusIsHonest


class Checker(Protocol):
    def check(self, seen: Observation, facts: Facts) -> str:
        """What is broken, in words; empty if nothing is. `facts.past` does not hold the change yet."""


def all_checkers() -> list[Checker]:
    return [
        OneRunningPodPerIdentity(),
        PodsStartInTurn(),
        PodsStopForAReason(),
        PodsAreAdoptedByTheLiving(),
        ClaimsAreKept(),
        ClaimsBelongAsThePolicySays(),
        RevisionsAreKept(),
        StatusIsHonest(),
        GenerationsCountSpecs(),
        PodsAreCountedOnce(),
        OneJobPerTime(),
    ]
