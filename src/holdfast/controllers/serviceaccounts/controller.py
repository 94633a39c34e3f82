"""What the controller of token secrets looks at. Keys are "namespace/name" of secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from holdfast.api.core.secret import SECRETS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .plan import ObservedSecret, account_of, has_token, is_for, plan

TokenFor = Callable[[Manifest, Manifest], str]
"""From a secret and its account to the one token that belongs into it. May block."""


class TokenSecrets:
    """Fills secrets that ask for a token, and removes them with their accounts."""

    name = "serviceaccount-token-controller"
    concurrency = 2

    def __init__(self, token_for: TokenFor, root_ca: str) -> None:
        """`root_ca` is the certificate of the authority that signed the API server's, as PEM."""
        self._token_for = token_for
        self._root_ca = root_ca

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._secrets, self._accounts = informers.of(SECRETS), informers.of(SERVICE_ACCOUNTS)

        def on_secret(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and account_of(new):
                queue.add(key_of(new))

        def on_account(old: Manifest | None, new: Manifest | None) -> None:
            account = new or old
            if account is None or (old is not None and new is not None):
                return
            namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
            for secret in self._secrets.list():
                if secret["metadata"]["namespace"] == namespace and account_of(secret) == name:
                    queue.add(key_of(secret))

        self._secrets.subscribe(on_secret)
        self._accounts.subscribe(on_account)

    def observe(self, key: str) -> ObservedSecret | None:
        secret = self._secrets.get(key)
        if secret is None or not (name := account_of(secret)):
            return None
        account = self._accounts.get(f"{secret['metadata']['namespace']}/{name}")
        return ObservedSecret(secret, account, self._root_ca)

    async def verify(self, observed: ObservedSecret, client: Client) -> ObservedSecret | None:
        """A secret is removed, or a token made, only for what the server says of the account now."""
        secret = observed.secret
        if not has_token(secret) or not is_for(secret, observed.account):
            try:
                account = await client.get(SERVICE_ACCOUNTS, account_of(secret), secret["metadata"]["namespace"])
            except NotFound:
                return replace(observed, account=None)
            observed = replace(observed, account=account)
            if not has_token(secret):
                observed = replace(observed, token=await asyncio.to_thread(self._token_for, secret, account))
        return observed

    def plan(self, observed: ObservedSecret) -> Plan:
        return plan(observed)
