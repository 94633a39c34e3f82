"""What is used of one resource quota, kept up to date one object at a time: work as large as the change (A243)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from holdfast.api import quantity
from holdfast.api.resource import Manifest, Resource

from .quota_scopes import is_in_scope
from .quota_usage import NONE, Amounts, largest, limited_by, use_of


class Tally:
    """The sums over all objects that were handed in; says nothing of names that no kind uses."""

    def __init__(self, quota: Manifest, resources: Iterable[Resource]) -> None:
        """`resources` are all kinds that may count."""
        self.quota = quota
        hard = hard_of(quota)
        by_kind = {resource.qualified: limited_by(resource, hard) for resource in resources}
        self._names = {kind: names for kind, names in by_kind.items() if names}
        self.used: dict[str, str] = {name: NONE for names in self._names.values() for name in names}
        self.leaving: dict[tuple[str, str], datetime] = {}
        """(kind, key) of objects that count for less from a moment on: they are to be counted again then."""
        self._of: dict[tuple[str, str], Amounts] = {}

    def names(self, resource: Resource) -> frozenset[str]:
        """What the quota limits of objects of that kind; empty if they do not matter."""
        return self._names.get(resource.qualified, frozenset())

    def count(self, resource: Resource, key: str, states: Iterable[Manifest], now: datetime) -> bool:
        """Takes over what is to be counted for the object at `key`, for the most in any of its states, nothing if
        there is none. Says whether that changed anything."""
        names, at = self.names(resource), (resource.qualified, key)
        uses = [use_of(resource, state) for state in states if names and is_in_scope(self.quota, resource, state)]
        ends = [use.until for use in uses if use.until is not None and use.until >= now]
        if ends:
            self.leaving[at] = min(ends)
        else:
            self.leaving.pop(at, None)
        new = {name: amount for name, amount in largest(use.at(now) for use in uses).items() if name in names}
        return self._replace(at, new)

    def _replace(self, at: tuple[str, str], new: Amounts) -> bool:
        old = self._of.get(at, {})
        if new == old:
            return False
        if new:
            self._of[at] = new
        else:
            del self._of[at]
        for name in {*old, *new}:
            rest = quantity.subtract(self.used[name], old.get(name, NONE))
            self.used[name] = quantity.add(rest, new.get(name, NONE))
        return True

    def due(self, now: datetime) -> list[tuple[str, str]]:
        """(kind, key) of what counts for less by now."""
        return [at for at, moment in self.leaving.items() if moment < now]


def hard_of(quota: Manifest) -> dict[str, str]:
    hard: dict[str, str] = (quota.get("spec") or {}).get("hard") or {}
    return hard


def counts_alike(one: Manifest, other: Manifest) -> bool:
    """Whether two states of a quota count the same objects by the same names, whatever they allow."""

    def of(quota: Manifest) -> tuple[object, ...]:
        spec = quota.get("spec") or {}
        return set(hard_of(quota)), spec.get("scopes"), spec.get("scopeSelector")

    return of(one) == of(other)
