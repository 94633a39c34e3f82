"""The functions for semantic versions in CEL: `semver` (A212).

Source: Kubernetes, k8s.io/apiserver/pkg/cel/library/semverlib.go; github.com/blang/semver.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.api.errors import show

from .signatures import Function, Opaque, member, plain

SEMVER = Opaque("kubernetes.Semver", "semver")

_LARGEST = 2**64 - 1
_DIGITS = re.compile("[0-9]*").fullmatch
_ALPHANUMERIC = re.compile("[-0-9A-Za-z]*").fullmatch

Version = tuple[int, int, int, Sequence[str | int]]
"""Major, minor, patch, and what comes before that release."""


def declared() -> Iterator[Function]:
    for parameters in (["string"], ["string", "bool"]):
        yield plain("semver", SEMVER, parameters, _semver)
        yield plain("isSemver", "bool", parameters, _is_semver)
    for place, name in enumerate(("major", "minor", "patch")):
        yield member(name, "int", [SEMVER], lambda given, place=place: given["semver"][place])
    two = [SEMVER, SEMVER]
    yield member("isGreaterThan", "bool", two, lambda one, other: _compare(one, other) > 0)
    yield member("isLessThan", "bool", two, lambda one, other: _compare(one, other) < 0)
    yield member("compareTo", "int", two, _compare)


def _semver(given: str, normalize: bool = False) -> dict[str, Any]:
    major, minor, patch, before = parse(normalized(given) if normalize else given)
    return {"semver": [major, minor, patch, list(before)]}


def _is_semver(given: str, normalize: bool = False) -> bool:
    try:
        _semver(given, normalize)
    except ValueError:
        return False
    return True


def normalized(text: str) -> str:
    """Without a `v`, with three numbers, none of which begins with 0. Raises ValueError."""
    parts = [_without_zeros(part) for part in text.removeprefix("v").split(".", 2)]
    if len(parts) < 3 and ("+" in parts[-1] or "-" in parts[-1]):
        raise ValueError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, "0", "0"][: max(3, len(parts))])


def _without_zeros(part: str) -> str:
    if len(part) <= 1:
        return part
    bare = part.lstrip("0")
    return bare if bare[:1].isascii() and bare[:1].isdigit() else f"0{bare}"


def parse(text: str) -> Version:
    """Raises ValueError."""
    if not text:
        raise ValueError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise ValueError("No Major.Minor.Patch elements found")
    major, minor = _number("major", parts[0]), _number("minor", parts[1])
    rest, plus, build = parts[2].partition("+")
    patch, dash, before = rest.partition("-")
    number = _number("patch", patch)
    identifiers = [_identifier(one) for one in before.split(".")] if dash else []
    for one in build.split(".") if plus else ():
        if not one:
            raise ValueError("Build meta data is empty")
        if not _ALPHANUMERIC(one):
            raise ValueError(f"Invalid character(s) found in build meta data {show(one)}")
    return major, minor, number, identifiers


def _number(name: str, text: str) -> int:
    if not _DIGITS(text):
        raise ValueError(f"Invalid character(s) found in {name} number {show(text)}")
    if len(text) > 1 and text[0] == "0":
        raise ValueError(f"{name.capitalize()} number must not contain leading zeroes {show(text)}")
    return _unsigned(text)


def _identifier(text: str) -> str | int:
    if not text:
        raise ValueError("Prerelease is empty")
    if _DIGITS(text):
        if len(text) > 1 and text[0] == "0":
            raise ValueError(f"Numeric PreRelease version must not contain leading zeroes {show(text)}")
        return _unsigned(text)
    if not _ALPHANUMERIC(text):
        raise ValueError(f"Invalid character(s) found in prerelease {show(text)}")
    return text


def _unsigned(text: str) -> int:
    if not text or int(text) > _LARGEST:
        reason = "value out of range" if text else "invalid syntax"
        raise ValueError(f"strconv.ParseUint: parsing {show(text)}: {reason}")
    return int(text)


def _compare(one: Any, other: Any) -> int:
    first, second = _order(one["semver"]), _order(other["semver"])
    return (first > second) - (first < second)


def _order(version: Sequence[Any]) -> tuple[Any, ...]:
    """What sorts as versions do: a release after what comes before it, numbers before words."""
    major, minor, patch, before = version
    return major, minor, patch, not before, [(isinstance(one, str), one) for one in before]
