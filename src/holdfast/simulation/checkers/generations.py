"""Generations and revisions count changes of what is wanted, nothing else."""

from __future__ import annotations

from holdfast.simulation.observation import Facts, Observation


class GenerationsCountSpecs:
    """A set's generation rises by one with each change of its spec, and when its deletion is asked for (S179, S205)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "StatefulSet" or seen.old is None or seen.new is None:
            return ""
        if seen.old["metadata"]["uid"] != seen.new["metadata"]["uid"]:
            return ""
        before, after = (each["metadata"]["generation"] for each in (seen.old, seen.new))
        expected = before + (seen.old["spec"] != seen.new["spec"] or seen.starts_to_go)
        return f"{seen.key} went from generation {before} to {after}" if after != expected else ""
