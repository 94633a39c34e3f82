"""ReplicationControllers: stored, defaulted and validated."""

from __future__ import annotations

from holdfast.api.apps.workload_table import replicated_cells, replicated_columns
from holdfast.api.apps.workload_validation import validate_lasting
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import in_order, label_map, not_negative
from holdfast.api.resource import SCALE, STATUS, Manifest, Resource
from holdfast.api.selectors import selector_from_labels

from .pod_defaults import default_template
from .pod_validation import validate_template
from .pod_warnings import new_workload_warnings, workload_warnings


def default(controller: Manifest) -> None:
    """Selector and labels come from the template where they are not given."""
    spec = controller.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_template(spec.setdefault("template", {}))
    if labels := spec["template"]["metadata"].get("labels"):
        spec["selector"] = spec.get("selector") or dict(labels)
        metadata = controller.setdefault("metadata", {})
        metadata["labels"] = metadata.get("labels") or dict(labels)
    controller.setdefault("status", {}).setdefault("replicas", 0)


def validate(controller: Manifest) -> list[FieldError]:
    spec = controller["spec"]
    selector, labels = spec.get("selector", {}), spec["template"]["metadata"].get("labels")
    errors = [*not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))]
    errors += label_map("spec.selector", selector) if selector else [required("spec.selector")]
    errors += not_negative("spec.replicas", spec.get("replicas"))
    if selector and not selector_from_labels(selector).matches(labels):
        refusal = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", in_order(labels), refusal))
    errors += validate_template("spec.template", spec["template"])
    return [*errors, *validate_lasting(spec["template"]["spec"], "ReplicationController")]


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
    create_warnings=new_workload_warnings,
    warnings=workload_warnings,
    fields={"status.replicas": lambda controller: str(controller.get("status", {}).get("replicas", 0))},
    columns=replicated_columns("core.v1", "ReplicationController"),
    cells=replicated_cells,
    initial_status={"replicas": 0},
    has_generation=True,
    default_propagation="Orphan",  # as ever since replication controllers were all there was (W58)
)
