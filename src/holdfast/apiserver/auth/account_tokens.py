"""Tokens of service accounts: issued, and taken back for the user they stand for (A217-A220).

A token holds while its account exists, and the pod, secret or node it is bound to: that is asked anew with
every request. Only the signature, which never changes its mind, is remembered.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.secret import SECRETS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import parse_time
from holdfast.apiserver.cache import Cache
from holdfast.world import World

from .claims import ISSUER, LEGACY_ISSUER, Bound, Claims, LegacyClaims, Reference, username
from .signing import NotSigned, SigningKey
from .user import AUTHENTICATED, User

POD_TOKEN_S = 3607
"""What admission asks for on behalf of pods, an odd number to be known by. Clients that read the file only once
are common, so such a token really holds for a year; the agent renews it as if it did not (A220)."""
EXTENDED_S = 365 * 24 * 3600
DELETED_FOR = timedelta(seconds=60)
"""How long a token outlives the deletion of what it is bound to."""
REMEMBERED = 4096
"""Signatures."""

CREDENTIAL = "authentication.kubernetes.io/credential-id"
POD_NAME, POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
NODE_NAME, NODE_UID = "authentication.kubernetes.io/node-name", "authentication.kubernetes.io/node-uid"

_BINDINGS: Sequence[tuple[str, Resource]] = (("secret", SECRETS), ("pod", PODS), ("node", NODES))
_VOID = "service account token has been invalidated"


class TokenRefused(Exception):
    """The token is not good; the message says why, to those who may review tokens."""


@dataclass(frozen=True, slots=True)
class Issued:
    token: str
    expiration_s: int
    """Seconds since the epoch at which whoever asked should regard it as expired."""


class AccountTokens:
    """The tokens of one cluster. Their signatures hold for as long as the key is kept."""

    def __init__(self, key: SigningKey, cache: Cache, world: World) -> None:
        self.key = key
        self._cache = cache
        self._world = world
        self._known: dict[str, Claims | LegacyClaims] = {}

    # -- issuing

    def issue(
        self,
        account: Manifest,
        audiences: Sequence[str],
        expiration_s: int,
        *,
        pod: Manifest | None = None,
        secret: Manifest | None = None,
        node: Manifest | None = None,
    ) -> Issued:
        """A token for `account`, bound to the objects given."""
        namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
        now = int(self._world.clock.now().timestamp())
        is_extended = pod is not None and expiration_s == POD_TOKEN_S and list(audiences) == [ISSUER]
        bound = Bound(
            namespace,
            _reference(account),
            node=_reference(node) if node else None,
            pod=_reference(pod) if pod else None,
            secret=_reference(secret) if secret else None,
            warnafter=now + expiration_s if is_extended else 0,
        )
        claims = Claims(
            aud=list(audiences),
            exp=now + (EXTENDED_S if is_extended else expiration_s),
            iat=now,
            iss=ISSUER,
            jti=self._world.new_uid(),
            kubernetes=bound,
            nbf=now,
            sub=username(namespace, name),
        )
        return Issued(self.key.sign(msgspec.json.encode(claims)), now + expiration_s)

    def legacy(self, secret: Manifest, account: Manifest) -> str:
        """The token that belongs into `secret`: always the same one, without an end."""
        namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
        claims = LegacyClaims(
            iss=LEGACY_ISSUER,
            namespace=namespace,
            secret=secret["metadata"]["name"],
            account=name,
            uid=account["metadata"]["uid"],
            sub=username(namespace, name),
        )
        return self.key.sign(msgspec.json.encode(claims))

    # -- taking back

    def user_of(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> tuple[User, list[str]]:
        """Whom the token stands for, and which of `audiences` it is meant for. Raises TokenRefused."""
        claims = self._claims(token)
        if isinstance(claims, LegacyClaims):
            return self._legacy_user(claims, token), list(audiences)
        shared = [audience for audience in audiences if audience in claims.aud]
        if not shared:
            raise TokenRefused(wrong_audience(claims.aud, audiences))
        self._check_time(claims)
        bound = claims.kubernetes
        self._check_account(bound.namespace, bound.serviceaccount)
        for member, resource in _BINDINGS:
            if (reference := getattr(bound, member)) is not None:
                self._check_bound(resource, bound.namespace, reference)
        return _user(bound, claims.jti), shared

    def _claims(self, token: str) -> Claims | LegacyClaims:
        if (known := self._known.get(token)) is not None:
            return known
        try:
            payload = self.key.verified(token)
            issuer = msgspec.json.decode(payload, type=_Issued).iss
            if issuer not in _FORMS:
                raise TokenRefused("")
            claims: Claims | LegacyClaims = msgspec.json.decode(payload, type=_FORMS[issuer])
        except (NotSigned, msgspec.MsgspecError) as error:
            raise TokenRefused("") from error
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[token] = claims
        return claims

    def _check_time(self, claims: Claims) -> None:
        now = self._world.clock.now().timestamp()
        if now < claims.nbf - DELETED_FOR.total_seconds():
            raise TokenRefused("service account token is not valid yet")
        if now >= claims.exp:
            raise TokenRefused("service account token has expired")

    def _check_account(self, namespace: str, reference: Reference) -> None:
        account = self._find(SERVICE_ACCOUNTS, namespace, reference.name)
        if account is None:
            raise TokenRefused(f'serviceaccounts "{reference.name}" not found')
        if self._is_gone(account):
            raise TokenRefused(f"service account {namespace}/{reference.name} has been deleted")
        if (uid := account["metadata"]["uid"]) != reference.uid:
            raise TokenRefused(f"service account UID ({uid}) does not match claim ({reference.uid})")

    def _check_bound(self, resource: Resource, namespace: str, reference: Reference) -> None:
        found = self._find(resource, namespace if resource.namespaced else "", reference.name)
        if found is None or self._is_gone(found):
            raise TokenRefused(_VOID)
        if (uid := found["metadata"]["uid"]) != reference.uid:
            kind = resource.kind.lower()
            raise TokenRefused(f"{kind} UID ({uid}) does not match service account {kind} ref claim ({reference.uid})")

    def _legacy_user(self, claims: LegacyClaims, token: str) -> User:
        if claims.sub != username(claims.namespace, claims.account):
            raise TokenRefused("sub claim does not match the service account")
        secret = self._find(SECRETS, claims.namespace, claims.secret)
        if secret is None or self._is_gone(secret) or _token_in(secret) != token:
            raise TokenRefused(_VOID)
        self._check_account(claims.namespace, Reference(claims.account, claims.uid))
        return _user(Bound(claims.namespace, Reference(claims.account, claims.uid)))

    def _find(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        stored = self._cache.of(resource).get(namespace, name)
        return None if stored is None else stored.manifest

    def _is_gone(self, manifest: Manifest) -> bool:
        """For a pod the timestamp lies at the end of its grace period."""
        deleted = manifest["metadata"].get("deletionTimestamp")
        return bool(deleted) and parse_time(deleted) < self._world.clock.now() - DELETED_FOR


class _Issued(msgspec.Struct):
    iss: str


_FORMS: dict[str, type[Claims] | type[LegacyClaims]] = {ISSUER: Claims, LEGACY_ISSUER: LegacyClaims}


def _reference(manifest: Manifest) -> Reference:
    return Reference(manifest["metadata"]["name"], manifest["metadata"]["uid"])


def _user(bound: Bound, credential: str = "") -> User:
    namespace, account = bound.namespace, bound.serviceaccount
    extra: list[tuple[str, tuple[str, ...]]] = []
    if credential:
        extra.append((CREDENTIAL, (f"JTI={credential}",)))
    for reference, name, uid in ((bound.node, NODE_NAME, NODE_UID), (bound.pod, POD_NAME, POD_UID)):
        if reference is not None:
            extra += [(name, (reference.name,)), (uid, (reference.uid,))]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(username(namespace, account.name), groups, account.uid, tuple(extra))


def _token_in(secret: Manifest) -> str:
    return base64.b64decode((secret.get("data") or {}).get("token") or "").decode(errors="replace")


def wrong_audience(given: Sequence[str], wanted: Sequence[str]) -> str:
    return f"token audiences {_listed(given)} is invalid for the target audiences {_listed(wanted)}"


def _listed(audiences: Sequence[str]) -> str:
    quoted = " ".join(f'"{audience}"' for audience in audiences)
    return f"[{quoted}]"
