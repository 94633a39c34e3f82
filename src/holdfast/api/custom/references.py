"""What rules name from self or oldSelf on, step by step, held against the schema (A211, A212).

A field that the schema does not have is refused. A text that is no text in CEL (a time, a duration, bytes) is made
into what it is, since the library takes no such value from outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .structural import META, Structural

WRAPPED = {
    "date-time": "timestamp({})",
    "date": "timestamp({} + 'T00:00:00Z')",
    "duration": "duration({})",
    "byte": "base64.decode({})",
}
_RESERVED = frozenset(
    ("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
     "let", "loop", "package", "namespace", "return", "var", "void", "while")
)  # fmt: skip
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_REFERENCE = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<has>\bhas\([^()]*\))|(?<![\w.])(?P<path>(?:self|oldSelf)(?:\.\w+)*)"""
)


def rewritten(schema: Structural, rule: str) -> str:
    """The rule with what is no text made of the texts that it names."""
    return _REFERENCE.sub(lambda match: _reference(schema, match), rule)


def undefined(schema: Structural, rule: str, variables: Sequence[str]) -> str:
    """The first field that a rule names from one of the variables on and that its schema does not have.

    In the words of CEL's compiler; empty if there is none.
    """
    for match in _REFERENCE.finditer(rule):
        steps, at = (match["path"] or "").split("."), match.start()
        node: Structural | None = schema if steps[0] in variables else None
        at += len(steps[0])
        for step in steps[1:]:
            if node is None or not _has_fields(node):
                break
            names = {escaped(name): member for name, member in node.properties.items()}
            if step not in names and step not in META:
                return _pointed(rule, at, f"undefined field '{step}'")
            node, at = names.get(step), at + len(step) + 1
    return ""


def _has_fields(node: Structural) -> bool:
    """Whether it is an object all of whose fields are known."""
    is_map = node.additional is not None or node.allows_any_name
    return node.schema.get("type") == "object" and not is_map and not node.is_open


def _pointed(rule: str, at: int, text: str) -> str:
    """A message of the compiler about one place of a rule."""
    line, column = rule.count("\n", 0, at) + 1, at - rule.rfind("\n", 0, at) - 1
    shown = rule.split("\n")[line - 1]
    return f"ERROR: <input>:{line}:{column + 1}: {text}\n | {shown}\n | {'.' * column}^"


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


def escaped(name: str) -> str:
    """A field's name as rules write it."""
    if name in _RESERVED:
        return f"__{name}__"
    for given, written in _ESCAPES:
        name = name.replace(given, written)
    return name
