"""Back-off of restarts and image pulls (N64, N86-N90). Agent memory: a restart of the agent clears it.

Source: Kubernetes, client-go/util/flowcontrol/backoff.go.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

FIRST_S = 10.0
LONGEST_S = 300.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the sequence 10, 20, 40 ... 300 seconds."""

    delay_s: float
    at: datetime
    """When the step was taken."""


class Backoff:
    """Keys and how long each has to wait after its latest failure."""

    def __init__(self, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._steps: dict[Hashable, Step] = {}

    def delay_s(self, key: Hashable) -> float:
        """The step the key is at; 0 if it never failed."""
        step = self._steps.get(key)
        return step.delay_s if step else 0.0

    def remaining_s(self, key: Hashable, failed: datetime, now: datetime) -> float:
        """How long to wait yet after a failure at `failed`; 0 to go on at once."""
        step = self._steps.get(key)
        if step is None or self._is_over(step, failed):
            return 0.0
        return max(0.0, step.delay_s - (now - failed).total_seconds())

    def next(self, key: Hashable, failed: datetime, now: datetime) -> None:
        """Takes the next step: what comes after a failure at `failed` is tried now."""
        step = self._steps.get(key)
        if step is None or self._is_over(step, failed):
            delay_s = self._first_s
        else:
            delay_s = min(step.delay_s * 2, self._longest_s)
        self._steps[key] = Step(delay_s, now)

    def forget(self, key: Hashable) -> None:
        self._steps.pop(key, None)

    def _is_over(self, step: Step, failed: datetime) -> bool:
        """N87: it went well for twice the longest delay."""
        return (failed - step.at).total_seconds() > 2 * self._longest_s


def in_words(seconds: float) -> str:
    """`10s`, `1m20s`, `5m0s`: a duration as messages print it."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{rest}s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
