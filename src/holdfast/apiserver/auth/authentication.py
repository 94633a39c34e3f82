"""From a request's credentials to its user (A216)."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from holdfast.api.errors import Unauthorized

from .tokens import Tokens
from .user import ANONYMOUS, AUTHENTICATED, User


def authenticate(
    headers: Mapping[str, str], certificate: Mapping[str, Any] | None, tokens: Tokens, now: datetime
) -> User:
    """A verified client certificate first, then a bearer token; anonymous without either.

    Raises Unauthorized for credentials that are not good (A59): a certificate may have ended since it was verified, for
    connections last.
    """
    user = _of_certificate(certificate) if certificate else None
    has_ended = certificate is not None and user is not None and _has_ended(certificate, now)
    if user is not None and not has_ended:
        return user
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and (token := token.strip()):
        return tokens.user_of(token)
    if has_ended:
        raise Unauthorized("Unauthorized")
    return ANONYMOUS


def _has_ended(certificate: Mapping[str, Any], now: datetime) -> bool:
    end = certificate.get("notAfter")
    return end is not None and now.timestamp() > _seconds(end)


_seconds = functools.lru_cache(maxsize=1024)(ssl.cert_time_to_seconds)
"""A connection shows the same moment with each request."""


def _of_certificate(certificate: Mapping[str, Any]) -> User | None:
    """The common name is the user, each organization a group."""
    fields = [pair for part in certificate.get("subject", ()) for pair in part]
    name = next((value for key, value in fields if key == "commonName"), "")
    groups = tuple(value for key, value in fields if key == "organizationName")
    return User(name, (*groups, AUTHENTICATED)) if name else None
