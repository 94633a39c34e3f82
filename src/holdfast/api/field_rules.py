"""The checks that many kinds share: each yields what is wrong with the value of one field, worded as upstream."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from . import names, quantity
from .errors import FieldError, duplicate, invalid, not_supported, required

NOT_NEGATIVE = "must be greater than or equal to 0"
_PERCENT = re.compile("[0-9]+%")


def named(field: str, text: str, rule: Callable[[str], str]) -> Iterator[FieldError]:
    """`rule` is one of api.names."""
    for error in names.every(rule, text):
        yield invalid(field, text, error)


def required_name(field: str, text: str, rule: Callable[[str], str]) -> Iterator[FieldError]:
    if text:
        yield from named(field, text, rule)
    else:
        yield required(field)


def domain_prefixed_path(field: str, text: str) -> Iterator[FieldError]:
    domain, _, path = text.partition("/")
    if not text:
        yield required(field)
    elif not domain or not path:
        yield invalid(field, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        yield from named(field, domain, names.dns_subdomain)


def label_key(field: str, text: str) -> Iterator[FieldError]:
    """A key of labels, taints and the like."""
    yield from named(field, text, names.qualified_name)


def label_map(field: str, labels: Mapping[str, str]) -> Iterator[FieldError]:
    for key, value in labels.items():
        yield from label_key(field, key)
        yield from named(field, value, names.label_value)


def in_order(labels: Mapping[str, str] | None) -> dict[str, str] | None:
    """A map as messages show it: sorted by key."""
    return None if labels is None else dict(sorted(labels.items()))


def present(field: str, value: Any) -> Iterator[FieldError]:
    if not value:
        yield required(field)


def supported(field: str, value: str, values: Sequence[str]) -> Iterator[FieldError]:
    if value not in values:
        yield not_supported(field, value, values)


def required_and_supported(field: str, value: str, values: Sequence[str]) -> Iterator[FieldError]:
    if value:
        yield from supported(field, value, values)
    else:
        yield required(field)


def not_negative(field: str, value: int | None) -> Iterator[FieldError]:
    if value is not None and value < 0:
        yield invalid(field, value, NOT_NEGATIVE)


def between(field: str, value: int | None, least: int, most: int) -> Iterator[FieldError]:
    if value is not None and not least <= value <= most:
        yield invalid(field, value, f"must be between {least} and {most}, inclusive")


def user_id(field: str, value: int | None) -> Iterator[FieldError]:
    yield from between(field, value, 0, 2**31 - 1)


def port_number(field: str, value: int) -> Iterator[FieldError]:
    yield from between(field, value, 1, 65535)


def port(field: str, value: int | str) -> Iterator[FieldError]:
    """A number or the name of a container's port."""
    if isinstance(value, str):
        yield from named(field, value, names.port_name)
    else:
        yield from port_number(field, value)


def quantity_not_negative(field: str, value: str) -> Iterator[FieldError]:
    if quantity.parse(value) < 0:
        yield invalid(field, value, NOT_NEGATIVE)


def count_or_percent(field: str, value: int | str) -> Iterator[FieldError]:
    """A whole number that is not negative, or a percentage."""
    if isinstance(value, int):
        yield from not_negative(field, value)
    elif not _PERCENT.fullmatch(value):
        yield invalid(
            field,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' "
            "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        )


def amount(value: int | str) -> int:
    """How much a count or a percentage says, for telling nothing from something; what is malformed says nothing."""
    if isinstance(value, int):
        return value
    digits = value.removesuffix("%")
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def at_most_100_percent(field: str, value: int | str) -> Iterator[FieldError]:
    if isinstance(value, str) and _PERCENT.fullmatch(value) and int(value[:-1]) > 100:
        yield invalid(field, value, "must not be greater than 100%")


def ip_address(field: str, text: str) -> Iterator[FieldError]:
    if not is_ip_address(text):
        yield invalid(field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def endpoint_address(field: str, text: str) -> Iterator[FieldError]:
    """An address that traffic may be sent to: not this machine's own, not a link's, not a group's."""
    if not is_ip_address(text):
        yield from ip_address(field, text)
        return
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        yield invalid(field, text, f"may not be unspecified ({text})")
    elif address.is_loopback:
        yield invalid(field, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    elif address.is_link_local:
        yield invalid(field, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    elif address.is_multicast and address in _LINK_LOCAL_MULTICAST[address.version]:
        yield invalid(field, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


_LINK_LOCAL_MULTICAST: dict[int, Any] = {
    4: ipaddress.ip_network("224.0.0.0/24"),
    6: ipaddress.ip_network("ff02::/16"),
}


def cidr(field: str, text: str) -> Iterator[FieldError]:
    try:
        if "/" not in text:
            raise ValueError(text)
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        yield invalid(field, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def immutable(field: str, new: Any, old: Any) -> Iterator[FieldError]:
    if (new or None) != (old or None):
        yield invalid(field, new, "field is immutable")


def unique(field: str, value: str, seen: set[str]) -> Iterator[FieldError]:
    """Remembers `value` in `seen`; an empty one is missing, not repeated."""
    if value and value in seen:
        yield duplicate(field, value)
    seen.add(value)


def only(field: str, given: Collection[str], allowed: Sequence[str]) -> Iterator[FieldError]:
    """Every one of a list of words must be supported; the list itself is the field that errors name."""
    for value in given:
        yield from supported(field, value, allowed)
