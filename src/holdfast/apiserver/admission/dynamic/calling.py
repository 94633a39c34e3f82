"""Asks webhooks: one HTTPS client for each place, whose connections are kept (A246)."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import socket
import ssl
from base64 import b64decode
from collections.abc import Callable, Collection
from random import Random

from holdfast.apiserver.cache import Cache
from holdfast.wire.client import ConnectionFailed, Dial, HttpClient
from holdfast.wire.go_words import in_go_words
from holdfast.wire.tls import client_context

from .refusals import CallFailed, answered_with
from .targets import Target, endpoint

_HEADERS = (
    ("Accept", "application/json, */*"),
    ("Content-Type", "application/json"),
    ("User-Agent", "kube-apiserver-admission"),
)


class Callers:
    """`to_pods` says how pods are reached, where that is not simply done."""

    def __init__(self, cache: Cache, chance: Random, to_pods: Callable[[], Dial | None]) -> None:
        self._cache = cache
        self._chance = chance
        self._to_pods = to_pods
        self._clients: dict[Target, HttpClient] = {}

    async def post(self, target: Target, body: bytes, timeout_s: int) -> bytes:
        """The answer. Raises CallFailed."""
        try:
            client = self._client(target)
        except (ssl.SSLError, ValueError, binascii.Error) as error:
            raise CallFailed(f"could not get REST client: unable to load root certificates: {error}") from None
        try:
            answer = await client.request(
                "POST", target.asked(timeout_s), _HEADERS, body, timeout=timeout_s, may_repeat=True
            )
        except ConnectionFailed as error:
            why = _why(error, target)
            raise CallFailed(f'failed to call webhook: Post "{target.shown(timeout_s)}": {why}') from None
        if not 200 <= answer.status < 300:
            raise CallFailed(f"failed to call webhook: {answered_with(answer.status, answer.body)}")
        return answer.body

    def keep(self, targets: Collection[Target]) -> None:
        """Connections to all others are not needed any more; calls under way come to their end."""
        for target in [each for each in self._clients if each not in targets]:
            self._clients.pop(target).drop_idle()

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _client(self, target: Target) -> HttpClient:
        """Raises ValueError, SSLError for a bundle that is none."""
        if (client := self._clients.get(target)) is None:
            bundle = b64decode(target.ca_bundle).decode() if target.ca_bundle else ""
            context = client_context(ca_data=bundle)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whoever is in the bundle is trusted, CA or not
            dial = self._dial_of(target) if target.service else None
            client = self._clients[target] = HttpClient(target.origin, context, dial=dial)
        return client

    def _dial_of(self, target: Target) -> Dial:
        """Finds an endpoint with each connection."""
        assert target.service is not None
        namespace, name, port = target.service

        async def dial(_host: str, _port: int) -> socket.socket:
            try:
                host, number = endpoint(self._cache, self._chance, namespace, name, port)
            except LookupError as error:
                raise _NoEndpoint(str(error.args[0])) from None
            try:
                return await (self._to_pods() or _connected)(host, number)
            except OSError as error:
                authority = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
                raise _NoEndpoint(in_go_words(error, authority)) from error

        return dial


class _NoEndpoint(OSError):
    """Its text is the whole story."""


async def _connected(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        await loop.sock_connect(made, address)
    except BaseException:
        with contextlib.suppress(OSError):
            made.close()
        raise
    return made


def _why(error: ConnectionFailed, target: Target) -> str:
    """In the words of Go's client."""
    cause = error.__cause__
    if isinstance(cause, _NoEndpoint):
        return str(cause)
    if isinstance(cause, TimeoutError):
        return "context deadline exceeded"
    if isinstance(cause, OSError):
        authority = target.origin.partition("//")[2]
        return in_go_words(cause, authority if authority.rpartition(":")[2].isdigit() else f"{authority}:443")
    return "EOF"
