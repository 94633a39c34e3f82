"""CSIDrivers: stored, for tools that look for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, required
from holdfast.api.field_rules import only, supported
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

_MODES = ("Ephemeral", "Persistent")
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
    errors = [required(f"spec.{flag}") for flag in ("attachRequired",) if flag not in spec]
    errors += only("spec.volumeLifecycleModes", spec["volumeLifecycleModes"], _MODES)
    policies = ("File", "None", "ReadWriteOnceWithFSType")
    return [*errors, *supported("spec.fsGroupPolicy", spec["fsGroupPolicy"], policies)]


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
