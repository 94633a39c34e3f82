"""How fast an autoscaler may follow its metrics: windows, policies, bounds (W82). Pure.

Source: Kubernetes, pkg/controller/podautoscaler/horizontal.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from holdfast.api import quantity
from holdfast.api.resource import Manifest

from .replicas import Tolerance

DOWN_WINDOW_S = 300
"""Where nothing else is said."""
_FASTEST_FACTOR, _FASTEST_LEAST = 2, 4
"""Upwards at a time, where nothing else is said."""
_LONGEST = timedelta(hours=1)
"""Nothing older counts: of windows, the longest that is valid."""

Moment = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class History:
    """What an autoscaler remembers; a new process begins anew, as upstream's."""

    recommendations: Sequence[Moment] = ()
    """What metrics asked for, and when."""
    changes: Sequence[Moment] = ()
    """By how many pods the target was scaled, up or down."""

    def begun(self, now: datetime, current: int) -> History:
        return self if self.recommendations else replace(self, recommendations=((now, current),))

    def recommended(self, now: datetime, replicas: int) -> History:
        return replace(self, recommendations=(*_recent(self.recommendations, now), (now, replicas)))

    def changed(self, at: datetime, by: int) -> History:
        return replace(self, changes=(*_recent(self.changes, at), (at, by)))


def _recent(moments: Sequence[Moment], now: datetime) -> list[Moment]:
    return [one for one in moments if one[0] >= now - _LONGEST]


@dataclass(frozen=True, slots=True)
class Bounds:
    current: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Limited:
    """How many pods there will be, and what conditions say of how that came about."""

    replicas: int
    able: tuple[str, str]
    """Reason and message."""
    is_limited: bool
    limit: tuple[str, str]


_READY = ("ReadyForNewScale", "recommended size matches current size")
_DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
_UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_TOO_FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")


def limited(desired: int, bounds: Bounds, behavior: Manifest | None, history: History, now: datetime) -> Limited:
    """What becomes of `desired`; `history` is without it."""
    if behavior is None:
        stable, stabilized = _highest(desired, history, now), _DOWN_STABILIZED
        replicas, limit = _by_default(stable, bounds)
    else:
        stable = _stable(desired, bounds.current, behavior, history, now)
        stabilized = _UP_STABILIZED if desired >= bounds.current else _DOWN_STABILIZED
        replicas, limit = _by_policies(stable, bounds, behavior, history, now)
    return Limited(replicas, _READY if stable == desired else stabilized, replicas != stable, limit)


def tolerance(behavior: Manifest | None) -> Tolerance:
    """What a direction does not say is a tenth."""
    given = {
        direction: ((behavior or {}).get(direction) or {}).get("tolerance") for direction in ("scaleDown", "scaleUp")
    }
    down, up = (0.1 if one is None else float(quantity.parse(one)) for one in given.values())
    return Tolerance(down, up)


# -- windows


def _highest(desired: int, history: History, now: datetime) -> int:
    since = now - timedelta(seconds=DOWN_WINDOW_S)
    return max([desired, *(replicas for at, replicas in history.recommendations if at >= since)])


def _stable(desired: int, current: int, behavior: Manifest, history: History, now: datetime) -> int:
    """As near to what there is as recent recommendations allow."""
    least = min([desired, *_within(history, behavior["scaleUp"].get("stabilizationWindowSeconds", 0), now)])
    down_s = behavior["scaleDown"].get("stabilizationWindowSeconds", DOWN_WINDOW_S)
    most = max([desired, *_within(history, down_s, now)])
    return min(max(current, least), most)


def _within(history: History, seconds: int, now: datetime) -> list[int]:
    return [replicas for at, replicas in history.recommendations if at > now - timedelta(seconds=seconds)]


# -- rates and bounds


def _by_default(desired: int, bounds: Bounds) -> tuple[int, tuple[str, str]]:
    fastest = max(_FASTEST_FACTOR * bounds.current, _FASTEST_LEAST)
    most, limit = (fastest, _TOO_FAST_UP) if bounds.most > fastest else (bounds.most, _TOO_MANY)
    if desired < bounds.least:
        return bounds.least, _TOO_FEW
    return (most, limit) if desired > most else (desired, _WITHIN)


def _by_policies(
    desired: int, bounds: Bounds, behavior: Manifest, history: History, now: datetime
) -> tuple[int, tuple[str, str]]:
    if desired > bounds.current:
        fastest = max(_up_to(bounds.current, behavior["scaleUp"], history, now), bounds.current)
        most, limit = (fastest, _TOO_FAST_UP) if bounds.most > fastest else (bounds.most, _TOO_MANY)
        if desired > most:
            return most, limit
    elif desired < bounds.current:
        fastest = min(_down_to(bounds.current, behavior["scaleDown"], history, now), bounds.current)
        least, limit = (fastest, _TOO_FAST_DOWN) if bounds.least < fastest else (bounds.least, _TOO_FEW)
        if desired < least:
            return least, limit
    return desired, _WITHIN


def _up_to(current: int, rules: Manifest, history: History, now: datetime) -> int:
    """Rounded up: a share of few pods would be none."""
    reached = []
    for policy in rules["policies"]:
        before, value = _before(current, policy, history, now), policy["value"]
        is_count = policy["type"] == "Pods"
        reached.append(before + value if is_count else math.ceil(before * (1 + value / 100)))
    return _selected(current, rules, min(reached), max(reached))


def _down_to(current: int, rules: Manifest, history: History, now: datetime) -> int:
    reached = []
    for policy in rules["policies"]:
        before, value = _before(current, policy, history, now), policy["value"]
        is_count = policy["type"] == "Pods"
        reached.append(before - value if is_count else int(before * (1 - value / 100)))
    return _selected(current, rules, max(reached), min(reached))


def _selected(current: int, rules: Manifest, smallest: int, largest: int) -> int:
    """Of the changes that the policies allow."""
    return {"Disabled": current, "Min": smallest}.get(rules.get("selectPolicy") or "Max", largest)


def _before(current: int, policy: Manifest, history: History, now: datetime) -> int:
    """How many pods there were when the policy's period began."""
    since = now - timedelta(seconds=policy["periodSeconds"])
    return current - sum(change for at, change in history.changes if at > since)
