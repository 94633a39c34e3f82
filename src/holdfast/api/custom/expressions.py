"""Expressions in CEL, by Google's library: loaded when the first rule of a schema or a policy needs it (A211, A212).

The library bounds what one evaluation may do, as upstream does by its cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from .named_formats import with_optional_values

STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_KEY = re.compile(r"Key not found in map : \"?([^\"]*)\"?")
_INDEX = re.compile(r"Index error: index=(-?\d+)")
_ERROR = "ERROR"
_TOO_MUCH = "Iteration budget exceeded"
OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class Uncompilable(ValueError):
    """An expression that cannot be evaluated here; `is_syntax`: or anywhere."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.is_syntax = "Syntax error" in message


class Failed(ValueError):
    """An evaluation that came to no result, in upstream's words."""


class OptionalResult(Failed):
    """An evaluation that came to an optional value, or to something that has one in it."""


Variables = Mapping[str, Any]
OF_RULES = ("self", "oldSelf")
"""What a rule of a schema may name."""
OF_ADMISSION = ("object", "oldObject", "request", "params", "namespaceObject", "authorizer", "variables")
"""What expressions of webhooks and policies may name."""


@lru_cache(4096)
def compiled(text: str, names: tuple[str, ...] = OF_RULES) -> Callable[[Variables], Any]:
    """What evaluates the expression over variables of these names; it raises Failed. Raises Uncompilable."""
    try:
        environment = _environment(names)
    except ImportError:  # there are machines for which nobody builds it
        raise Uncompilable("the Python package cel-expr-python is not installed") from None
    try:
        expression = environment.compile(with_optional_values(text))
    except RuntimeError as error:
        raise Uncompilable(STATUS.sub("", _problem(environment, text) or str(error))) from None

    def evaluate(variables: Variables) -> Any:
        try:
            result = expression.eval(data=variables)
        except RuntimeError as error:
            raise Failed(_worded(str(error))) from None
        try:
            value = _plain(result)
        except TypeError:
            raise OptionalResult("an optional value is no result") from None
        if result.type().name() == _ERROR:
            raise Failed(_worded(str(value)))
        return value

    return evaluate


def _problem(environment: Any, text: str) -> str:
    """What is wrong with an expression, shown as it was written; empty if that is right."""
    try:
        environment.compile(text)
    except RuntimeError as error:
        return str(error)
    return ""


def _plain(value: Any) -> Any:
    """A value as Python has it, bit by bit: the library ends the process when it meets an optional value inside of one.

    Raises TypeError for these.
    """
    kind = value.type().name()
    if kind.startswith("LIST"):
        return [_plain(one) for one in value.value()]
    if kind.startswith("MAP"):
        return {name: _plain(one) for name, one in value.value().items()}
    return value.plain_value()


def _worded(text: str) -> str:
    """Why an evaluation failed, as upstream says it."""
    bare = STATUS.sub("", text)
    if _TOO_MUCH in bare:
        return OUT_OF_BUDGET
    if match := _KEY.search(bare):
        return f"no such key: {match[1]}"
    if match := _INDEX.search(bare):
        return f"index out of bounds: {match[1]}"
    if bare.startswith("No matching overloads"):
        return "no such overload"
    return "division by zero" if bare == "divide by zero" else bare


@cache
def _environment(names: tuple[str, ...]) -> Any:
    from cel_expr_python import cel

    from . import functions, signatures

    declared = cel.CelExtension("kubernetes", signatures.evaluated(functions.declared(), cel))
    variables = dict.fromkeys(names, cel.Type.DYN)
    return cel.NewEnv(config=configured(cel), variables=variables, extensions=[*extensions(), declared])


def configured(cel: Any, more: str = "") -> Any:
    """What of CEL's own is no extension in Python; `more` in YAML."""
    return cel.NewEnvConfigFromYaml("extensions: [{name: two-var-comprehensions}]\n" + more)


def extensions() -> list[Any]:
    """What of CEL's own is one."""
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    return [
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        ext_math.ExtMath(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
    ]
