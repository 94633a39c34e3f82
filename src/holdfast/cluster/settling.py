"""Whether a cluster is up, while others may be starting or stopping it."""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.world import Clock

from . import launch
from . import settings as saved
from .home import Home
from .launch import STARTING, Busy, LaunchFailed, Report, Running, daemon_lock
from .locks import holder
from .settings import Settings

LOOK_EVERY_S = 0.05


def found_or_started(
    home: Home, change: Callable[[Settings], Settings], clock: Clock, *, wait_s: float, report: Report
) -> tuple[Running, bool]:
    """The daemon, and whether it was started just now: with what `change` makes of the settings.

    Raises LaunchFailed.
    """
    while True:
        found = settled(home, clock, wait_s=wait_s, report=report)
        if found is not None:
            return found, False
        try:
            settings = change(saved.load(home.settings) or Settings())
            return launch.start(home, settings, clock, wait_s=wait_s, report=report), True
        except Busy:
            continue  # somebody else was quicker


def is_starting(home: Home) -> bool:
    facts = holder(daemon_lock(home))
    return facts is not None and _state(facts) == STARTING


def settled(home: Home, clock: Clock, *, wait_s: float, report: Report) -> Running | None:
    """The daemon that is up and ready, if there is one. One that is starting or stopping is waited for.

    Raises LaunchFailed.
    """
    deadline, told = clock.monotonic_s() + wait_s, ""
    while (facts := holder(daemon_lock(home))) is not None and (state := _state(facts)):
        if state != told:
            report(f"the cluster is {state}: waiting for that")
            told = state
        if clock.monotonic_s() > deadline:
            raise LaunchFailed(f"the cluster is {state}, for more than {wait_s:g} s; see {launch.daemon_log(home)}")
        select.select([], [], [], LOOK_EVERY_S)
    return None if facts is None else Running(facts["pid"], facts["url"], facts.get("version", ""))


def _state(facts: Mapping[str, Any]) -> str:
    """Empty of one that is up and ready. One of an earlier version tells no state, and has its address early."""
    return str(facts.get("state", "" if "url" in facts else STARTING))
