"""From a request's credentials to its user (A216)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .tokens import Tokens
from .user import ANONYMOUS, AUTHENTICATED, User


def authenticate(headers: Mapping[str, str], certificate: Mapping[str, Any] | None, tokens: Tokens) -> User:
    """A verified client certificate first, then a bearer token; anonymous without either.

    Raises Unauthorized for credentials that are not good (A59).
    """
    if certificate and (user := _of_certificate(certificate)):
        return user
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and (token := token.strip()):
        return tokens.user_of(token)
    return ANONYMOUS


def _of_certificate(certificate: Mapping[str, Any]) -> User | None:
    """The common name is the user, each organization a group."""
    fields = [pair for part in certificate.get("subject", ()) for pair in part]
    name = next((value for key, value in fields if key == "commonName"), "")
    groups = tuple(value for key, value in fields if key == "organizationName")
    return User(name, (*groups, AUTHENTICATED)) if name else None
