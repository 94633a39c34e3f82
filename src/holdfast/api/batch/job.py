"""Jobs: pods that run to their end. `controllers/job` runs them."""

from __future__ import annotations

from holdfast.api.core.pod_warnings import new_workload_warnings, workload_warnings
from holdfast.api.resource import STATUS, Resource

from .batch_table import JOB_COLUMNS, job_cells
from .job_defaults import default, prepare_create
from .job_status_validation import validate_status_update
from .job_validation import validate, validate_update

JOBS = Resource(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    categories=("all",),
    subresources=(STATUS,),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    create_warnings=new_workload_warnings,
    warnings=workload_warnings,
    fields={"status.successful": lambda job: str(job.get("status", {}).get("succeeded", 0))},
    columns=JOB_COLUMNS,
    cells=job_cells,
    initial_status={},
    has_generation=True,
    default_propagation="Orphan",  # as ever for clients that ask for nothing (W58)
)
