"""Addresses that are valid and yet not written as they should be."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from .errors import show


def address_warnings(field: str, text: str) -> Iterator[str]:
    """Of an address that has passed validation."""
    try:
        canonical = str(ipaddress.ip_address(text))
    except ValueError:
        return
    if ":" in text and canonical != text:
        yield f"{field}: IPv6 address {show(text)} should be in RFC 5952 canonical format ({show(canonical)})"
