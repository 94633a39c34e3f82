"""Probes: what one attempt asks (`prober`), what a row of answers means (`verdict`), when to ask (`rounds`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from holdfast.api.resource import Manifest
from holdfast.node.pod import Container


class Kind(StrEnum):
    STARTUP = "startup"
    LIVENESS = "liveness"
    READINESS = "readiness"


class Result(StrEnum):
    SUCCESS = "success"
    WARNING = "warning"
    """Counts as success, but an event tells of it (N113)."""
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """The agent's own trouble: no answer, the verdict stays (N117)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt; `output` goes into the event of a failure."""

    result: Result
    output: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The run that is probed."""

    container_id: str
    container: Container
    host: str
    """The pod's address, or the node's under hostNetwork (N120)."""
    variables: Mapping[str, str] = field(default_factory=dict)


class Prober(Protocol):
    """Makes one attempt. Raises nothing; ends within the probe's timeout."""

    async def ask(self, kind: Kind, probe: Manifest, target: Target) -> Answer: ...
