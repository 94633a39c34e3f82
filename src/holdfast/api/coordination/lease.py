"""Leases: who leads, and which node is alive (A259)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid
from holdfast.api.field_rules import not_negative
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age


def default(lease: Manifest) -> None:
    lease.setdefault("spec", {})


def prepare_create(lease: Manifest) -> None:
    """Electing a leader together belongs to a gate that is off."""
    for member in ("strategy", "preferredHolder"):
        lease["spec"].pop(member, None)


def prepare_update(new: Manifest, old: Manifest) -> None:
    prepare_create(new)


def validate(lease: Manifest) -> list[FieldError]:
    spec = lease["spec"]
    errors: list[FieldError] = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    return [*errors, *not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))]


def cells(lease: Manifest, now: datetime) -> list[Any]:
    return [
        lease["metadata"]["name"],
        lease["spec"].get("holderIdentity", ""),
        age(lease["metadata"].get("creationTimestamp"), now),
    ]


LEASES = Resource(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    columns=(NAME, Column("Holder", documents="coordination.v1.LeaseSpec.holderIdentity"), AGE),
    cells=cells,
    creates_on_update=True,
    allows_unconditional_update=False,
)
