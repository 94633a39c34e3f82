"""Expressions in CEL, by Google's library: loaded when the first definition has a rule (A211, A212).

The library bounds what one evaluation may do, as upstream does by its cost. Beyond it are those functions of
Kubernetes that operators use: of lists, regular expressions, URLs and quantities.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import SplitResult, urlsplit

from holdfast.api import quantity

from . import patterns

_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
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


Variables = Mapping[str, Any]


@lru_cache(4096)
def compiled(text: str) -> Callable[[Variables], Any]:
    """What evaluates the expression over `self` and `oldSelf`; it raises Failed. Raises Uncompilable."""
    try:
        expression = _environment().compile(text)
    except RuntimeError as error:
        raise Uncompilable(_STATUS.sub("", str(error))) from None

    def evaluate(variables: Variables) -> Any:
        try:
            result = expression.eval(data=variables)
        except RuntimeError as error:
            raise Failed(_worded(str(error))) from None
        value = result.plain_value()
        if result.type().name() == _ERROR:
            raise Failed(_worded(str(value)))
        return value

    return evaluate


def _worded(text: str) -> str:
    """Why an evaluation failed, as upstream says it."""
    bare = _STATUS.sub("", text)
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
def _environment() -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    extensions = [
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        ext_math.ExtMath(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
        _kubernetes(cel),
    ]
    anything = cel.Type.DYN
    return cel.NewEnv(variables={"self": anything, "oldSelf": anything}, extensions=extensions)


def _kubernetes(cel: Any) -> Any:
    """Source: Kubernetes, k8s.io/apiserver/pkg/cel/library."""
    kinds = cel.Type
    any_, text, flag, number = kinds.DYN, kinds.STRING, kinds.BOOL, kinds.INT
    items, texts = kinds.List(any_), kinds.List(text)
    members: list[tuple[str, Any, list[Any], Callable[..., Any]]] = [
        ("isSorted", flag, [items], lambda given: all(a <= b for a, b in pairwise(given))),
        ("sum", any_, [items], sum),
        ("min", any_, [items], min),
        ("max", any_, [items], max),
        ("indexOf", number, [items, any_], lambda given, one: given.index(one) if one in given else -1),
        ("lastIndexOf", number, [items, any_], _last_index),
        ("find", text, [text, text], _find),
        ("findAll", texts, [text, text], _find_all),
        ("findAll", texts, [text, text, number], lambda given, pattern, most: _find_all(given, pattern)[:most]),
        ("getScheme", text, [any_], lambda url: _url(url["url"]).scheme),
        ("getHost", text, [any_], lambda url: _url(url["url"]).netloc.rpartition("@")[2]),
        ("getHostname", text, [any_], lambda url: _url(url["url"]).hostname or ""),
        ("getPort", text, [any_], lambda url: str(_url(url["url"]).port or "")),
        ("getEscapedPath", text, [any_], lambda url: _url(url["url"]).path),
        ("isGreaterThan", flag, [any_, any_], lambda one, other: _compare(one, other) > 0),
        ("isLessThan", flag, [any_, any_], lambda one, other: _compare(one, other) < 0),
        ("compareTo", number, [any_, any_], lambda one, other: _compare(one, other)),
        ("sign", number, [any_], lambda one: quantity.compare(one["quantity"], 0)),
        ("asInteger", number, [any_], lambda one: quantity.whole(one["quantity"])),
        ("asApproximateFloat", kinds.DOUBLE, [any_], lambda one: float(quantity.parse(one["quantity"]))),
        ("add", any_, [any_, any_], lambda one, other: _quantity(quantity.add(one["quantity"], _amount(other)))),
        ("sub", any_, [any_, any_], lambda one, other: _quantity(quantity.subtract(one["quantity"], _amount(other)))),
    ]
    globals_: list[tuple[str, Any, list[Any], Callable[..., Any]]] = [
        ("quantity", any_, [text], _quantity),
        ("isQuantity", flag, [text], lambda given: _is(quantity.parse, given)),
        ("url", any_, [text], lambda given: {"url": _checked_url(given)}),
        ("isURL", flag, [text], lambda given: _is(_checked_url, given)),
    ]
    overloads: dict[str, list[Any]] = {}
    for functions, is_member in ((members, True), (globals_, False)):
        for name, result, parameters, act in functions:
            named = f"{name}_{len(overloads.get(name, ()))}_{len(parameters)}_kubernetes"
            overloads.setdefault(name, []).append(cel.Overload(named, result, parameters, is_member, act))
    return cel.CelExtension("kubernetes", [cel.FunctionDecl(name, found) for name, found in overloads.items()])


def _last_index(given: list[Any], one: Any) -> int:
    return len(given) - 1 - given[::-1].index(one) if one in given else -1


def _find(given: str, pattern: str) -> str:
    match = patterns.compiled(pattern).search(given)
    return match[0] if match else ""


def _find_all(given: str, pattern: str) -> list[str]:
    return [match[0] for match in patterns.compiled(pattern).finditer(given)]


def _is(read: Callable[[str], Any], given: str) -> bool:
    try:
        read(given)
    except ValueError:
        return False
    return True


def _url(given: str) -> SplitResult:
    return urlsplit(given)


def _checked_url(given: str) -> str:
    """Raises ValueError for what is no absolute URL and no absolute path."""
    parts = urlsplit(given)
    if not parts.scheme and not given.startswith("/"):
        raise ValueError(f"URL parse error during conversion from string: parse {given!r}: invalid URI for request")
    return given


def _quantity(given: str) -> dict[str, str]:
    return {"quantity": quantity.canonical(given)}


def _amount(given: Any) -> str | int:
    amount: str | int = given["quantity"] if isinstance(given, dict) else given
    return amount


def _compare(one: Any, other: Any) -> int:
    return quantity.compare(one["quantity"], other["quantity"])
