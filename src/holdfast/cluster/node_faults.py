"""What users do to single nodes to see what comes of it: no power, or no way to the API server. Kept until `down`.

The wish is a file; the agents' process looks at it when it starts and at each SIGHUP, and tells by its lock what it has
come to.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from holdfast.world import Clock

from . import settings as saved
from .home import Home, none_is_up
from .launch import agents_lock, running
from .locks import holder

WITHIN_S = 60.0
LOOK_EVERY_S = 0.02


class Condition(StrEnum):
    AT_WORK = "at work"
    PARTITIONED = "partitioned"
    """Its agent and its pods run on, the agent and the API server do not reach each other."""
    STOPPED = "stopped"
    """As if somebody had pulled its plug."""


class NotDone(Exception):
    """The message says why, and what to do."""


def wanted(home: Home) -> Mapping[str, Condition]:
    """Of the nodes that are not to be at work."""
    try:
        read = json.loads(_path(home).read_bytes())
    except FileNotFoundError:
        return {}
    return {name: Condition(text) for name, text in read.items()}


def forget(home: Home) -> None:
    """Every node is to be at work."""
    _path(home).unlink(missing_ok=True)


async def change(home: Home, name: str, condition: Condition, clock: Clock) -> None:
    """Returns when it has come to that. Raises NotDone."""
    settings = saved.load(home.settings) or saved.Settings()
    if settings.is_joined:
        raise NotDone(
            f"{settings.name} has joined a cluster: holdfast down lets it go, kill -9 of its agents pulls its plug"
        )
    if running(home) is None:
        raise NotDone(none_is_up(home))
    names = settings.node_names()
    if name not in names:
        raise NotDone(f'no node "{name}" on this machine; there are {", ".join(names) or "none"}')
    if condition is Condition.STOPPED and name == names[0]:
        raise NotDone(
            f"cluster DNS is at home on {name}: stop another one (holdfast up --nodes 3), or partition this one"
        )
    _want(home, name, condition)
    deadline = clock.monotonic_s() + WITHIN_S
    asked = None
    while (facts := holder(agents_lock(home)) or {}).get("conditions", {}).get(name) != condition:
        if clock.monotonic_s() > deadline:
            raise NotDone(f"node {name} is not {condition} after {WITHIN_S:g} s; see {home.logs / 'agents.log'}")
        # One that tells nothing yet has not begun to listen, and reads the file before it does.
        if "conditions" in facts and facts["pid"] != asked:
            asked = facts["pid"]
            with contextlib.suppress(ProcessLookupError):
                os.kill(asked, signal.SIGHUP)
        await clock.sleep(LOOK_EVERY_S)


def _want(home: Home, name: str, condition: Condition) -> None:
    now = {**wanted(home), name: condition}
    temporary = _path(home).with_suffix(".new")
    temporary.write_text(json.dumps({name: text for name, text in now.items() if text is not Condition.AT_WORK}))
    temporary.replace(_path(home))


def _path(home: Home) -> Path:
    return home.run / "nodes.json"
