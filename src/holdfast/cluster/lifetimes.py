"""How long a certificate lives, read without the library that makes them: a look is not worth 0.05 s of every start.

Source: RFC 5280, section 4.1.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_SEQUENCE, _INTEGER, _VERSION = 0x30, 0x02, 0xA0
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
"""How UTCTime and GeneralizedTime are written."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """From when until when a certificate holds."""

    since: datetime
    until: datetime

    def at(self, part: float) -> datetime:
        """The moment when that part of it is over: 0 is its beginning, 1 its end."""
        return self.since + (self.until - self.since) * part


def lifetime(text: bytes) -> Lifetime:
    """Of the first certificate in a PEM text. Raises ValueError if there is none."""
    found = text.decode("ascii", "replace")
    begin, end = found.find(_BEGIN), found.find(_END)
    if not 0 <= begin < end:
        raise ValueError("no certificate in PEM")
    try:
        return _validity(ssl.PEM_cert_to_DER_cert(found[begin : end + len(_END)]))
    except (IndexError, KeyError) as error:
        raise ValueError("the certificate cannot be read") from error


def _validity(encoded: bytes) -> Lifetime:
    _, at, _ = _element(encoded, 0)
    _, at, _ = _element(encoded, at)
    tag, _, after = _element(encoded, at)
    for wanted in (_VERSION, _INTEGER, _SEQUENCE, _SEQUENCE):  # version, serial number, algorithm, issuer
        if tag == wanted:
            at = after
            tag, _, after = _element(encoded, at)
    _, at, _ = _element(encoded, at)
    since, at = _time(encoded, at)
    until, _ = _time(encoded, at)
    return Lifetime(since, until)


def _element(encoded: bytes, at: int) -> tuple[int, int, int]:
    """The tag of the element there, where its content begins, and where it ends."""
    tag, length, content = encoded[at], encoded[at + 1], at + 2
    if length & 0x80:
        content += length & 0x7F
        length = int.from_bytes(encoded[at + 2 : content])
    return tag, content, content + length


def _time(encoded: bytes, at: int) -> tuple[datetime, int]:
    tag, content, end = _element(encoded, at)
    found = datetime.strptime(encoded[content:end].decode("ascii"), _TIMES[tag]).replace(tzinfo=UTC)
    # Two digits of a year mean 1950 to 2049.
    return (found.replace(year=found.year - 100) if tag == 0x17 and found.year >= 2050 else found), end


LAST_THIRD = 2 / 3
"""Later in its life than that, a certificate is renewed by who comes by."""


def is_due(text: bytes, now: datetime) -> bool:
    """Whether the certificate in a PEM text is in the last third of its life, or beyond. Raises ValueError.

    Or before it: the clock was ahead when it was made, and until then nobody believes it.
    """
    life = lifetime(text)
    return now < life.since or now >= life.at(LAST_THIRD)
