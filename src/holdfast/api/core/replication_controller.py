"""ReplicationControllers: stored, defaulted and validated."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.apps.workload_table import replicated_cells, replicated_columns
from holdfast.api.apps.workload_validation import counts_within, validate_lasting_template
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import in_order, not_negative
from holdfast.api.resource import SCALE, STATUS, Manifest, Resource

from .pod_defaults import default_template
from .pod_warnings import new_workload_warnings, workload_warnings

_WITHIN = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
_COUNTS = ("replicas", *_WITHIN, "observedGeneration")


def default(controller: Manifest) -> None:
    """Selector and labels come from the template where they are not given."""
    spec = controller.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if "template" in spec:
        default_template(spec["template"])
    if labels := spec.get("template", {}).get("metadata", {}).get("labels"):
        spec["selector"] = spec.get("selector") or dict(labels)
        metadata = controller.setdefault("metadata", {})
        metadata["labels"] = metadata.get("labels") or dict(labels)
    controller.setdefault("status", {}).setdefault("replicas", 0)


def validate(controller: Manifest) -> list[FieldError]:
    spec = controller["spec"]
    errors = [*not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))]
    if not spec.get("selector"):
        errors.append(required("spec.selector"))
    errors += not_negative("spec.replicas", spec.get("replicas"))
    if "template" not in spec:
        return [*errors, required("spec.template")]
    return [*errors, *_matches(spec), *validate_lasting_template(spec, "ReplicationController")]


def _matches(spec: Manifest) -> Iterator[FieldError]:
    """The selector is a map of labels only; whether they are well-formed nobody asks."""
    selector, labels = spec.get("selector") or {}, spec["template"]["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        refusal = "`selector` does not match template `labels`"
        yield invalid("spec.template.metadata.labels", in_order(labels) or None, refusal)


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*counts_within(new.get("status", {}), _COUNTS, _WITHIN)]


REPLICATION_CONTROLLERS = Resource(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    default=default,
    validate=validate,
    validate_status_update=validate_status_update,
    create_warnings=new_workload_warnings,
    warnings=workload_warnings,
    fields={"status.replicas": lambda controller: str(controller.get("status", {}).get("replicas", 0))},
    columns=replicated_columns("core.v1", "ReplicationController"),
    cells=replicated_cells,
    initial_status={"replicas": 0},
    has_generation=True,
    default_propagation="Orphan",  # as ever since replication controllers were all there was (W58)
)
