"""How often an object's status is written while its pods come and go: nobody reads every count on the way."""

from __future__ import annotations

from holdfast.world import Clock

STATUS_EVERY_S = 0.1
"""Counts on their way are written at most so often."""
_NEARLY_S = 0.001


class Pace:
    """When each key's status was written last, as far back as it matters."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written_at_s: dict[str, float] = {}
        """Oldest first."""

    def wait_s(self, key: str) -> float:
        """Seconds until a status that may wait is due; 0 if it is due now."""
        written_at_s = self._written_at_s.get(key)
        if written_at_s is None:
            return 0.0
        wait_s = written_at_s + STATUS_EVERY_S - self._clock.monotonic_s()
        return wait_s if wait_s > _NEARLY_S else 0.0

    def note(self, key: str) -> None:
        """The key's status is being written."""
        now_s = self._clock.monotonic_s()
        self._written_at_s.pop(key, None)
        self._written_at_s[key] = now_s
        while self._written_at_s[oldest := next(iter(self._written_at_s))] + STATUS_EVERY_S < now_s:
            del self._written_at_s[oldest]
