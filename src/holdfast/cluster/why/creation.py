"""Why the API refuses the pods, or the claims, that a controller wants to make."""

from __future__ import annotations

import re

from holdfast.api.conditions import is_terminating
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.resource import Manifest

from .chain import Cause, kubectl, name_of, subject
from .claims import why_claim
from .evidence import Evidence

LONGEST_NAME = 52
"""Of a StatefulSet, since a label of its pods holds the name and a hash (S24)."""

_QUOTA = re.compile(r"exceeded quota: ([^,]+), (.*)")


def why_not_created(evidence: Evidence, owner: Manifest, what: str) -> Cause | None:
    """From the controller's own events, or its conditions; None if it has not complained."""
    message = evidence.last_message(owner, "FailedCreate")
    if not message:
        return None
    error = message.partition("error: ")[2] or message.partition("Error creating: ")[2] or message
    says = f"{what} cannot be made: {error}"
    if found := _QUOTA.search(error):
        cause = Cause(f"resourcequota/{found[1]}", f"it is used up: {found[2]}", _quota_cure(evidence, found[1]))
        return Cause(subject(owner), f"{what} cannot be made", because=cause)
    if claim := _deleted_claim(evidence, error):
        return Cause(subject(owner), f"{what} cannot be made before its old claim is gone", because=claim)
    if "serviceaccount" in error.lower() and "not found" in error:
        account = owner["spec"]["template"]["spec"].get("serviceAccountName") or "default"
        if evidence.is_absent(SERVICE_ACCOUNTS, account):
            return Cause(subject(owner), says, kubectl(owner, f"create serviceaccount {account}"))
    if owner["kind"] == "StatefulSet" and len(name_of(owner)) > LONGEST_NAME:
        cure = f"make it anew under a name of at most {LONGEST_NAME} characters"
        return Cause(subject(owner), f"its name is too long: {what} cannot be made ({error})", cure)
    return Cause(subject(owner), says, kubectl(owner, f"describe {owner['kind'].lower()} {name_of(owner)}"))


def _quota_cure(evidence: Evidence, name: str) -> str:
    return kubectl({"metadata": {"namespace": evidence.namespace}}, f"edit resourcequota {name}")


def _deleted_claim(evidence: Evidence, error: str) -> Cause | None:
    for claim in evidence.all(PERSISTENT_VOLUME_CLAIMS):
        if is_terminating(claim) and f"pvc {name_of(claim)} is being deleted" in error:
            return why_claim(evidence, claim)
    return None
