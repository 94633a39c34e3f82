"""What becomes of a certificate signing request: approval, a certificate or the reason why not, removal. Pure.

Source: Kubernetes, pkg/controller/certificates/{approver/sarapprove.go,signer/signer.go,cleaner/cleaner.go}.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.certificates.certificate_signing_request import (
    APPROVED,
    CERTIFICATE_SIGNING_REQUESTS,
    DENIED,
    FAILED,
)
from holdfast.api.conditions import condition, is_true
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time
from holdfast.controllers.actions import Delete, Fail, Plan, Update

from .request import Asked, encoded_request
from .rules import KUBELET_CLIENT, SIGNERS, of_kubelet_client, refusal

LONGEST = timedelta(days=365)
"""How long a certificate lives that asks for nothing else, or for more."""
SHORTEST = timedelta(minutes=10)
BACKDATED = timedelta(minutes=5)
"""Clocks differ by so much at most."""
SHORT = timedelta(hours=8)
"""Of certificates that live shorter, the end is not backdated as well."""

DECIDED_FOR = timedelta(hours=1)
PENDING_FOR = timedelta(hours=24)
SOONEST_S = 0.001
"""A timer that fires a moment early must not find the same moment again and again."""

SELF, ANY = "selfnodeclient", "nodeclient"
_MESSAGES = {
    SELF: "Auto approving self kubelet client certificate after SubjectAccessReview.",
    ANY: "Auto approving kubelet client certificate after SubjectAccessReview.",
}


def is_decided(request: Manifest) -> bool:
    """Whether somebody has approved or denied it."""
    return any(is_true(request, kind) for kind in (APPROVED, DENIED)) or _is_issued(request)


def approval(request: Manifest, message: str) -> Update:
    """Approves it, as a rule of this cluster's does."""
    verdict = {"type": APPROVED, "status": "True", "reason": "AutoApproved", "message": message}
    status = request.get("status") or {}
    conditions = [*(status.get("conditions") or ()), verdict]
    approved = {**request, "status": {**status, "conditions": conditions}}
    return Update(CERTIFICATE_SIGNING_REQUESTS, approved, subresource="approval", ignore=(NotFound,))


# -- approving what nodes ask for


@dataclass(frozen=True, slots=True)
class ObservedApproval:
    """A request that nobody has decided on, and which of the rights it asked for has been granted."""

    request: Manifest
    asked: Asked
    granted: str = ""


def rights(request: Manifest, asked: Asked) -> tuple[str, ...]:
    """Any one of these subresources, if its requestor may create it, approves the request; none for what is no node's.

    The right to renew oneself is asked for first.
    """
    spec = request["spec"]
    if spec["signerName"] != KUBELET_CLIENT or of_kubelet_client(asked, spec.get("usages") or ()):
        return ()
    return (SELF, ANY) if spec.get("username") == asked.common_name else (ANY,)


def plan_approval(observed: ObservedApproval) -> Plan:
    request = observed.request
    if observed.granted:
        return Plan("its requestor may have it", (approval(request, _MESSAGES[observed.granted]),), subject=request)
    tried = rights(request, observed.asked)
    if not tried:
        return Plan("it waits for somebody's decision", subject=request)
    name = request["metadata"]["name"]
    error = f'recognized csr "{name}" as [{" ".join(tried)}] but subject access review was not approved'
    return Plan("its requestor may not have it", (Fail(error),), subject=request)


# -- signing


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be signed, entirely: the signer decides nothing."""

    request: bytes
    """PEM; its subject, alternative names and key go into the certificate, nothing else of it."""
    usages: tuple[str, ...]
    """In the words of `spec.usages`."""
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ObservedRequest:
    """An approved request without a certificate, and the certificate once it was made."""

    request: Manifest
    asked: Asked
    now: datetime
    certificate: str = ""
    """PEM."""


def is_to_be_signed(request: Manifest) -> bool:
    is_ours = request["spec"]["signerName"] in SIGNERS
    return is_ours and is_true(request, APPROVED) and not is_true(request, FAILED) and not _is_issued(request)


def order(observed: ObservedRequest) -> Order | None:
    """None if the signer refuses it."""
    spec, now = observed.request["spec"], observed.now
    usages = tuple(spec.get("usages") or ())
    if refusal(spec["signerName"], observed.asked, usages):
        return None
    seconds = spec.get("expirationSeconds")
    life = LONGEST if seconds is None else min(LONGEST, max(SHORTEST, timedelta(seconds=seconds)))
    until = now + life if life < SHORT else now + life - BACKDATED
    return Order(encoded_request(observed.request), usages, now - BACKDATED, until)


def plan_signing(observed: ObservedRequest) -> Plan:
    request, status = observed.request, observed.request.get("status") or {}
    spec = request["spec"]
    if problem := refusal(spec["signerName"], observed.asked, spec.get("usages") or ()):
        failure = {"type": FAILED, "status": "True", "reason": "SignerValidationFailure", "message": problem}
        written = {**status, "conditions": [*(status.get("conditions") or ()), failure]}
        return Plan("its signer refuses it", (_status(request, written),), subject=request)
    assert observed.certificate, "a plan for a certificate that was not made"
    certificate = base64.b64encode(observed.certificate.encode()).decode()
    return Plan("it is signed", (_status(request, {**status, "certificate": certificate}),), subject=request)


def _status(request: Manifest, status: Manifest) -> Update:
    changed = {**request, "status": status}
    return Update(CERTIFICATE_SIGNING_REQUESTS, changed, subresource="status", ignore=(NotFound,))


# -- cleaning


@dataclass(frozen=True, slots=True)
class ObservedAge:
    """A request, and the moment at which its certificate ends, where it has one."""

    request: Manifest
    now: datetime
    ends: datetime | None = None


def goes_at(request: Manifest, ends: datetime | None) -> datetime | None:
    """When it goes: an hour after a verdict that has led to something, a day after it was asked for in vain.

    One that was approved and that no signer cares for stays, as upstream.
    """
    conditions = (request.get("status") or {}).get("conditions") or ()
    if not conditions:
        return parse_time(request["metadata"]["creationTimestamp"]) + PENDING_FOR
    moments = [_decided(request, kind) for kind in (DENIED, FAILED)]
    if _is_issued(request) and (approved := _decided(request, APPROVED)) is not None:
        moments += [approved, ends]
    known: Sequence[datetime] = [moment for moment in moments if moment is not None]
    return min(known, default=None)


def _decided(request: Manifest, kind: str) -> datetime | None:
    found = condition(request, kind)
    written = found and found.get("lastUpdateTime")
    return parse_time(written) + DECIDED_FOR if written else None


def plan_cleaning(observed: ObservedAge) -> Plan:
    request, moment = observed.request, goes_at(observed.request, observed.ends)
    if moment is None:
        return Plan("stays", subject=request)
    left_s = (moment - observed.now).total_seconds()
    if left_s > 0:
        return Plan("its time is not over", subject=request, again_after_s=max(left_s, SOONEST_S))
    metadata = request["metadata"]
    name, uid, version = metadata["name"], metadata["uid"], metadata["resourceVersion"]
    deletion = Delete(CERTIFICATE_SIGNING_REQUESTS, "", name, uid, resource_version=version)
    return Plan("nobody needs it any more", (deletion,), subject=request)


def _is_issued(request: Manifest) -> bool:
    return bool((request.get("status") or {}).get("certificate"))
