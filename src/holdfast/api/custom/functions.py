"""Functions that Kubernetes adds to CEL (A212): of lists, regular expressions, URLs, quantities and addresses.

What is no value of CEL, such as a quantity, is a map of one member that says what it is.
Source: Kubernetes, k8s.io/apiserver/pkg/cel/library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from holdfast.api import quantity

from . import patterns

Function = tuple[str, Any, list[Any], bool, Callable[..., Any]]
"""Name, type of the result, types of the parameters, whether it is called on the first of them, what it does."""


def declared(kinds: Any) -> Iterator[Function]:
    """All functions; `kinds` are the library's types."""
    yield from _of_lists(kinds)
    yield from _of_texts(kinds)
    yield from _of_quantities(kinds)
    yield from _of_addresses(kinds)


def _of_lists(kinds: Any) -> Iterator[Function]:
    items = kinds.List(kinds.DYN)
    yield "isSorted", kinds.BOOL, [items], True, lambda given: all(one <= other for one, other in pairwise(given))
    for name, act in (("sum", sum), ("min", min), ("max", max)):
        yield name, kinds.DYN, [items], True, act
    yield "indexOf", kinds.INT, [items, kinds.DYN], True, lambda given, one: given.index(one) if one in given else -1
    yield "lastIndexOf", kinds.INT, [items, kinds.DYN], True, _last_index
    two = [items, items]
    yield "sets.contains", kinds.BOOL, two, False, lambda given, other: all(one in given for one in other)
    yield "sets.intersects", kinds.BOOL, two, False, lambda given, other: any(one in given for one in other)
    yield "sets.equivalent", kinds.BOOL, two, False, _are_equivalent


def _of_texts(kinds: Any) -> Iterator[Function]:
    text, any_ = kinds.STRING, kinds.DYN
    yield "jsonpatch.escapeKey", text, [text], False, lambda key: key.replace("~", "~0").replace("/", "~1")
    texts = kinds.List(text)
    yield "find", text, [text, text], True, _find
    yield "findAll", texts, [text, text], True, _find_all
    yield "findAll", texts, [text, text, kinds.INT], True, lambda given, pattern, most: _find_all(given, pattern)[:most]
    yield "isURL", kinds.BOOL, [text], False, lambda given: _is(_url, given)
    yield "url", any_, [text], False, lambda given: {"url": _url(given)}
    yield "getScheme", text, [any_], True, lambda url: urlsplit(url["url"]).scheme
    yield "getHost", text, [any_], True, lambda url: urlsplit(url["url"]).netloc.rpartition("@")[2]
    yield "getHostname", text, [any_], True, lambda url: urlsplit(url["url"]).hostname or ""
    yield "getPort", text, [any_], True, lambda url: str(urlsplit(url["url"]).port or "")
    yield "getEscapedPath", text, [any_], True, lambda url: urlsplit(url["url"]).path


def _of_quantities(kinds: Any) -> Iterator[Function]:
    any_, two = kinds.DYN, [kinds.DYN, kinds.DYN]
    yield "isQuantity", kinds.BOOL, [kinds.STRING], False, lambda given: _is(quantity.parse, given)
    yield "quantity", any_, [kinds.STRING], False, _quantity
    yield "isGreaterThan", kinds.BOOL, two, True, lambda one, other: _compare(one, other) > 0
    yield "isLessThan", kinds.BOOL, two, True, lambda one, other: _compare(one, other) < 0
    yield "compareTo", kinds.INT, two, True, _compare
    yield "sign", kinds.INT, [any_], True, lambda one: quantity.compare(one["quantity"], 0)
    yield "asInteger", kinds.INT, [any_], True, lambda one: quantity.whole(one["quantity"])
    yield "asApproximateFloat", kinds.DOUBLE, [any_], True, lambda one: float(quantity.parse(one["quantity"]))
    yield "add", any_, two, True, lambda one, other: _quantity(quantity.add(one["quantity"], _amount(other)))
    yield "sub", any_, two, True, lambda one, other: _quantity(quantity.subtract(one["quantity"], _amount(other)))


def _of_addresses(kinds: Any) -> Iterator[Function]:
    any_, text, flag = kinds.DYN, kinds.STRING, kinds.BOOL
    yield "isIP", flag, [text], False, lambda given: _is(_address, given)
    yield "ip", any_, [text], False, lambda given: {"ip": str(_address(given))}
    yield "family", kinds.INT, [any_], True, lambda ip: _address(ip["ip"]).version
    yield "isUnspecified", flag, [any_], True, lambda ip: _address(ip["ip"]).is_unspecified
    yield "isLoopback", flag, [any_], True, lambda ip: _address(ip["ip"]).is_loopback
    yield "isCIDR", flag, [text], False, lambda given: _is(_network, given)
    yield "cidr", any_, [text], False, lambda given: {"cidr": given if _network(given) else ""}
    yield "prefixLength", kinds.INT, [any_], True, lambda cidr: _network(cidr["cidr"]).prefixlen
    yield "containsIP", flag, [any_, any_], True, lambda cidr, ip: _contains(cidr, _given(ip, "ip"))
    yield "containsCIDR", flag, [any_, any_], True, lambda cidr, other: _covers(cidr, _given(other, "cidr"))


def _last_index(given: list[Any], one: Any) -> int:
    return len(given) - 1 - given[::-1].index(one) if one in given else -1


def _are_equivalent(given: list[Any], other: list[Any]) -> bool:
    return all(one in given for one in other) and all(one in other for one in given)


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


def _url(given: str) -> str:
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


def _address(given: str) -> IPv4Address | IPv6Address:
    """Raises ValueError, also for an address with a zone."""
    if "%" in given:
        raise ValueError(f"IP Address {given!r} parse error: with zone value is not allowed")
    return ip_address(given)


def _network(given: str) -> IPv4Network | IPv6Network:
    """Raises ValueError, also for what has no length."""
    if not given.rpartition("/")[2].isdecimal() or "/" not in given:
        raise ValueError(f"network address parse error during conversion from string: {given!r}")
    return ip_network(given, strict=False)


def _given(value: Any, kind: str) -> str:
    """A text, or what was made of one."""
    return str(value[kind] if isinstance(value, dict) else value)


def _contains(cidr: Any, ip: str) -> bool:
    return _address(ip) in _network(cidr["cidr"])


def _covers(cidr: Any, other: str) -> bool:
    network, inner = _network(cidr["cidr"]), _network(other)
    return network.version == inner.version and inner.subnet_of(network)  # type: ignore[arg-type]
