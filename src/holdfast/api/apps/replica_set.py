"""ReplicaSets: stored, defaulted and validated; the controller comes with the other workloads."""

from __future__ import annotations

from holdfast.api.core.pod_defaults import default_template
from holdfast.api.core.pod_warnings import new_workload_warnings, workload_warnings
from holdfast.api.errors import FieldError
from holdfast.api.field_rules import not_negative
from holdfast.api.resource import SCALE, STATUS, Manifest, Resource

from .workload_table import replicated_cells, replicated_columns
from .workload_validation import (
    counts_within,
    selector_and_template,
    validate_lasting_template,
    validate_selector_kept,
)

_WITHIN = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
_COUNTS = ("replicas", *_WITHIN, "terminatingReplicas", "observedGeneration")


def default(replica_set: Manifest) -> None:
    spec = replica_set.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_template(spec.setdefault("template", {}))
    replica_set.setdefault("status", {}).setdefault("replicas", 0)


def validate(replica_set: Manifest) -> list[FieldError]:
    spec = replica_set["spec"]
    errors: list[FieldError] = []
    for field in ("replicas", "minReadySeconds"):
        errors += not_negative(f"spec.{field}", spec.get(field))
    # Upstream's message speaks of a deployment here as well.
    return [*errors, *selector_and_template(spec, "deployment", lambda: validate_lasting_template(spec, "ReplicaSet"))]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*validate_selector_kept(new, old)]


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*counts_within(new.get("status", {}), _COUNTS, _WITHIN)]


REPLICA_SETS = Resource(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    create_warnings=new_workload_warnings,
    warnings=workload_warnings,
    fields={"status.replicas": lambda replica_set: str(replica_set.get("status", {}).get("replicas", 0))},
    columns=replicated_columns("apps.v1", "ReplicaSet"),
    cells=replicated_cells,
    initial_status={"replicas": 0},
    has_generation=True,
)
