"""Bootstrap tokens from the cluster's side: made, listed, taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from holdfast.api.core import bootstrap_token
from holdfast.api.core.bootstrap_token import (
    CLUSTER_INFO,
    CLUSTER_INFO_NAMESPACE,
    ID_CHARACTERS,
    ID_LENGTH,
    NAMESPACE,
    SECRET_LENGTH,
    SIGNATURE,
    Token,
    is_token,
    secret_name,
    value,
)
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.secret import SECRETS
from holdfast.api.errors import NotFound
from holdfast.client import Client
from holdfast.world import World

SIGNED_WITHIN_S = 5.0
ASK_EVERY_S = 0.05
DESCRIPTION = "Lets a machine join as a node; made by `holdfast node token`."


@dataclass(frozen=True, slots=True)
class Listed:
    """A token without what proves it."""

    id: str
    expiration: str
    """As the secret has it; empty if it has no end."""
    usages: tuple[str, ...]
    description: str


async def make(client: Client, world: World, ttl: timedelta | None) -> Token:
    """A token that lets a machine join within `ttl`; for good if that is None.

    Returns when the cluster tells of itself in the token's name, so that the machine can be told at once; a cluster
    without controllers never does, then in a few seconds.
    """
    chance = world.random
    token = Token(
        "".join(chance.choice(ID_CHARACTERS) for _ in range(ID_LENGTH)),
        "".join(chance.choice(ID_CHARACTERS) for _ in range(SECRET_LENGTH)),
    )
    until = None if ttl is None else world.clock.now() + ttl
    await client.create(SECRETS, bootstrap_token.manifest(token, until, DESCRIPTION))
    deadline = world.clock.monotonic_s() + SIGNED_WITHIN_S
    while world.clock.monotonic_s() < deadline:
        info = await client.get(CONFIG_MAPS, CLUSTER_INFO, CLUSTER_INFO_NAMESPACE)
        if f"{SIGNATURE}{token.id}" in (info.get("data") or {}):
            break
        await world.clock.sleep(ASK_EVERY_S)
    return token


async def listed(client: Client) -> Sequence[Listed]:
    """All bootstrap tokens, whoever made them."""
    secrets = (await client.list(SECRETS, NAMESPACE, field_selector=f"type={bootstrap_token.TYPE}")).items
    return [
        Listed(
            value(secret, "token-id"),
            value(secret, "expiration"),
            tuple(
                key.removeprefix("usage-bootstrap-")
                for key in sorted(secret.get("data") or {})
                if key.startswith("usage-bootstrap-") and value(secret, key) == "true"
            ),
            value(secret, "description"),
        )
        for secret in secrets
        if is_token(secret)
    ]


async def delete(client: Client, token_or_id: str) -> bool:
    """Whether there was one."""
    try:
        await client.delete(SECRETS, secret_name(token_or_id.partition(".")[0]), NAMESPACE)
    except NotFound:
        return False
    return True
