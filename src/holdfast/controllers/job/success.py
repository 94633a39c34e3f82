"""When an Indexed job has succeeded before all of its indexes have: `spec.successPolicy` (W54)."""

from __future__ import annotations

from collections.abc import Set

from holdfast.api.resource import Manifest

from . import indexes


def met_rule(policy: Manifest | None, succeeded: Set[int], completions: int) -> str:
    """The message of the first rule that is met; empty if none is."""
    for position, rule in enumerate((policy or {}).get("rules") or ()):
        if succeeded and _is_met(rule, succeeded, completions):
            return f"Matched rules at index {position}"
    return ""


def _is_met(rule: Manifest, succeeded: Set[int], completions: int) -> bool:
    count = rule.get("succeededCount")
    if rule.get("succeededIndexes") is None:
        return count is not None and len(succeeded) >= count
    asked = indexes.parse(rule["succeededIndexes"], completions)
    return len(asked & succeeded) >= (len(asked) if count is None else count)
