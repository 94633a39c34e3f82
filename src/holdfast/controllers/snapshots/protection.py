"""Claims from which something is being made stay until it is made (V118, V122). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Plan

from .names import CLAIM_AS_SOURCE, CLONED, finalizers
from .writes import set_finalizers


@dataclass(frozen=True, slots=True)
class ObservedSource:
    """All that the decision about a claim reads."""

    claim: Manifest
    is_cut: bool
    """Whether a snapshot is being taken of it."""
    is_cloned: bool
    """Whether a claim waits to be filled from it."""


def plan_source(observed: ObservedSource) -> Plan:
    claim = observed.claim
    present = finalizers(claim)
    wanted = [each for each in present if each not in (CLAIM_AS_SOURCE, CLONED)]
    for finalizer, is_wanted in ((CLAIM_AS_SOURCE, observed.is_cut), (CLONED, observed.is_cloned)):
        # Nothing is added to an object that is on its way out: the server would refuse.
        if is_wanted and (finalizer in present or not claim["metadata"].get("deletionTimestamp")):
            wanted.append(finalizer)
    if set(wanted) == set(present):
        return Plan("protected as it has to be")
    return Plan("what is made from it has changed", (set_finalizers(PERSISTENT_VOLUME_CLAIMS, claim, wanted),))
