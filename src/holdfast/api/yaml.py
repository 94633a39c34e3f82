"""YAML bodies as the JSON that Kubernetes makes of them (A45, A74): its YAML is 1.1 with a few words of its own."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_MAX_DEPTH = 500
_MAX_NODES = 400_000
_EXCESSIVE = "document contains excessive aliasing"


class BrokenYaml(ValueError):
    """The text is no YAML, in the words of Go's parser."""


def parse(body: bytes) -> tuple[Any, list[str]]:
    """The first document as JSON, its keys sorted, and a line for each key that a mapping has twice.

    Raises BrokenYaml.
    """
    import yaml

    try:
        _check_depth(body)
        loader = _loader()(body)
        try:
            document = loader.get_data() if loader.check_data() else None
        finally:
            loader.dispose()
        return _Plain(_MAX_NODES + len(body)).json(document), loader.repeats
    except yaml.YAMLError as error:
        raise BrokenYaml(_reason(error)) from None
    except RecursionError:
        raise BrokenYaml("yaml: exceeded max depth") from None
    except ValueError as error:
        raise BrokenYaml(f"yaml: {error}") from None


def _check_depth(body: bytes) -> None:
    """Composing nodes recurses in C, without a limit: a deep document would bring the process down."""
    brackets = body.count(b"[") + body.count(b"{")
    if brackets < _MAX_DEPTH and len(max(body.splitlines(), key=len, default=b"")) < _MAX_DEPTH:
        return
    import yaml

    depth = 0
    for event in yaml.parse(body, Loader=_loader()):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise RecursionError


class _Plain:
    """Turns what YAML gave into plain JSON; aliases, which may multiply without end, count each time."""

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def json(self, value: Any) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise ValueError(_EXCESSIVE)
        if isinstance(value, dict):
            return {key: self.json(value[key]) for key in sorted(value)}
        return [self.json(entry) for entry in value] if isinstance(value, list) else value


def _reason(error: Any) -> str:
    """Go's parser is a port of the C one: same problems, another way to tell the line."""
    from yaml.scanner import ScannerError

    mark = next(
        (m for m in (getattr(error, "context_mark", None), getattr(error, "problem_mark", None)) if m and m.line), None
    )
    line = mark.line + isinstance(error, ScannerError) if mark else 0
    problem = getattr(error, "problem", None) or str(error)
    return f"yaml: line {line}: {problem}" if line else f"yaml: {problem}"


@cache
def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

        def __init__(self, stream: Any) -> None:
            super().__init__(stream)
            self.repeats: list[str] = []
            self._merge_budget = _MAX_NODES

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
            if not isinstance(node, yaml.MappingNode):
                raise ValueError("a map was expected")
            self._note_repeats(node)
            self.flatten_mapping(node)
            return {
                _key(self.construct_object(key, deep=True)): self.construct_object(value, deep=deep)
                for key, value in node.value
            }

        def flatten_mapping(self, node: Any) -> None:
            """Merge keys copy what they name, so that maps of maps of maps multiply: all of it is counted before."""
            for key, value in node.value:
                if key.tag != "tag:yaml.org,2002:merge":
                    continue
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(source, yaml.MappingNode):
                        self.flatten_mapping(source)
                        self._merge_budget -= len(source.value) + 1
                        if self._merge_budget < 0:
                            raise ValueError(_EXCESSIVE)
            super().flatten_mapping(node)

        def _note_repeats(self, node: Any) -> None:
            seen = set()
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key.value, str):
                    continue
                if key.value in seen:
                    self.repeats.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
                seen.add(key.value)

        def construct_yaml_map(self, node: Any) -> Any:
            data: dict[str, Any] = {}
            yield data
            data.update(self.construct_mapping(node, deep=True))

    for tag, pattern, first in _RESOLVERS:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)
    Loader.add_constructor("tag:yaml.org,2002:map", Loader.construct_yaml_map)
    Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: _integer(node.value))
    Loader.add_constructor(
        "tag:yaml.org,2002:bool", lambda loader, node: node.value.lower() in ("y", "yes", "on", "true")
    )
    Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: _float(node.value))
    Loader.add_constructor("tag:yaml.org,2002:binary", lambda loader, node: node.value)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)
    return Loader


_BOOLEANS = tuple(
    form
    for word in ("y", "n", "yes", "no", "true", "false", "on", "off")
    for form in dict.fromkeys((word, word.title(), word.upper()))
)
_RESOLVERS = (
    ("bool", rf"^(?:{'|'.join(_BOOLEANS)})$", list("yYnNtTfFoO")),
    ("int", r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$", list("-+0123456789")),
    ("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?)$", list("-+.0123456789")),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^(?:<<)$", ["<"]),
)


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _integer(text: str) -> int | float:
    """What 64 bits cannot hold is a float, as it is to Go."""
    number = _whole(text)
    if -(1 << 63) <= number < 1 << 64:
        return number
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _whole(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    for prefix, base in (("0b", 2), ("0o", 8), ("0x", 16)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)


def _float(text: str) -> float:
    number = float(text.replace("_", ""))
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
