"""Who a bootstrap token stands for, read off its secret anew with every request.

Source: Kubernetes, plugin/pkg/auth/authenticator/token/bootstrap/bootstrap.go.
"""

from __future__ import annotations

import hmac

from holdfast.api.core import bootstrap_token
from holdfast.api.core.bootstrap_token import AUTHENTICATION, NAMESPACE, USER, secret_name, value
from holdfast.api.core.secret import SECRETS
from holdfast.apiserver.cache import Cache
from holdfast.world import Clock

from .user import AUTHENTICATED, User


class BootstrapTokens:
    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock

    def user_of(self, text: str) -> User | None:
        """None if it has not the form of one, or is not good, for whatever reason: nobody is told which."""
        token = bootstrap_token.parse(text)
        if token is None:
            return None
        stored = self._cache.of(SECRETS).get(NAMESPACE, secret_name(token.id))
        secret = None if stored is None else stored.manifest
        if secret is None or not bootstrap_token.is_token(secret) or secret["metadata"].get("deletionTimestamp"):
            return None
        if not hmac.compare_digest(value(secret, "token-secret").encode(), token.secret.encode()):
            return None
        if value(secret, "token-id") != token.id or bootstrap_token.has_expired(secret, self._clock.now()):
            return None
        groups = bootstrap_token.groups(secret)
        if value(secret, AUTHENTICATION) != "true" or groups is None:
            return None
        return User(f"{USER}{token.id}", (*groups, AUTHENTICATED))
