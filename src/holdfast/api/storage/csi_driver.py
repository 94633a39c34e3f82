"""CSIDrivers: stored, for tools that look for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, duplicate, invalid, required
from holdfast.api.field_rules import only, supported
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

_MODES = ("Persistent", "Ephemeral")
_LEAST_PERIOD_S = 10
_FLAGS = ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount")


def default(driver: Manifest) -> None:
    spec = driver.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    for flag in _FLAGS:
        spec.setdefault(flag, False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    spec["volumeLifecycleModes"] = spec.get("volumeLifecycleModes") or ["Persistent"]


def validate(driver: Manifest) -> list[FieldError]:
    spec = driver["spec"]
    # Upstream's name of the field in messages has a letter more.
    errors = [] if spec.get("attachRequired") is not None else [required("spec.attachedRequired")]
    errors += supported("spec.fsGroupPolicy", spec["fsGroupPolicy"], ("File", "None", "ReadWriteOnceWithFSType"))
    errors += _token_requests("spec.tokenRequests", spec.get("tokenRequests", ()))
    errors += only("spec.volumeLifecycleModes", spec["volumeLifecycleModes"], _MODES)
    period_s = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period_s is not None and period_s < _LEAST_PERIOD_S:
        refusal = f"must be greater than or equal to {_LEAST_PERIOD_S} seconds"
        errors.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period_s, refusal))
    return errors


def _token_requests(field: str, requests: Sequence[Manifest]) -> Iterator[FieldError]:
    """One for each audience, for ten minutes or longer."""
    seen: set[str] = set()
    for i, request in enumerate(requests):
        audience, seconds = request.get("audience", ""), request.get("expirationSeconds")
        if audience in seen:
            yield duplicate(f"{field}[{i}].audience", audience)
            continue
        seen.add(audience)
        at = f"{field}[{i}].expirationSeconds"
        if seconds is not None and seconds < 600:
            yield invalid(at, seconds, "may not specify a duration less than 10 minutes")
        if seconds is not None and seconds > 1 << 32:
            yield invalid(at, seconds, "may not specify a duration larger than 2^32 seconds")


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    now, then = new["spec"], old["spec"]
    errors: list[FieldError] = []
    for field, member in (("attachedRequired", "attachRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
        if now.get(member) != then.get(member):
            errors.append(invalid(f"spec.{field}", now.get(member), "field is immutable"))
    return errors


def cells(driver: Manifest, now: datetime) -> list[Any]:
    spec = driver["spec"]
    return [
        driver["metadata"]["name"],
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        ",".join(request.get("audience", "") for request in spec.get("tokenRequests", ())) or "<unset>",
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes", ())) or "<none>",
        age(driver["metadata"].get("creationTimestamp"), now),
    ]


CSI_DRIVERS = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_name=lambda name: names.dns_subdomain(name.lower()),
    columns=(
        NAME,
        Column("AttachRequired", "boolean", documents="storage.v1.CSIDriverSpec.attachRequired"),
        Column("PodInfoOnMount", "boolean", documents="storage.v1.CSIDriverSpec.podInfoOnMount"),
        Column("StorageCapacity", "boolean", documents="storage.v1.CSIDriverSpec.storageCapacity"),
        Column("TokenRequests", documents="storage.v1.CSIDriverSpec.tokenRequests"),
        Column("RequiresRepublish", "boolean", documents="storage.v1.CSIDriverSpec.requiresRepublish"),
        Column("Modes", documents="storage.v1.CSIDriverSpec.volumeLifecycleModes"),
        AGE,
    ),
    cells=cells,
    allows_unconditional_update=False,
    delete_returns_object=True,
)
