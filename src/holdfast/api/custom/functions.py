"""Functions that Kubernetes adds to CEL (A212): of lists, sets, regular expressions, URLs and quantities here.

Source: Kubernetes, k8s.io/apiserver/pkg/cel/library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

from holdfast.api import quantity

from . import addresses, authorizing, go_urls, named_formats, patterns, versions
from .signatures import NO_OVERLOAD, Function, Made, Opaque, listed, member, plain

QUANTITY = Opaque("kubernetes.Quantity", "quantity")
URL = Opaque("kubernetes.URL", "url")

_SUMMABLE = ("int", "uint", "double", "duration")
_COMPARABLE = (*_SUMMABLE, "bool", "timestamp", "string", "bytes")
_LARGEST_INTEGER = 2**63 - 1


def declared() -> Iterator[Function]:
    """All functions."""
    yield from _of_lists()
    yield from _of_sets()
    yield from _of_texts()
    yield from _of_urls()
    yield from _of_quantities()
    for library in (addresses, versions, named_formats, authorizing):
        yield from library.declared()


def _of_lists() -> Iterator[Function]:
    for kind in _COMPARABLE:
        yield member("isSorted", "bool", [listed(kind)], _comparing(_is_sorted))
        yield member("min", kind, [listed(kind)], _comparing(lambda given: _extreme("min", min, given)))
        yield member("max", kind, [listed(kind)], _comparing(lambda given: _extreme("max", max, given)))
    for kind in _SUMMABLE:
        yield member("sum", kind, [listed(kind)], _comparing(lambda given: reduce(add, given) if given else 0))
    yield member("indexOf", "int", [listed("dyn"), "dyn"], _index)
    yield member("lastIndexOf", "int", [listed("dyn"), "dyn"], _last_index)


def _of_sets() -> Iterator[Function]:
    two = [listed("dyn"), listed("dyn")]
    yield plain("sets.contains", "bool", two, lambda given, other: all(_has(given, one) for one in other))
    yield plain("sets.intersects", "bool", two, lambda given, other: any(_has(given, one) for one in other))
    yield plain("sets.equivalent", "bool", two, _are_equivalent)


def _of_texts() -> Iterator[Function]:
    yield plain("jsonpatch.escapeKey", "string", ["string"], lambda key: key.replace("~", "~0").replace("/", "~1"))
    yield member("find", "string", ["string", "string"], _find)
    yield member("findAll", listed("string"), ["string", "string"], _find_all)
    yield member("findAll", listed("string"), ["string", "string", "int"], _find_all)


def _of_urls() -> Iterator[Function]:
    yield plain("isURL", "bool", ["string"], lambda given: _is(go_urls.check_request_uri, given))
    yield plain("url", URL, ["string"], lambda given: {"url": given} if _url(given) else {})
    parts: dict[str, Callable[[go_urls.Url], str]] = {
        "getScheme": lambda url: url.scheme,
        "getHost": lambda url: url.host,
        "getHostname": lambda url: url.hostname,
        "getPort": lambda url: url.port,
        "getEscapedPath": lambda url: url.path,
    }
    for name, part in parts.items():
        yield member(name, "string", [URL], lambda url, part=part: part(_url(url["url"])))
    yield member("getQuery", Made("map", listed("string")), [URL], lambda url: _url(url["url"]).parameters)


def _of_quantities() -> Iterator[Function]:
    two = [QUANTITY, QUANTITY]
    yield plain("isQuantity", "bool", ["string"], lambda given: _is(_quantity, given))
    yield plain("quantity", QUANTITY, ["string"], _quantity)
    yield member("isGreaterThan", "bool", two, lambda one, other: _compare(one, other) > 0)
    yield member("isLessThan", "bool", two, lambda one, other: _compare(one, other) < 0)
    yield member("compareTo", "int", two, _compare)
    for make in (plain, member):  # upstream declares it as the first and describes it as the second
        yield make("sign", "int", [QUANTITY], lambda one: quantity.compare(one["quantity"], 0))
    yield member("isInteger", "bool", [QUANTITY], lambda one: _is(_integer, one))
    yield member("asInteger", "int", [QUANTITY], lambda one: _integer(one))
    yield member("asApproximateFloat", "double", [QUANTITY], lambda one: float(quantity.parse(one["quantity"])))
    for other in (QUANTITY, "int"):
        parameters = [QUANTITY, other]
        yield member("add", QUANTITY, parameters, lambda one, other: _quantity(quantity.add(*_amounts(one, other))))
        yield member(
            "sub", QUANTITY, parameters, lambda one, other: _quantity(quantity.subtract(*_amounts(one, other)))
        )


# -- lists


def _comparing(act: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """Values that cannot be compared or added are none of one type."""

    def guarded(given: list[Any]) -> Any:
        try:
            return act(given)
        except TypeError:
            raise ValueError(NO_OVERLOAD) from None

    return guarded


def _is_sorted(given: list[Any]) -> bool:
    return all(one <= other for one, other in pairwise(given))


def _extreme(name: str, choose: Callable[[list[Any]], Any], given: list[Any]) -> Any:
    if not given:
        raise ValueError(f"{name} called on empty list")
    return choose(given)


def _same(one: Any, other: Any) -> bool:
    """As CEL has it: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _has(given: Sequence[Any], one: Any) -> bool:
    return any(_same(each, one) for each in given)


def _index(given: list[Any], one: Any) -> int:
    return next((place for place, each in enumerate(given) if _same(each, one)), -1)


def _last_index(given: list[Any], one: Any) -> int:
    return next((place for place in range(len(given) - 1, -1, -1) if _same(given[place], one)), -1)


def _are_equivalent(given: list[Any], other: list[Any]) -> bool:
    return all(_has(given, one) for one in other) and all(_has(other, one) for one in given)


# -- texts


def _find(given: str, pattern: str) -> str:
    match = _regex(pattern).search(given)
    return match[0] if match else ""


def _find_all(given: str, pattern: str, most: int = -1) -> list[str]:
    """No match that is empty and begins where another ends."""
    found: list[str] = []
    end = -1
    for match in _regex(pattern).finditer(given):
        if len(found) == most:
            break
        if match[0] or match.start() != end:
            found.append(match[0])
        end = match.end()
    return found


def _regex(pattern: str) -> Any:
    try:
        return patterns.compiled(pattern)
    except ValueError as error:
        raise ValueError(f"Illegal regex: {error}") from None


def _is(read: Callable[[Any], Any], given: Any) -> bool:
    try:
        read(given)
    except ValueError:
        return False
    return True


def _url(given: str) -> go_urls.Url:
    """Raises ValueError."""
    try:
        return go_urls.parse(given)
    except ValueError as error:
        raise ValueError(f"URL parse error during conversion from string: {error}") from None


# -- quantities


def _quantity(given: str) -> dict[str, str]:
    """Equal ones are written alike, whatever they were written as. Raises ValueError."""
    if given != given.strip():
        quantity.parse("x")
    return {"quantity": f"{quantity.parse(given).normalize():f}"}


def _amounts(one: Any, other: Any) -> tuple[str, str | int]:
    return one["quantity"], other["quantity"] if isinstance(other, dict) else other


def _compare(one: Any, other: Any) -> int:
    return quantity.compare(one["quantity"], other["quantity"])


def _integer(one: Any) -> int:
    """Raises ValueError for what is none, or was too large to be read."""
    value = quantity.parse(one["quantity"])
    if value != value.to_integral_value() or abs(value) >= _LARGEST_INTEGER:
        raise ValueError("cannot convert value to integer")
    return int(value)
