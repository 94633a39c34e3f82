"""A quota's status: what it allows, and what is used of that (A243).

Source: Kubernetes, pkg/controller/resourcequota/resource_quota_controller.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.core.quota_tally import hard_of
from holdfast.api.core.resource_quota import RESOURCE_QUOTAS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Plan, Update

SOONEST_S = 0.1


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    quota: Manifest
    used: Mapping[str, str]
    next_change: datetime | None
    """When something stops to count by itself."""
    now: datetime


def plan(observed: Observed) -> Plan:
    quota, hard = observed.quota, hard_of(observed.quota)
    used = {name: amount for name, amount in sorted(observed.used.items()) if name in hard}
    again_s = None
    if observed.next_change is not None:
        again_s = max((observed.next_change - observed.now).total_seconds(), 0) + SOONEST_S
    status = {name: amounts for name, amounts in (("hard", hard), ("used", used)) if amounts}
    if status == (quota.get("status") or {}):
        return Plan("its status says so", subject=quota, again_after_s=again_s)
    write = Update(RESOURCE_QUOTAS, {**quota, "status": status}, "status")
    return Plan("another amount is used", status=write, subject=quota, again_after_s=again_s)
