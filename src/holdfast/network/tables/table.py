"""The whole table as text, and every change of it as text of the change's own size (R96).

Several owners, services for example, may want the same element: then the first of them in alphabetical order has it,
and the next one once that is gone, so that the outcome does not depend on the order of events.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


Key = tuple[str, str]
"""A map or set, and what is looked up in it."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one owner has in the table. Chains and sets are its own; elements go into shared maps and sets."""

    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    """Never changed: a set of another declaration has another name."""
    elements: dict[Key, str] = field(default_factory=dict)
    """What maps lead to, a verdict or an endpoint; nothing in sets."""


class Table:
    """What should be in the kernel. `full` and `changes` both assume that the kernel gets what they return."""

    def __init__(self, at: str, sets: Mapping[str, str], chains: Mapping[str, tuple[str, ...]]) -> None:
        """`at` is family and name; `sets` and `chains` are there without any owner."""
        self._at = at
        self._shared_sets = sets
        self._shared_chains = chains
        self._fragments: dict[str, Fragment] = {}
        self._chains: dict[str, tuple[str, ...]] = {}
        self._sets: dict[str, str] = {}
        self._claims: dict[Key, dict[str, str]] = {}
        self._before_chains: dict[str, tuple[str, ...] | None] = {}
        self._before_sets: dict[str, str | None] = {}
        self._before_elements: dict[Key, str | None] = {}

    def set(self, owner: str, fragment: Fragment | None) -> None:
        """Puts `fragment` in the place of what the owner had; None takes it away."""
        old, new = self._fragments.pop(owner, None) or Fragment(), fragment or Fragment()
        if fragment is not None:
            self._fragments[owner] = fragment
        if old == new:
            return
        _replace(self._chains, self._before_chains, old.chains, new.chains)
        _replace(self._sets, self._before_sets, old.sets, new.sets)
        for key in old.elements.keys() | new.elements.keys():
            if old.elements.get(key) != new.elements.get(key):
                self._before_elements.setdefault(key, self._element(key))
                self._claim(key, owner, new.elements.get(key))

    def _claim(self, key: Key, owner: str, verdict: str | None) -> None:
        claims = self._claims.setdefault(key, {})
        if verdict is None:
            claims.pop(owner, None)
            if not claims:
                del self._claims[key]
        else:
            claims[owner] = verdict

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
        sets, chains = {**self._shared_sets, **self._sets}, {**self._shared_chains, **self._chains}
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
