"""Names as tuples of lower-case labels, and addresses in names."""

from __future__ import annotations

import ipaddress

Name = tuple[str, ...]


def name_of(text: str) -> Name:
    """The labels of a name in lower case, without the root."""
    return tuple(label for label in text.lower().split(".") if label)


def address_of(name: Name) -> str:
    """The address behind a reverse name; empty if it is none."""
    labels = name[:-2][::-1]
    try:
        if name[-2:] == ("in-addr", "arpa") and len(labels) == 4:
            return str(ipaddress.IPv4Address(".".join(labels)))
        if name[-2:] == ("ip6", "arpa") and len(labels) == 32 and all(len(label) == 1 for label in labels):
            return str(ipaddress.IPv6Address(int("".join(labels), 16)))
    except ValueError:
        return ""
    return ""


def plain(address: str) -> str:
    """The one way to write it: IPv6 has many."""
    return str(ipaddress.ip_address(address)) if ":" in address else address


def dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


def undashed(label: str) -> str:
    for separator in (".", ":"):
        try:
            return str(ipaddress.ip_address(label.replace("-", separator)))
        except ValueError:
            continue
    return ""
