"""Addresses and networks as Go reads them, refused in its words.

Source: Go, net/netip.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)

from holdfast.api.errors import show

Address = IPv4Address | IPv6Address
Network = IPv4Interface | IPv6Interface

_GROUPS = 8
_HEX = frozenset("0123456789abcdefABCDEF")


def parse_address(text: str) -> Address:
    """Raises ValueError."""
    separator = next((character for character in text if character in ".:%"), "")
    match separator:
        case ".":
            problem, rest = _four(text)
        case ":":
            problem, rest = _six(text)
        case "%":
            problem, rest = "missing IPv6 address", ""
        case _:
            problem, rest = "unable to parse IP", ""
    if problem:
        at = f" (at {show(rest)})" if rest else ""
        raise ValueError(f"ParseAddr({show(text)}): {problem}{at}")
    return ip_address(text)


def parse_network(text: str) -> Network:
    """An address with the length of a prefix. Raises ValueError."""
    said = f"netip.ParsePrefix({show(text)}): "
    bare, slash, bits = text.rpartition("/")
    if not slash:
        raise ValueError(f"{said}no '/'")
    try:
        address = parse_address(bare)
    except ValueError as error:
        raise ValueError(f"{said}{error}") from None
    if "%" in bare:
        raise ValueError(f"{said}IPv6 zones cannot be present in a prefix")
    if not (bits.isascii() and bits.isdecimal()) or (len(bits) > 1 and bits[0] == "0"):
        raise ValueError(f"{said}bad bits after slash: {show(bits)}")
    if int(bits) > address.max_prefixlen:
        raise ValueError(f"{said}prefix length out of range")
    return ip_interface((address, int(bits)))


def _four(text: str) -> tuple[str, str]:
    """What is wrong, and the rest of the text from there on."""
    dots, digits, value = 0, 0, 0
    for place, character in enumerate(text):
        if character == ".":
            if place in (0, len(text) - 1) or text[place - 1] == ".":
                return "IPv4 field must have at least one digit", text[place:]
            if dots == 3:
                return "IPv4 address too long", ""
            dots, digits, value = dots + 1, 0, 0
        elif "0" <= character <= "9":
            if digits == 1 and value == 0:
                return "IPv4 field has octet with leading zero", ""
            digits, value = digits + 1, value * 10 + int(character)
            if value > 255:
                return "IPv4 field has value >255", ""
        else:
            return "unexpected character", text[place:]
    return ("IPv4 address too short", "") if dots < 3 else ("", "")


def _six(text: str) -> tuple[str, str]:
    rest, percent, zone = text.partition("%")
    if percent and not zone:
        return "zone must be a non-empty string", ""
    groups, has_gap = 0, False
    if rest.startswith("::"):
        has_gap, rest = True, rest[2:]
        if not rest:
            return "", ""
    while groups < _GROUPS:
        digits = next((place for place, character in enumerate(rest) if character not in _HEX), len(rest))
        if digits > 4:
            return "each group must have 4 or less digits", rest
        if not digits:
            return "each colon-separated field must have at least one digit", rest
        if rest[digits : digits + 1] == ".":
            return _four_in_six(rest, groups, has_gap)
        groups, rest = groups + 1, rest[digits:]
        if not rest:
            break
        if rest[0] != ":":
            return "unexpected character, want colon", rest
        if len(rest) == 1:
            return "colon must be followed by more characters", rest
        rest = rest[1:]
        if rest[0] == ":":
            if has_gap:
                return "multiple :: in address", rest
            has_gap, rest = True, rest[1:]
            if not rest:
                break
    if rest:
        return "trailing garbage after address", rest
    return _ended(groups, has_gap)


def _four_in_six(rest: str, groups: int, has_gap: bool) -> tuple[str, str]:
    if not has_gap and groups != _GROUPS - 2:
        return "embedded IPv4 address must replace the final 2 fields of the address", rest
    if groups + 2 > _GROUPS:
        return "too many hex fields to fit an embedded IPv4 at the end of the address", rest
    problem, _ = _four(rest)
    return (problem, rest) if problem else _ended(groups + 2, has_gap)


def _ended(groups: int, has_gap: bool) -> tuple[str, str]:
    if groups < _GROUPS and not has_gap:
        return "address string too short", ""
    if groups == _GROUPS and has_gap:
        return "the :: must expand to at least one field of zeros", ""
    return "", ""
