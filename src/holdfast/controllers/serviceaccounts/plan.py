"""What a secret of type `kubernetes.io/service-account-token` is given (A220, W108).

Source: Kubernetes, pkg/controller/serviceaccount/tokens_controller.go.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from holdfast.api.core.secret import SECRETS, SERVICE_ACCOUNT_ANNOTATION
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Delete, Plan, Update

TYPE = "kubernetes.io/service-account-token"
UID_ANNOTATION = "kubernetes.io/service-account.uid"


@dataclass(frozen=True, slots=True)
class ObservedSecret:
    """A secret for a token, and the account it names."""

    secret: Manifest
    account: Manifest | None
    root_ca: str
    token: str = ""
    """What belongs into it; empty where there is an account to ask for still, or none."""


def account_of(secret: Manifest) -> str:
    """The account's name; empty if the secret is for none."""
    if secret.get("type") != TYPE:
        return ""
    return (secret["metadata"].get("annotations") or {}).get(SERVICE_ACCOUNT_ANNOTATION) or ""


def is_for(secret: Manifest, account: Manifest | None) -> bool:
    """Whether the account is the one the secret was made for, not a later one of its name."""
    if account is None:
        return False
    uid = (secret["metadata"].get("annotations") or {}).get(UID_ANNOTATION)
    return not uid or bool(uid == account["metadata"]["uid"])


def has_token(secret: Manifest) -> bool:
    return bool((secret.get("data") or {}).get("token"))


def plan(observed: ObservedSecret) -> Plan:
    secret, account = observed.secret, observed.account
    metadata = secret["metadata"]
    if metadata.get("deletionTimestamp"):
        return Plan("the secret is on its way out", subject=secret)
    if account is None or not is_for(secret, account):
        gone = Delete(SECRETS, metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"])
        return Plan("its service account is gone", (gone,), subject=secret)
    annotations = {**(metadata.get("annotations") or {}), UID_ANNOTATION: account["metadata"]["uid"]}
    data = {**(secret.get("data") or {}), "ca.crt": _encoded(observed.root_ca)}
    if not data.get("namespace"):
        data["namespace"] = _encoded(metadata["namespace"])
    if not has_token(secret):
        data["token"] = _encoded(observed.token)
    filled = {**secret, "metadata": {**metadata, "annotations": annotations}, "data": data}
    if filled == secret:
        return Plan("nothing is missing", subject=secret)
    return Plan("filling the secret", (Update(SECRETS, filled, ignore=(NotFound,)),), subject=secret)


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()
