"""CSIStorageCapacities: stored, for drivers that report how much they have left."""

from __future__ import annotations

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid
from holdfast.api.field_rules import named, quantity_not_negative
from holdfast.api.meaning import same
from holdfast.api.resource import CREATED_COLUMNS, Manifest, Resource, created_cells
from holdfast.api.selector_validation import validate_label_selector


def default(capacity: Manifest) -> None:
    capacity.setdefault("storageClassName", "")


def validate(capacity: Manifest) -> list[FieldError]:
    errors = [*validate_label_selector("nodeTopology", capacity.get("nodeTopology"))]
    errors += named("storageClassName", capacity["storageClassName"], names.dns_subdomain)
    for field in ("capacity", "maximumVolumeSize"):
        if field in capacity:
            errors += quantity_not_negative(field, capacity[field])
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """What a driver was asked for stays; what it answered may change."""
    return [
        invalid(field, new.get(field), "field is immutable")
        for field in ("nodeTopology", "storageClassName")
        if not same(new.get(field), old.get(field))
    ]


CSI_STORAGE_CAPACITIES = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=CREATED_COLUMNS,
    cells=created_cells,
    allows_unconditional_update=False,
)
