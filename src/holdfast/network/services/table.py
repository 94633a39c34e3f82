"""The whole table as text, and every change of it as text of the change's own size (R96).

Several services may want the same element: then the first of them in alphabetical order has it, and the next
one once that is gone, so that the outcome does not depend on the order of events.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from .rules import Fragment, Key, Machine, shared_chains, shared_sets

K = TypeVar("K")
V = TypeVar("V")


class Table:
    """What should be in the kernel. `full` and `changes` both assume that the kernel gets what they return."""

    def __init__(self, name: str, machine: Machine) -> None:
        self.name = name
        self._at = f"{machine.family.word} {name}"
        self._machine = machine
        self._fragments: dict[str, Fragment] = {}
        self._chains: dict[str, tuple[str, ...]] = {}
        self._sets: dict[str, str] = {}
        self._claims: dict[Key, dict[str, str]] = {}
        self._before_chains: dict[str, tuple[str, ...] | None] = {}
        self._before_sets: dict[str, str | None] = {}
        self._before_elements: dict[Key, str | None] = {}

    def set(self, service: str, fragment: Fragment | None) -> None:
        """Puts `fragment` in the place of what the service had; None takes it away."""
        old, new = self._fragments.pop(service, None) or Fragment(), fragment or Fragment()
        if fragment is not None:
            self._fragments[service] = fragment
        if old == new:
            return
        _replace(self._chains, self._before_chains, old.chains, new.chains)
        _replace(self._sets, self._before_sets, old.sets, new.sets)
        for key in old.elements.keys() | new.elements.keys():
            if old.elements.get(key) != new.elements.get(key):
                self._before_elements.setdefault(key, self._element(key))
                self._claim(key, service, new.elements.get(key))

    def _claim(self, key: Key, service: str, verdict: str | None) -> None:
        claims = self._claims.setdefault(key, {})
        if verdict is None:
            claims.pop(service, None)
            if not claims:
                del self._claims[key]
        else:
            claims[service] = verdict

    def _element(self, key: Key) -> str | None:
        claims = self._claims.get(key)
        return claims[min(claims)] if claims else None

    @property
    def sets(self) -> Collection[str]:
        """Those in which endpoints remember their clients: the kernel fills them."""
        return self._sets.keys()

    def full(self, remembered: Mapping[str, str] | None = None) -> str:
        """Replaces the table, whatever is there, in one transaction; `remembered` is what goes into `sets` again."""
        self._forget()
        elements = {key: self._element(key) or "" for key in self._claims}
        sets, chains = {**shared_sets(self._machine), **self._sets}, {**shared_chains(self._machine), **self._chains}
        return "\n".join(
            [
                removal(self._at) + f"table {self._at} {{",
                *(f"{_kind(declared)} {name} {{ {declared} }}" for name, declared in sets.items()),
                *(f"chain {name} {{\n{_body(rules)}\n}}" for name, rules in chains.items()),
                "}",
                *self._elements("add", elements),
                *(
                    f"add element {self._at} {name} {{ {clients} }}"
                    for name, clients in (remembered or {}).items()
                    if name in self._sets
                ),
                "",
            ]
        )

    def changes(self) -> str:
        """What brings the table from what was last asked for to what is wanted now; empty if that is the same.

        The order is what nftables asks for: nothing is named before it is there, or goes while it is in use.
        """
        chains = _differences(self._before_chains, self._chains)
        sets = _differences(self._before_sets, self._sets)
        elements = {key: (old, new) for key, old in self._before_elements.items() if (new := self._element(key)) != old}
        self._forget()
        gone = {key: "" for key, (old, _) in elements.items() if old is not None}
        come = {key: new for key, (_, new) in elements.items() if new is not None}
        at = self._at
        lines = [
            *(f"add set {at} {name} {{ {new} }}" for name, (_, new) in sets.items() if new is not None),
            *(f"add chain {at} {name}" for name, (old, _) in chains.items() if old is None),
            *(f"flush chain {at} {name}" for name, (old, _) in chains.items() if old is not None),
            *(f"add rule {at} {name} {rule}" for name, (_, new) in chains.items() for rule in new or ()),
            *self._elements("delete", gone),
            *self._elements("add", come),
            *(f"delete chain {at} {name}" for name, (_, new) in chains.items() if new is None),
            *(f"delete set {at} {name}" for name, (_, new) in sets.items() if new is None),
        ]
        return "\n".join([*lines, ""]) if lines else ""

    def _elements(self, verb: str, elements: Mapping[Key, str]) -> Iterator[str]:
        by_set: dict[str, list[str]] = {}
        for (name, key), verdict in elements.items():
            by_set.setdefault(name, []).append(f"{key} : {verdict}" if verdict else key)
        for name, members in by_set.items():
            yield f"{verb} element {self._at} {name} {{ {', '.join(members)} }}"

    def _forget(self) -> None:
        self._before_chains, self._before_sets, self._before_elements = {}, {}, {}


def removal(at: str) -> str:
    """Removes the table if it is there; `at` is its family and name."""
    return f"table {at}\ndelete table {at}\n"


def _replace(now: dict[K, V], before: dict[K, V | None], old: Mapping[K, V], new: Mapping[K, V]) -> None:
    for key in old.keys() | new.keys():
        if old.get(key) != new.get(key):
            before.setdefault(key, now.get(key))
            if key in new:
                now[key] = new[key]
            else:
                del now[key]


def _differences(before: Mapping[K, V | None], now: Mapping[K, V]) -> dict[K, tuple[V | None, V | None]]:
    return {key: (old, now.get(key)) for key, old in before.items() if old != now.get(key)}


def _kind(declared: str) -> str:
    return "map" if " : " in declared else "set"


def _body(rules: Iterable[str]) -> str:
    return "\n".join(f"  {rule}" for rule in rules)
