"""StatefulSets (S162-S180)."""

from __future__ import annotations

from holdfast.api import names
from holdfast.api.resource import SCALE, STATUS, Resource

from .stateful_set_defaults import default, drop_max_unavailable, prepare_update
from .stateful_set_validation import validate, validate_status_update, validate_update, warnings
from .workload_table import STATEFUL_SET_COLUMNS, stateful_set_cells

STATEFUL_SETS = Resource(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    short_names=("sts",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    default=default,
    prepare_create=drop_max_unavailable,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    validates_updates_whole=False,
    validate_name=names.dns_label,
    warnings=warnings,
    columns=STATEFUL_SET_COLUMNS,
    cells=stateful_set_cells,
    initial_status={"replicas": 0, "availableReplicas": 0},
    has_generation=True,
)
