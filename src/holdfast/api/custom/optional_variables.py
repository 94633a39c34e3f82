"""Variables of policies that are optional values, which no variable here can be (A249).

Such a variable is a map that has what there is, and whoever names it looks into the map: `variables.x.?value`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .tokens import TOKEN


def as_list(expression: str) -> str:
    """Of an expression that comes to an optional value: one that comes to a list of no or of one map."""
    return f"[{expression}].filter(_o, _o.hasValue()).map(_o, {{'value': _o.value()}})"


def as_variable(evaluated: list[Any]) -> dict[str, Any]:
    """The map, of what `as_list` has come to."""
    return evaluated[0] if evaluated else {}


def looked_into(expression: str, names: Collection[str]) -> str:
    """An expression that names such variables."""
    if not names:
        return expression
    written: list[str] = []
    before: list[str] = []
    """Tokens with a meaning."""
    for token in TOKEN.finditer(expression):
        text = token.group()
        written.append(text)
        if token.lastgroup == "space":
            continue
        if text in names and before[-2:] == ["variables", "."] and before[-3:-2] != ["."]:
            written.append(".?value")
        before.append(text)
    return "".join(written)
