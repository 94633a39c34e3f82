"""Which signatures the ConfigMap `cluster-info` has, and when a bootstrap token goes. Pure.

Source: Kubernetes, pkg/controller/bootstrap/{bootstrapsigner.go,tokencleaner.go}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.core.bootstrap_token import KUBECONFIG, SIGNATURE, Token, expiration, signature
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.secret import SECRETS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Delete, Plan, Update

SOONEST_S = 0.001
"""A timer that fires a moment early must not find the same moment again and again."""


@dataclass(frozen=True, slots=True)
class ObservedInfo:
    """What newcomers are told, and the tokens that sign it."""

    info: Manifest
    tokens: Sequence[Token]


def plan_signatures(observed: ObservedInfo) -> Plan:
    """One for each token and no other."""
    info = observed.info
    data = info.get("data") or {}
    content = data.get(KUBECONFIG)
    if content is None:
        return Plan("there is nothing to sign", subject=info)
    kept = {key: text for key, text in data.items() if not key.startswith(SIGNATURE)}
    signed = {f"{SIGNATURE}{token.id}": signature(content, token) for token in observed.tokens}
    if {**kept, **signed} == data:
        return Plan("every token has signed", subject=info)
    write = Update(CONFIG_MAPS, {**info, "data": {**kept, **signed}}, ignore=(NotFound,))
    return Plan("tokens have come or gone", (write,), subject=info)


@dataclass(frozen=True, slots=True)
class ObservedToken:
    secret: Manifest
    now: datetime


def plan_token(observed: ObservedToken) -> Plan:
    """One whose end cannot be read is over."""
    secret, metadata = observed.secret, observed.secret["metadata"]
    gone = Delete(SECRETS, metadata["namespace"], metadata["name"], metadata["uid"])
    try:
        until = expiration(secret)
    except ValueError:
        return Plan("nobody can tell when it is over", (gone,), subject=secret)
    if until is None:
        return Plan("it has no end", subject=secret)
    left_s = (until - observed.now).total_seconds()
    if left_s > 0:
        return Plan("its time is not over", subject=secret, again_after_s=max(left_s, SOONEST_S))
    return Plan("its time is over", (gone,), subject=secret)
