"""Expressions in CEL held against the types of their variables, without values (A249).

Source: cel-go, checker/{errors,format}.go, for the words.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from . import functions
from .descriptors import PACKAGE, File
from .expressions import STATUS, configured, extensions
from .signatures import Function, Kind, Made, Opaque, listed, plain

_PROBLEM = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*?)\n( \| (.*)\n.*)", re.DOTALL)
_NEXT = re.compile(r"\n(?=ERROR: <input>:\d+:\d+: )")
_TYPE = re.compile(rf"\b{PACKAGE}\.m(\d+)\b")
_UNDECLARED = re.compile(r"undeclared reference to '([\w.]+)\.\w+' \(in container ''\)$")
_CALL = re.compile(r"(found no matching overload for '(\w+)' applied to ')\((.*)\)'")
_WORDS = (
    (re.compile(r"(undefined field '.*') not found in struct '.*'"), r"\1"),
    (re.compile(r"expression of type '(.*)' cannot be the operand of a select operation"),
     r"type '\1' does not support field selection"),
    (re.compile(r"cannot be the range of a comprehension"), "cannot be range of a comprehension"),
    (re.compile(r"\bgoogle\.protobuf\.(Timestamp|Duration)\b"), lambda match: match[1].lower()),
    (re.compile(r"\bnull_type\b"), "null"),
)  # fmt: skip
_RESULTS = {"BOOL": "bool", "INT": "int", "UINT": "uint", "DOUBLE": "double", "STRING": "string", "BYTES": "bytes",
            "TIMESTAMP": "timestamp", "DURATION": "duration"}  # fmt: skip


_NUMBERS = ("int", "uint", "double")
_COMPARISONS = [
    plain(operator, "bool", [one, other], lambda one, other: None)
    for operator in ("_<_", "_<=_", "_>_", "_>=_")
    for one in _NUMBERS
    for other in _NUMBERS
    if one != other
]
"""Which the library makes and does not declare."""


class Mistyped(ValueError):
    """An expression that cannot be right, in upstream's words."""


def is_possible() -> bool:
    """Whether the libraries are there, and as they must be: the first ends the process if the other is too old."""
    try:
        importlib.import_module("cel_expr_python.cel")
        found = importlib.import_module("google.protobuf.message_factory")
    except ImportError:
        return False
    return hasattr(found, "GetMessageClass")


class Checker:
    """Holds expressions against variables of certain types."""

    def __init__(self, variables: Mapping[str, Kind]) -> None:
        from cel_expr_python import cel

        declared = list(functions.declared())
        kinds = [kind for one in declared for kind in (one.result, *one.parameters)]
        file = File([*kinds, *variables.values()])
        render = _Rendered(cel, file)
        direct = [one for one in declared if not _is_optional(one.result)]
        extension = cel.CelExtension("kubernetes", render.functions([*direct, *_COMPARISONS]))
        self._names = file.names
        self._environment = cel.NewEnv(
            descriptor_pool=file,
            config=configured(cel, render.optional(one for one in declared if _is_optional(one.result))),
            variables={name: render.kind(kind) for name, kind in variables.items()},
            extensions=[*extensions(), extension],
        )

    def result(self, expression: str) -> Kind:
        """What the expression comes to; `dyn` for all that is not made of CEL's own types. Raises Mistyped."""
        try:
            compiled = self._environment.compile(expression)
        except RuntimeError as error:
            raise Mistyped(self._worded(STATUS.sub("", str(error)), expression)) from None
        return _result(str(compiled.return_type().name()))

    def _worded(self, text: str, expression: str) -> str:
        problems = []
        for part in _NEXT.split(text):
            if (match := _PROBLEM.fullmatch(part)) is None:
                return text
            line, column, shown = int(match[1]), int(match[2]), match[4]
            before = expression.split("\n")[line - 1][: column - 1]
            message = self._message(match[3], before)
            if (name := _UNDECLARED.match(message)) and before.endswith(name[1]):  # told of its last part
                column -= len(name[1])
                message = f"undeclared reference to '{name[1].partition('.')[0]}' (in container '')"
                shown = f" | {match[5]}\n | {'.' * (column - 1)}^"
            problems.append((line, column, message, shown))
        problems.sort(key=lambda one: one[:2])
        return "\n".join(f"ERROR: <input>:{line}:{column}: {said}\n{shown}" for line, column, said, shown in problems)

    def _message(self, message: str, before: str) -> str:
        """`before` is what stands in front of the place it is about."""
        message = _TYPE.sub(self._shown, message)
        for pattern, words in _WORDS:
            message = pattern.sub(words, message)
        if (call := _CALL.fullmatch(message)) is None:
            return message
        if not re.search(rf"\.\s*{call[2]}\s*$", before):
            return message
        target, arguments = _first(call[3])
        return f"{call[1]}{target}.({arguments})'"

    def _shown(self, match: re.Match[str]) -> str:
        """A type as users know it; whatever else looks like one stays as it is."""
        number = int(match[1])
        return self._names[number] if number < len(self._names) else match[0]


def _first(types: str) -> tuple[str, str]:
    """The first of several types, and the others."""
    depth = 0
    for place, character in enumerate(types):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            return types[:place], types[place + 1 :].strip()
    return types, ""


def _is_optional(kind: Kind) -> bool:
    return isinstance(kind, Made) and kind.form == "optional"


def _result(name: str) -> Kind:
    if (scalar := _RESULTS.get(name)) is not None:
        return scalar
    if name.startswith("LIST<"):
        return listed(_result(name[len("LIST<") : -1]))
    if name.startswith("MAP<STRING, "):
        return Made("map", _result(name[len("MAP<STRING, ") : -1]))
    return "dyn"


class _Rendered:
    """Types as the library has them."""

    def __init__(self, cel: Any, file: File) -> None:
        self._cel = cel
        self._file = file

    def kind(self, kind: Kind) -> Any:
        types = self._cel.Type
        match kind:
            case Opaque():
                return types(self._file.full_name(kind))
            case Made("list"):
                return types.List(self.kind(kind.item))
            case Made("map"):
                return types.Map(types.STRING, self.kind(kind.item))
            case str():
                return getattr(types, kind.upper())
        return types.DYN

    def functions(self, declared: Iterable[Function]) -> list[Any]:
        overloads: dict[str, list[Any]] = {}
        for one in declared:
            same = overloads.setdefault(one.name, [])
            named, result = f"{one.name}_{len(same)}_kubernetes", self.kind(one.result)
            parameters = [self.kind(kind) for kind in one.parameters]
            same.append(self._cel.Overload(named, result, parameters, one.is_member, one.act))
        return [self._cel.FunctionDecl(name, same) for name, same in overloads.items()]

    def optional(self, declared: Iterable[Function]) -> str:
        """Those whose results are optional, which can be declared in YAML only; JSON is YAML."""
        written = []
        for one in declared:
            target, *rest = map(self._in_yaml, one.parameters)
            overload: dict[str, Any] = {"id": f"{one.name}_kubernetes", "return": self._in_yaml(one.result)}
            overload |= {"target": target, "args": rest} if one.is_member else {"args": [target, *rest]}
            written.append({"name": one.name, "overloads": [overload]})
        return f"functions: {msgspec.json.encode(written).decode()}\n"

    def _in_yaml(self, kind: Kind) -> dict[str, Any]:
        match kind:
            case Opaque():
                return {"type_name": self._file.full_name(kind)}
            case Made():
                form = "optional_type" if kind.form == "optional" else kind.form
                return {"type_name": form, "params": [self._in_yaml(kind.item)]}
        return {"type_name": kind}
