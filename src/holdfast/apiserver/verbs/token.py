"""POST on `/serviceaccounts/NAME/token`: a token for the account (A217)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.secret import SECRETS
from holdfast.api.errors import (
    BadRequest,
    Conflict,
    FieldError,
    NotFound,
    invalid,
    invalid_object,
)
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time
from holdfast.apiserver.auth.claims import ISSUER
from holdfast.apiserver.call import Call

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

SHORTEST_S, LONGEST_S, DEFAULT_S = 600, 1 << 32, 3600
GROUP = "authentication.k8s.io"

_BINDABLE: dict[str, Resource] = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}
_REPLACED = "does not match the UID in record. The object might have been deleted and then recreated"


async def request(api: Api, call: Call, manifest: Manifest) -> Manifest:
    """The request with the token in its status. Raises Invalid, NotFound, BadRequest, Conflict, Forbidden."""
    spec = manifest.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    seconds = DEFAULT_S if seconds is None else seconds
    audiences = spec.get("audiences") or [ISSUER]
    if errors := _errors(seconds):
        raise invalid_object("TokenRequest", GROUP, "", errors)
    account = api.get(Call(call.user, call.resource, call.namespace, call.name)).manifest
    reference = spec.get("boundObjectRef")
    bound = _bound(api, call, reference) if reference else {}
    _check_node(call, reference, bound.get("pod"))
    if not api.account_tokens.key.is_loaded:
        await asyncio.to_thread(api.account_tokens.key.load)
    issued = api.account_tokens.issue(account, audiences, seconds, **bound)
    metadata = account["metadata"]
    return {
        **manifest,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "creationTimestamp": api.now(),
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
        "status": {
            "token": issued.token,
            "expirationTimestamp": format_time(datetime.fromtimestamp(issued.expiration_s, UTC)),
        },
    }


def _errors(seconds: int) -> Sequence[FieldError]:
    field = "spec.expirationSeconds"
    if seconds < SHORTEST_S:
        return [invalid(field, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > LONGEST_S:
        return [invalid(field, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


def _bound(api: Api, call: Call, reference: Manifest) -> dict[str, Manifest]:
    """What the token is to be bound to, by its claim; with a pod goes the node it is on."""
    kind, name, uid = (reference.get(member) or "" for member in ("kind", "name", "uid"))
    resource = _BINDABLE.get(kind)
    group, _, version = (reference.get("apiVersion") or "").rpartition("/")
    if resource is None or group:
        raise BadRequest(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
    found = _existing(api, call, resource, name)
    if resource is PODS and (account := found["spec"].get("serviceAccountName") or "") != call.name:
        raise BadRequest(
            f'cannot bind token for serviceaccount "{call.name}" to pod running with different serviceaccount name '
            f'"{account}"'
        )
    if uid and uid != found["metadata"]["uid"]:
        detail = f"the UID in the bound object reference ({uid}) {_REPLACED}"
        raise Conflict(f'Operation cannot be fulfilled on {kind} "{name}": {detail}', name=name, kind=kind)
    bound = {kind.lower(): found}
    if resource is PODS and (node := _node_of(api, found)) is not None:
        bound["node"] = node
    return bound


def _existing(api: Api, call: Call, resource: Resource, name: str) -> Manifest:
    """Raises NotFound."""
    stored = api.objects(resource).get(call.namespace if resource.namespaced else "", name)
    if stored is None:
        raise NotFound(f'{resource.plural} "{name}" not found', name=name, kind=resource.plural)
    return stored.manifest


def _node_of(api: Api, pod: Manifest) -> Manifest | None:
    """None before the pod is on a node, and when the node is gone."""
    stored = api.objects(NODES).get("", pod["spec"].get("nodeName") or "")
    return None if stored is None else stored.manifest


def _check_node(call: Call, reference: Manifest | None, pod: Manifest | None) -> None:
    """A node gets tokens for the pods that run on it, nothing else (NodeRestriction). Raises Forbidden."""
    if not call.user.node_name:
        return
    if pod is None:
        raise call.forbidden("node requested token not bound to a pod")
    if not (reference or {}).get("uid"):
        raise call.forbidden("node requested token with a pod binding without a uid")
    if pod["spec"].get("nodeName") != call.user.node_name:
        raise call.forbidden("node requested token bound to a pod scheduled on a different node")
