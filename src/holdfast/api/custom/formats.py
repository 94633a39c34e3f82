"""The formats that upstream checks texts for (A205); what it does not know it does not check.

Source: Kubernetes, k8s.io/kube-openapi/pkg/validation/strfmt.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import urlsplit

from holdfast.api import names

_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d(:([0-5]\d|60))?(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)?", re.ASCII
)
_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)\s*([a-zµμ]+)", re.ASCII | re.IGNORECASE)
_UNITS = re.compile(
    r"(n|u|µ|μ|m)?s|nanos?|micros?|millis?|secs?|mins?|m|hrs?|h|d|w|wk|(nano|micro|milli)?seconds?|minutes?|hours?|days?"
    r"|weeks?"
)
_HOST = re.compile(
    r"([a-zA-Z0-9¡-￿][a-zA-Z0-9¡-￿-]{0,62}){1}(\.[a-zA-Z0-9¡-￿](?:[a-zA-Z0-9¡-￿-]{0,61}[a-zA-Z0-9¡-￿])?)*\.?"
)
_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2006-01-02") and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_date_time(text: str) -> bool:
    return _DATE_TIME.fullmatch(text) is not None and _is_date(text[:10])


def _is_duration(text: str) -> bool:
    parts = list(_DURATION.finditer(text))
    spans = "".join(text[part.start() : part.end()] for part in parts)
    if text in ("0", "+0", "-0"):
        return True
    return (
        bool(parts)
        and spans.replace(" ", "") == text.replace(" ", "")
        and all(_UNITS.fullmatch(part[3].lower()) for part in parts)
    )


def _is_address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text.partition("%")[0] if version == 6 else text).version == version
        except ValueError:
            return False

    return check


def _is_network(text: str) -> bool:
    address, slash, bits = text.partition("/")
    try:
        return bool(slash) and bits.isdecimal() and bool(ipaddress.ip_network(text, strict=False)) and bool(address)
    except ValueError:
        return False


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_email(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(at and name and host) and " " not in text and "\n" not in text


def _fits(pattern: str) -> Callable[[str], bool]:
    match = re.compile(pattern, re.IGNORECASE | re.ASCII).fullmatch
    return lambda text: match(text) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _fits("[0-9a-f]{24}"),
    "byte": _is_base64,
    "cidr": _is_network,
    "date": _is_date,
    "date-time": _is_date_time,
    "datetime": _is_date_time,
    "duration": _is_duration,
    "email": _is_email,
    "hexcolor": _fits("#?([0-9a-f]{3}|[0-9a-f]{6})"),
    "hostname": lambda text: len(text) <= 255 and _HOST.fullmatch(text) is not None,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
    "k8s-long-name": lambda text: not names.dns_subdomain(text),
    "k8s-short-name": lambda text: not names.dns_label(text),
    "mac": _fits("([0-9a-f]{2}([:-]))([0-9a-f]{2}\\2){4}[0-9a-f]{2}|([0-9a-f]{4}\\.){2}[0-9a-f]{4}"),
    "uri": _is_uri,
    "uuid": _fits(_UUID % ("[0-9a-f]", "[0-9a-f]")),
    "uuid3": _fits(_UUID % ("3", "[0-9a-f]")),
    "uuid4": _fits(_UUID % ("4", "[89ab]")),
    "uuid5": _fits(_UUID % ("5", "[89ab]")),
}
