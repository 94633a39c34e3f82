"""JSON paths of printed columns, scales and field selectors (A208, A210, A214).

Source: Kubernetes, k8s.io/client-go/util/jsonpath; of its language what columns use: fields, indices, slices,
wildcards, and filters that compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

Step = Callable[[Any], Iterable[Any]]

_TOKEN = re.compile(
    r"\.(?P<field>(?:\\.|[^.\[\]\\])+)|\[(?P<quote>['\"])(?P<quoted>.*?)(?P=quote)\]|\[\?\((?P<filter>.*?)\)\]"
    r"|\[(?P<index>[^\]]*)\]|\.(?=\[)"
)
_COMPARISON = re.compile(r"\s*@(?P<path>[^=!<>\s]*)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
}


def find(path: str, manifest: Any) -> list[Any]:
    """The values at a path such as `.spec.ports[0].name`; none if it leads nowhere or cannot be read."""
    found: list[Any] = [manifest]
    for step in _parsed(path):
        found = [inner for value in found for inner in step(value)]
    return found


def text_at(path: str, manifest: Any) -> str:
    """The first value at a path as a text, empty if there is none."""
    return next((_text(value) for value in find(path, manifest)), "")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else msgspec.json.encode(value).decode()


@lru_cache(512)
def _parsed(path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    at = 0
    while at < len(path):
        match = _TOKEN.match(path, at)
        if match is None:
            return (lambda value: (),)
        if (step := _step(match)) is not None:
            steps.append(step)
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step | None:
    if (name := match["field"]) is not None:
        return _each if name == "*" else _field(re.sub(r"\\(.)", r"\1", name))
    if match["quoted"] is not None:
        return _field(match["quoted"])
    if (condition := match["filter"]) is not None:
        return _filter(condition)
    if (index := match["index"]) is not None:
        return _each if index == "*" else _index(index)
    return None


def _field(name: str) -> Step:
    return lambda value: (value[name],) if isinstance(value, dict) and name in value else ()


def _each(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _index(text: str) -> Step:
    try:
        bounds = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        return lambda value: ()
    if len(bounds) > 1:
        return lambda value: value[slice(*bounds[:3])] if isinstance(value, list) else ()
    index = bounds[0] or 0
    return lambda value: (value[index],) if isinstance(value, list) and -len(value) <= index < len(value) else ()


def _filter(condition: str) -> Step:
    match = _COMPARISON.fullmatch(condition)
    if match is None:
        return lambda value: ()
    path, operator = match["path"], match["operator"]
    wanted = _literal(match["value"]) if operator else None

    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found = find(path, item)
            if bool(found) if operator is None else any(_holds(operator, one, wanted) for one in found):
                yield item

    return step


def _holds(operator: str, found: Any, wanted: Any) -> bool:
    try:
        return _COMPARE[operator](found, wanted)
    except TypeError:
        return False


def _literal(text: str) -> Any:
    if text[:1] in "'\"":
        return text[1:-1]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def replaced(path: str, manifest: dict[str, Any], value: Any) -> dict[str, Any]:
    """A copy of the object with `value` at a path of plain names, such as `.spec.replicas`."""
    first, _, rest = path.removeprefix(".").partition(".")
    inner = manifest.get(first)
    below = inner if isinstance(inner, dict) else {}
    return {**manifest, first: replaced(rest, below, value) if rest else value}
