"""Objects written out in expressions of mutating policies, `Object.spec{replicas: 1}`, as maps, which CEL has (A249).

The library can declare no types of ours. What the types would check is checked by the schema, of the result.
"""

from __future__ import annotations

from .tokens import TOKEN


def as_maps(expression: str) -> str:
    """The same with maps in place of objects; their fields' names become texts."""
    written: list[str] = []
    is_object: list[bool] = []
    """Of every bracket that is open."""
    comes_object = expects_name = False
    for token in TOKEN.finditer(expression):
        kind, text = token.lastgroup, token.group()
        if kind == "type":
            comes_object = True
            continue
        if kind == "name" and expects_name:
            text = f"'{text}'"
        if kind == "open":
            is_object.append(comes_object)
            expects_name = comes_object
            comes_object = False
        elif kind == "close":
            if is_object:
                is_object.pop()
            expects_name = False
        elif kind == "comma":
            expects_name = bool(is_object) and is_object[-1]
        elif kind != "space" and text != "?":
            expects_name = False
        written.append(text)
    return "".join(written)
