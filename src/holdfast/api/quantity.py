"""Resource quantities: `500m`, `1Gi`, `1e3`, parsed, compared and written canonically (A5).

Source: Kubernetes, k8s.io/apimachinery/pkg/api/resource.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_UP, Context, Decimal, InvalidOperation
from functools import lru_cache

_WRONG_FORMAT = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_WRONG_NUMBER = "unable to parse numeric part of quantity"
_WRONG_SUFFIX = "unable to parse quantity's suffix"

_SHAPE = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*(?:[-+]?[0-9]*))", re.ASCII)
_EXPONENT = re.compile(r"[eE][-+]?[0-9]+", re.ASCII)
_DECIMAL_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIXES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SUFFIX_OF_DECIMAL = {exponent: suffix for suffix, exponent in _DECIMAL_SUFFIXES.items()}
_SUFFIX_OF_BINARY = {exponent: suffix for suffix, exponent in _BINARY_SUFFIXES.items()}

_EXACT = Context(prec=64)
_SMALLEST = Decimal("1e-9")
_LARGEST = Decimal(2**63 - 1)
_MILLI = Decimal("1e-3")

DECIMAL, BINARY, EXPONENT = "DecimalSI", "BinarySI", "DecimalExponent"


def parse(quantity: str | int | float) -> Decimal:
    """The exact value, to be compared and computed with; rounded up to a nano unit, at most 2^63-1.

    Raises ValueError in Kubernetes' words.
    """
    return _parse(_text(quantity))[0]


def canonical(quantity: str | int | float) -> str:
    """The text the API server stores for it. Raises ValueError as parse."""
    return _canonical(_text(quantity))


def canonical_resource(quantity: str | int | float) -> str:
    """As canonical, rounded up to a milli unit, as the values of resource lists are."""
    return _canonical_resource(_text(quantity))


def compare(one: str | int | float, other: str | int | float) -> int:
    """-1, 0 or 1 as the first is less than, equal to or more than the second."""
    first, second = parse(one), parse(other)
    return (first > second) - (first < second)


def add(*quantities: str | int | float) -> str:
    """The sum, written in the family of the first quantity that is not zero."""
    total, family = Decimal(0), ""
    for quantity in quantities:
        value, its_family = _parse(_text(quantity))
        total = _EXACT.add(total, value)
        if value and not family:
            family = its_family
    return _write(total, family or DECIMAL)


def subtract(quantity: str | int | float, other: str | int | float) -> str:
    """The difference, written in the family of the first."""
    value, family = _parse(_text(quantity))
    return _write(_EXACT.subtract(value, parse(other)), family)


def whole(quantity: str | int | float) -> int:
    """The value in whole units, such as bytes, rounded up."""
    return int(parse(quantity).to_integral_value(ROUND_CEILING))


def milli(quantity: str | int | float) -> int:
    """The value in thousandths, such as CPU, rounded up."""
    return int((parse(quantity) * 1000).to_integral_value(ROUND_CEILING))


def _text(quantity: str | int | float) -> str:
    return quantity if isinstance(quantity, str) else repr(quantity)


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    return _write(*_parse(text))


@lru_cache(maxsize=4096)
def _canonical_resource(text: str) -> str:
    value, family = _parse(text)
    return _write(value.quantize(_MILLI, ROUND_UP, _EXACT), family)


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Decimal, str]:
    """The value, and the family it was written in."""
    text = text.strip()
    match = _SHAPE.fullmatch(text)
    if not text or match is None:
        raise ValueError(_WRONG_FORMAT)
    sign, integer, fraction, suffix = match.groups()
    scale, family = _scale(suffix)
    if not integer and not fraction:
        raise ValueError(_WRONG_NUMBER)
    try:
        number = _EXACT.multiply(Decimal(f"{integer or 0}.{fraction or 0}"), scale)
        value = min(number.quantize(_SMALLEST, ROUND_UP, _EXACT), _LARGEST)
    except InvalidOperation:  # more digits than any quantity has
        value = _LARGEST
    return (-value if sign == "-" else value), family


def _scale(suffix: str) -> tuple[Decimal, str]:
    if suffix in _DECIMAL_SUFFIXES:
        return Decimal(1).scaleb(_DECIMAL_SUFFIXES[suffix]), DECIMAL
    if suffix in _BINARY_SUFFIXES:
        return Decimal(1 << _BINARY_SUFFIXES[suffix]), BINARY
    if _EXPONENT.fullmatch(suffix) and abs(exponent := int(suffix[1:])) < 1000:
        return Decimal(1).scaleb(exponent), EXPONENT
    raise ValueError(_WRONG_SUFFIX)


def _write(value: Decimal, family: str) -> str:
    if not value:
        return "0"
    if family == BINARY and abs(value) >= 1024 and value == int(value):
        return binary(int(value))
    mantissa, exponent = _mantissa(value)
    if family == EXPONENT:
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_SUFFIX_OF_DECIMAL[exponent]}"


def binary(value: int) -> str:
    """A whole number as upstream writes sizes: `1Gi`, and no suffix where none fits."""
    exponent = 0
    while value and value % 1024 == 0 and exponent < 60:
        value, exponent = value // 1024, exponent + 10
    return f"{value}{_SUFFIX_OF_BINARY.get(exponent, '')}"


def _mantissa(value: Decimal) -> tuple[int, int]:
    """An integer and a multiple of three as the power of ten, the integer as small as can be."""
    nanos, exponent = int(_EXACT.scaleb(value, 9)), -9
    while nanos % 1000 == 0 and exponent < 18:
        nanos, exponent = nanos // 1000, exponent + 3
    return nanos, exponent
