"""What the status of a ValidatingAdmissionPolicy should tell.

Source: Kubernetes, pkg/controller/validatingadmissionpolicystatus/controller.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.admissionregistration.type_checking import warnings
from holdfast.api.admissionregistration.validating_admission_policy import VALIDATING_ADMISSION_POLICIES
from holdfast.api.errors import NotFound
from holdfast.api.kinds import Kinds
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Patch, Plan


@dataclass(frozen=True, slots=True)
class Observed:
    policy: Manifest
    definitions: Sequence[Manifest]
    """Of the groups that the policy names."""


def plan(observed: Observed) -> Plan:
    """Each generation of a policy is looked at once, whatever becomes of the kinds, as upstream does."""
    policy = observed.policy
    metadata = policy["metadata"]
    if metadata["generation"] <= (policy.get("status") or {}).get("observedGeneration", 0):
        return Plan("its expressions were looked at", subject=policy)
    kinds = Kinds()
    for definition in observed.definitions:
        kinds.define(definition)
    found = warnings(policy, kinds)
    status: dict[str, Any] = {
        "observedGeneration": metadata["generation"],
        "typeChecking": {"expressionWarnings": found or None},
    }
    patch = {"metadata": {"uid": metadata["uid"]}, "status": status}
    action = Patch(VALIDATING_ADMISSION_POLICIES, "", metadata["name"], patch, subresource="status", ignore=(NotFound,))
    return Plan(f"{len(found)} of its expressions cannot be right", (action,), subject=policy)
