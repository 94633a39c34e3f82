"""Texts of schemas that are no texts in CEL: times, durations, bytes (A212).

The library takes no such value from outside, so rules are rewritten to make it of the text, where they reach the text
by name from self or oldSelf.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .structural import Structural

WRAPPED = {
    "date-time": "timestamp({})",
    "date": "timestamp({} + 'T00:00:00Z')",
    "duration": "duration({})",
    "byte": "base64.decode({})",
}
_REFERENCE = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<has>\bhas\([^()]*\))|(?<![\w.])(?P<path>(?:self|oldSelf)(?:\.\w+)*)"""
)


def rewritten(schema: Structural, rule: str) -> str:
    """The rule with what is no text made of the texts that it names."""
    return _REFERENCE.sub(lambda match: _reference(schema, match), rule)


def _reference(schema: Structural, match: re.Match[str]) -> str:
    path = match["path"]
    if path is None:
        return match[0]
    steps = path.split(".")
    node: Structural | None = schema
    for count, _ in enumerate(steps, 1):
        if count > 1 and (node is None or (node := node.properties.get(steps[count - 1])) is None):
            return match[0]
        if node is not None and (form := WRAPPED.get(_format(node))) is not None:
            return ".".join([form.format(".".join(steps[:count])), *steps[count:]])
    return match[0]


def unreachable(schema: Structural, rule: str) -> str:
    """A field that is no text and that the rule names in another way; empty if there is none."""
    rest = _REFERENCE.sub(lambda match: "" if _reference(schema, match) != match[0] or not match["path"] else match[0],
                          rule)  # fmt: skip
    names = (name for name in _named(schema, "self") if re.search(rf"\b{re.escape(name)}\b", rest))
    return next(names, "")


def _named(schema: Structural, name: str) -> Iterator[str]:
    """The names of the fields at and below that are no texts."""
    if _format(schema) in WRAPPED:
        yield name
    for member, inner in schema.properties.items():
        yield from _named(inner, member)
    for below in (schema.items, schema.additional):
        if below is not None:
            yield from _named(below, name)


def _format(schema: Structural) -> str:
    return schema.schema.get("format", "") if schema.schema.get("type") == "string" else ""
