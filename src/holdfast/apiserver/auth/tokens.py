"""Every bearer token that the server takes: those it was started with, of service accounts, of machines that join."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.api.errors import Unauthorized

from .account_tokens import AccountTokens, TokenRefused, wrong_audience
from .bootstrap_tokens import BootstrapTokens
from .claims import ISSUER
from .signing import looks_signed
from .user import AUTHENTICATED, User

AUDIENCES = (ISSUER,)
"""Whom a token must be meant for to be good here."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Bearer tokens, and the users behind them."""

    known: Mapping[str, User]
    accounts: AccountTokens
    bootstrap: BootstrapTokens

    def user_of(self, token: str) -> User:
        """Raises Unauthorized, which tells nobody why (A59)."""
        try:
            return self.review(token, AUDIENCES)[0]
        except TokenRefused:
            raise Unauthorized("Unauthorized") from None

    def review(self, token: str, audiences: Sequence[str]) -> tuple[User, list[str]]:
        """The user, and which of `audiences` the token is meant for. Raises TokenRefused."""
        if user := self._of_known(token) or self.bootstrap.user_of(token):
            if shared := [audience for audience in audiences if audience in AUDIENCES]:
                return user, shared
            raise TokenRefused(wrong_audience(AUDIENCES, audiences))
        if not looks_signed(token):
            raise TokenRefused("")
        return self.accounts.user_of(token, audiences)

    def _of_known(self, token: str) -> User | None:
        """Takes as long for a token that nobody has."""
        given, found = token.encode(), None
        for known, user in self.known.items():
            if hmac.compare_digest(known.encode(), given):
                found = user
        if found is None or AUTHENTICATED in found.groups:
            return found
        return User(found.name, (*found.groups, AUTHENTICATED), found.uid)
