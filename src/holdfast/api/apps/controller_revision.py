"""ControllerRevisions: what a controller remembers of a template it once had (S80)."""

from __future__ import annotations

from holdfast.api.errors import FieldError, required
from holdfast.api.field_rules import immutable, not_negative
from holdfast.api.resource import Manifest, Resource

from .workload_table import CONTROLLER_REVISION_COLUMNS, controller_revision_cells


def default(revision: Manifest) -> None:
    revision.setdefault("revision", 0)


def validate(revision: Manifest) -> list[FieldError]:
    errors = [] if isinstance(revision.get("data"), dict) else [required("data", "data is mandatory")]
    return [*errors, *not_negative("revision", revision.get("revision"))]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*immutable("data", new.get("data"), old.get("data"))]


CONTROLLER_REVISIONS = Resource(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=CONTROLLER_REVISION_COLUMNS,
    cells=controller_revision_cells,
)
