"""Deployments: stored, defaulted and validated; the controller comes with the other workloads."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.core.pod_defaults import default_template
from holdfast.api.core.pod_warnings import new_workload_warnings, workload_warnings
from holdfast.api.errors import FieldError, forbidden, invalid, show
from holdfast.api.field_rules import amount, at_most_100_percent, count_or_percent, not_negative
from holdfast.api.resource import SCALE, STATUS, Manifest, Resource

from .workload_table import DEPLOYMENT_COLUMNS, deployment_cells
from .workload_validation import (
    collisions_kept,
    counts_within,
    selector_and_template,
    validate_lasting_template,
    validate_selector_kept,
)

_WITHIN = ("updatedReplicas", "readyReplicas", "availableReplicas")
_COUNTS = ("observedGeneration", "replicas", *_WITHIN, "unavailableReplicas", "terminatingReplicas", "collisionCount")


def default(deployment: Manifest) -> None:
    spec = deployment.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    default_template(spec.setdefault("template", {}))
    strategy = spec.setdefault("strategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    deployment.setdefault("status", {})


def validate(deployment: Manifest) -> list[FieldError]:
    spec = deployment["spec"]
    errors = [
        *not_negative("spec.replicas", spec.get("replicas")),
        *selector_and_template(spec, "deployment", lambda: validate_lasting_template(spec, "ReplicaSet")),
    ]
    errors += _strategy("spec.strategy", spec["strategy"])
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        errors += not_negative(f"spec.{field}", spec.get(field))
    deadline_s = spec.get("progressDeadlineSeconds", 0)
    if deadline_s <= spec.get("minReadySeconds", 0):
        errors.append(invalid("spec.progressDeadlineSeconds", deadline_s, "must be greater than minReadySeconds"))
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*validate_selector_kept(new, old)]


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*counts_within(new.get("status", {}), _COUNTS, _WITHIN), *collisions_kept(new, old)]


def _strategy(field: str, strategy: Manifest) -> Iterator[FieldError]:
    kind, rolling = strategy["type"], strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            refusal = "may not be specified when strategy `type` is 'Recreate'"
            yield forbidden(f"{field}.rollingUpdate", refusal)
    elif kind == "RollingUpdate":
        yield from _rolling(f"{field}.rollingUpdate", rolling or {})
    else:
        shown = show({"Type": kind, "RollingUpdate": rolling})
        refusal = f'Unsupported value: {shown}: supported values: "Recreate", "RollingUpdate"'
        yield FieldError(field, "FieldValueNotSupported", refusal)


def _rolling(field: str, rolling: Manifest) -> Iterator[FieldError]:
    surge, unavailable = rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 0)
    # Upstream checks the form of both before the size of either.
    yield from count_or_percent(f"{field}.maxUnavailable", unavailable)
    yield from count_or_percent(f"{field}.maxSurge", surge)
    if amount(unavailable) == 0 and amount(surge) == 0:
        yield invalid(f"{field}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from at_most_100_percent(f"{field}.maxUnavailable", unavailable)


DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    create_warnings=new_workload_warnings,
    warnings=workload_warnings,
    columns=DEPLOYMENT_COLUMNS,
    cells=deployment_cells,
    initial_status={},
    has_generation=True,
    generation_of=lambda deployment: [deployment.get("spec"), deployment["metadata"].get("annotations")],
)
