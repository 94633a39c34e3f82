"""What tokens of service accounts say (A218), and the older form that secrets hold (A220)."""

from __future__ import annotations

import msgspec

ISSUER = "https://kubernetes.default.svc"
"""Who issues, and whom tokens are for unless they are asked for somebody else."""

LEGACY_ISSUER = "kubernetes/serviceaccount"


class Reference(msgspec.Struct, frozen=True):
    """An object that must exist for the token to hold."""

    name: str
    uid: str


class Bound(msgspec.Struct, frozen=True, omit_defaults=True):
    namespace: str
    serviceaccount: Reference
    node: Reference | None = None
    pod: Reference | None = None
    secret: Reference | None = None
    warnafter: int = 0
    """When the client should have come for a new one, in a token that holds for longer than that."""


class Claims(msgspec.Struct, frozen=True):
    """Times are seconds since the epoch."""

    aud: list[str]
    exp: int
    iat: int
    iss: str
    jti: str
    kubernetes: Bound = msgspec.field(name="kubernetes.io")
    nbf: int
    sub: str


class LegacyClaims(msgspec.Struct, frozen=True):
    """Holds as long as the secret that it is in."""

    iss: str
    namespace: str = msgspec.field(name="kubernetes.io/serviceaccount/namespace")
    secret: str = msgspec.field(name="kubernetes.io/serviceaccount/secret.name")
    account: str = msgspec.field(name="kubernetes.io/serviceaccount/service-account.name")
    uid: str = msgspec.field(name="kubernetes.io/serviceaccount/service-account.uid")
    sub: str


def username(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"
