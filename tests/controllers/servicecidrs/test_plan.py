"""A ServiceCIDR is protected, ready, and gone only when no address needs it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.networking.service_cidr import SERVICE_CIDRS
from holdfast.controllers.actions import Patch, Plan
from holdfast.controllers.servicecidrs.plan import FINALIZER, Observed, plan

NOW = datetime(2026, 1, 1, 12, 0, 20, tzinfo=UTC)
LONG_AGO, JUST_NOW = "2026-01-01T12:00:00Z", "2026-01-01T12:00:16Z"


def cidr(*ranges: str, deleted_at: str = "", finalizers: Any = (FINALIZER,), ready: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "one", "uid": "u", "resourceVersion": "7", "finalizers": list(finalizers)}
    if deleted_at:
        metadata["deletionTimestamp"] = deleted_at
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    return {"metadata": metadata, "spec": {"cidrs": list(ranges)}, "status": {"conditions": conditions}}


def planned(one: dict[str, Any], *addresses: str, others: Any = ()) -> Plan:
    return plan(Observed(one, list(others), list(addresses), NOW))


def finalizers_after(found: Plan) -> Any:
    (patch,) = found.actions
    assert isinstance(patch, Patch)
    assert (patch.resource, patch.patch["metadata"]["resourceVersion"]) == (SERVICE_CIDRS, "7")
    return patch.patch["metadata"]["finalizers"]


def condition_after(found: Plan) -> tuple[str, str, str]:
    assert found.status is not None
    (condition,) = found.status.manifest["status"]["conditions"]
    assert condition["lastTransitionTime"] == "2026-01-01T12:00:20Z"
    return condition["status"], condition["reason"], condition["message"]


def test_a_new_range_is_protected_before_it_is_ready() -> None:
    assert finalizers_after(planned(cidr("10.0.0.0/28", finalizers=["a.b/c"]))) == ["a.b/c", FINALIZER]
    assert condition_after(planned(cidr("10.0.0.0/28"))) == ("True", "", "Kubernetes Service CIDR is ready")
    ready = planned(cidr("10.0.0.0/28", ready="True"))
    assert (ready.actions, ready.status) == ((), None)


IN_USE = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"


def test_a_deleted_range_stays_while_an_address_would_be_without_one() -> None:
    gone = cidr("10.0.0.0/28", "fd00::/120", deleted_at=LONG_AGO, ready="True")
    assert condition_after(planned(gone, "10.0.0.3")) == ("False", "Terminating", IN_USE)
    assert condition_after(planned(gone, "fd00::3"))[0] == "False"
    other_that_goes = cidr("10.0.0.0/24", deleted_at=LONG_AGO)
    assert condition_after(planned(gone, "10.0.0.3", others=[other_that_goes]))[0] == "False"
    known = planned(cidr("10.0.0.0/28", deleted_at=LONG_AGO, ready="False"), "10.0.0.3")
    assert (known.actions, known.status) == ((), None)


@pytest.mark.parametrize(
    ("addresses", "others"),
    [((), ()), (("10.0.1.3", "fd00::3"), ()), (("10.0.0.3",), (cidr("10.0.0.0/24"),))],
    ids=["no address", "others' addresses", "another range has them"],
)
def test_a_deleted_range_that_nobody_needs_goes_after_a_while(addresses: Any, others: Any) -> None:
    gone = cidr("10.0.0.0/28", deleted_at=LONG_AGO, finalizers=[FINALIZER, "a.b/c"])
    assert finalizers_after(planned(gone, *addresses, others=others)) == ["a.b/c"]
    soon = planned(cidr("10.0.0.0/28", deleted_at=JUST_NOW), *addresses, others=others)
    assert (soon.actions, soon.status, soon.again_after_s) == ((), None, 6.0)


def test_one_that_others_keep_is_left_to_them() -> None:
    found = planned(cidr("10.0.0.0/28", deleted_at=LONG_AGO, finalizers=["a.b/c"]), "10.0.0.3")
    assert (found.actions, found.status) == ((), None)
