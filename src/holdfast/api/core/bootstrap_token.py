"""Bootstrap tokens: what a secret of type `bootstrap.kubernetes.io/token` in kube-system says, and what it signs.

Source: Kubernetes, staging/src/k8s.io/cluster-bootstrap.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.resource import Manifest
from holdfast.api.times import format_time, parse_time

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE, PREFIX = "kube-system", "bootstrap-token-"
USER, GROUP = "system:bootstrap:", "system:bootstrappers"
NODES_GROUP = "system:bootstrappers:kubeadm:default-node-token"
"""Whose tokens may ask for certificates of nodes, as kubeadm has it."""
AUTHENTICATION, SIGNING = "usage-bootstrap-authentication", "usage-bootstrap-signing"

CLUSTER_INFO_NAMESPACE, CLUSTER_INFO = "kube-public", "cluster-info"
KUBECONFIG, SIGNATURE = "kubeconfig", "jws-kubeconfig-"
"""Keys of that ConfigMap: what is signed, and the signature, to which the token's id belongs."""

ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
ID_LENGTH, SECRET_LENGTH = 6, 16
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})", re.ASCII)
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """Its two halves: the first names it, the second proves it."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{self.id}.{self.secret}"


def parse(text: str) -> Token | None:
    """None for what has not the form of one."""
    found = _TOKEN.fullmatch(text)
    return Token(*found.groups()) if found else None


def secret_name(token_id: str) -> str:
    return f"{PREFIX}{token_id}"


def is_token(secret: Manifest) -> bool:
    return secret.get("type") == TYPE and secret["metadata"].get("namespace") == NAMESPACE


def value(secret: Manifest, key: str) -> str:
    """Text of the secret's data; empty where there is none."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "").decode()
    except ValueError:
        return ""


def expiration(secret: Manifest) -> datetime | None:
    """None if it has no end. Raises ValueError for what is no time: such a token is over."""
    text = value(secret, "expiration")
    return parse_time(text) if text else None


def has_expired(secret: Manifest, now: datetime) -> bool:
    try:
        until = expiration(secret)
    except ValueError:
        return True
    return until is not None and until <= now


def groups(secret: Manifest) -> tuple[str, ...] | None:
    """Of whoever shows the token, sorted; None if one of them is none that a bootstrap token may give."""
    extra = value(secret, "auth-extra-groups")
    found = {each for each in extra.split(",") if each} if extra else set()
    if any(not _EXTRA_GROUP.fullmatch(each) for each in found):
        return None
    return tuple(sorted({GROUP, *found}))


def signing_token(secret: Manifest, now: datetime) -> Token | None:
    """The token, if it is to sign what newcomers are told of the cluster."""
    name, token_id, half = secret["metadata"]["name"], value(secret, "token-id"), value(secret, "token-secret")
    if not token_id or not half or name != secret_name(token_id) or has_expired(secret, now):
        return None
    return Token(token_id, half) if value(secret, SIGNING) == "true" else None


def manifest(token: Token, until: datetime | None, description: str) -> Manifest:
    """The secret of a token that lets machines join, as `kubeadm token create` makes it."""
    data = {
        "token-id": token.id,
        "token-secret": token.secret,
        "description": description,
        AUTHENTICATION: "true",
        SIGNING: "true",
        "auth-extra-groups": NODES_GROUP,
    }
    if until is not None:
        data["expiration"] = format_time(until)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(token.id), "namespace": NAMESPACE},
        "type": TYPE,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items() if text},
    }


def signature(content: str, token: Token) -> str:
    """Of the content by the token: a JSON Web Signature (HS256) whose payload is left out, RFC 7515 appendix F."""
    header = json.dumps({"alg": "HS256", "kid": token.id}, separators=(",", ":"))
    signed = f"{_encoded(header.encode())}.{_encoded(content.encode())}"
    digest = hmac.new(token.secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{_encoded(header.encode())}..{_encoded(digest)}"


def is_signed(content: str, given: str, token: Token) -> bool:
    return hmac.compare_digest(signature(content, token).encode(), given.encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
