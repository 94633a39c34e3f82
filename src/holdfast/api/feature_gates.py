"""Upstream's feature gates that make a difference here; off, as in the release we follow, unless a user turns them on.

As upstream, they belong to the process and are set before it serves anything (`holdfast up --feature-gates`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MAX_UNAVAILABLE_STATEFUL_SET = "MaxUnavailableStatefulSet"
STATEFUL_SET_RECREATE_STRATEGY = "StatefulSetRecreateStrategy"

KNOWN = {
    MAX_UNAVAILABLE_STATEFUL_SET: "BETA - default=false",
    STATEFUL_SET_RECREATE_STRATEGY: "ALPHA - default=false",
}
"""Name to what upstream's help says of it."""

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")

_enabled: frozenset[str] = frozenset()


def parse(text: str) -> dict[str, bool]:
    """`Name=true,Other=false` as name to value. Raises ValueError in the words of upstream's flag."""
    gates = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, has_value, value = (part.strip() for part in pair.partition("="))
        if not has_value:
            raise ValueError(f"missing bool value for {name}")
        if value not in _TRUE + _FALSE:
            raise ValueError(
                f'invalid value of {name}={value}, err: strconv.ParseBool: parsing "{value}": invalid syntax'
            )
        if name not in KNOWN:
            raise ValueError(f"unrecognized feature gate: {name} (known: {', '.join(KNOWN)})")
        gates[name] = value in _TRUE
    return gates


def set_enabled(names: Iterable[str]) -> None:
    """Exactly these are on from now on."""
    global _enabled
    _enabled = frozenset(names)


def is_enabled(name: str) -> bool:
    return name in _enabled


def all_enabled() -> frozenset[str]:
    return _enabled


@contextmanager
def enabled(*names: str) -> Iterator[None]:
    """These too, for as long as the block lasts; for tests."""
    before = _enabled
    set_enabled({*before, *names})
    try:
        yield
    finally:
        set_enabled(before)
