"""API objects that containers and volumes are made of, read from the API itself rather than a view (N242)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.secret import SECRETS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import parse_time
from holdfast.client import Client
from holdfast.world import World

from .pod import Pod

LONGEST_TOKEN_AGE = timedelta(hours=24)
RENEWED_AT = 0.8


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: datetime


class ApiLookup:
    """`contents.Lookup` by way of the client."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world
        self._tokens: dict[tuple[str, str, int], _Token] = {}
        """By pod, audience and the life that was asked for."""

    async def config_map(self, namespace: str, name: str) -> Manifest | None:
        return await self._found(CONFIG_MAPS, namespace, name)

    async def secret(self, namespace: str, name: str) -> Manifest | None:
        return await self._found(SECRETS, namespace, name)

    async def config_maps(self, namespace: str, names: Iterable[str]) -> dict[str, Manifest]:
        """Those that exist, by name. Raises ApiError."""
        return await self._all(CONFIG_MAPS, namespace, names)

    async def secrets(self, namespace: str, names: Iterable[str]) -> dict[str, Manifest]:
        """Those that exist, by name. Raises ApiError."""
        return await self._all(SECRETS, namespace, names)

    async def token(self, pod: Pod, audience: str, expiration_s: int) -> str:
        """The pod's token for that audience, a new one at 80 % of its life or after a day (V105). Raises ApiError."""
        key = (pod.uid, audience, expiration_s)
        known = self._tokens.get(key)
        now = self._world.clock.now()
        if known is not None and now < known.renew_at:
            return known.text
        account = str(pod.spec.get("serviceAccountName") or "default")
        request = _request(pod, audience, expiration_s)
        answer = await self._client.create(SERVICE_ACCOUNTS, request, pod.namespace, name=account, subresource="token")
        status = answer["status"]
        life = parse_time(status["expirationTimestamp"]) - now
        self._tokens[key] = _Token(status["token"], now + min(life * RENEWED_AT, LONGEST_TOKEN_AGE))
        return str(status["token"])

    def renewal_s(self, pod_uid: str) -> float | None:
        """Seconds until a token of the pod is to be renewed; None if it has none."""
        moments = [token.renew_at for key, token in self._tokens.items() if key[0] == pod_uid]
        return (min(moments) - self._world.clock.now()).total_seconds() if moments else None

    def forget(self, pod_uid: str) -> None:
        for key in [key for key in self._tokens if key[0] == pod_uid]:
            del self._tokens[key]

    async def _all(self, resource: Resource, namespace: str, names: Iterable[str]) -> dict[str, Manifest]:
        wanted = sorted(names)
        found = await asyncio.gather(*(self._found(resource, namespace, name) for name in wanted))
        return {name: manifest for name, manifest in zip(wanted, found, strict=True) if manifest is not None}

    async def _found(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        try:
            return await self._client.get(resource, name, namespace)
        except NotFound:
            return None


def _request(pod: Pod, audience: str, expiration_s: int) -> Manifest:
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": [audience] if audience else [],
            "expirationSeconds": expiration_s,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid},
        },
    }
