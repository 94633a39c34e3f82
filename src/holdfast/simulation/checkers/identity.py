"""At most one."""

from __future__ import annotations

from holdfast.simulation.observation import Facts, Observation


class OneRunningPodPerIdentity:
    """At most one running pod per StatefulSet identity, ever, on any node (DESIGN 4.1, S200)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "Pod":
            return ""
        running = set(facts.running(seen.key))
        return f"{seen.key} runs twice: {' and '.join(sorted(running))}" if len(running) > 1 else ""
