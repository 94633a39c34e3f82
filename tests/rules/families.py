"""The lists of rules, a file per family, and what the name of a test says about them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LEADING = re.compile(r"test_((?:[a-z][0-9]+_)*)")
_RULE = re.compile(r"(?<![a-z0-9])[a-z][0-9]+(?![a-z0-9])")


@dataclass(frozen=True)
class Family:
    """The rules of one chapter of behaviour, such as StatefulSet's S1, S2, ..."""

    name: str
    letter: str
    rules: dict[str, str]
    """Each with what it promises."""
    pending: dict[str, str]
    """Those that cannot be tested yet, with the reason."""

    def tested(self, names: Iterable[str]) -> set[str]:
        """The rules that names of tests begin with, listed or not."""
        return {rule for name in names for rule in rules_of(name) if rule[0] == self.letter}


def load() -> list[Family]:
    """Every list beside this file."""
    return [_read(path) for path in sorted(Path(__file__).parent.glob("*.toml"))]


def _read(path: Path) -> Family:
    content = tomllib.loads(path.read_text())
    return Family(content["family"], content["letter"], content["rules"], content.get("pending", {}))


def rules_of(name: str) -> list[str]:
    """`test_s29_s30_a_claim_...` is about S29 and S30: the rules at the beginning, each written out."""
    match = _LEADING.match(name)
    return [rule.upper() for rule in match[1].split("_") if rule] if match else []


def misplaced(name: str) -> list[str]:
    """Rules further on in a name, such as the end of a range, which do not count: each has to be meant."""
    match = _LEADING.match(name)
    return [rule.upper() for rule in _RULE.findall(name[match.end() :].replace("_", " "))] if match else []
