"""DaemonSets: stored, defaulted and validated; the controller comes with the other workloads."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.core.pod_defaults import default_template
from holdfast.api.core.pod_warnings import new_workload_warnings, workload_warnings
from holdfast.api.errors import FieldError, invalid, required, show
from holdfast.api.field_rules import at_most_100_percent, count_or_percent, not_negative
from holdfast.api.resource import STATUS, Manifest, Resource

from .workload_table import DAEMON_SET_COLUMNS, daemon_set_cells
from .workload_validation import validate_lasting_template, validate_selector, validate_selector_kept

_COUNTS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")


def default(daemon_set: Manifest) -> None:
    spec = daemon_set.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", 10)
    default_template(spec.setdefault("template", {}))
    strategy = spec.setdefault("updateStrategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    status = daemon_set.setdefault("status", {})
    for count in _COUNTS:
        status.setdefault(count, 0)


def validate(daemon_set: Manifest) -> list[FieldError]:
    spec = daemon_set["spec"]
    errors = [*validate_selector(spec, "daemonset"), *validate_lasting_template(spec, "DaemonSet")]
    if spec.get("templateGeneration", 0) < 0:
        errors.append(invalid("spec.templateGeneration", spec["templateGeneration"], "must be non-negative"))
    errors += not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors += _strategy("spec.updateStrategy", spec["updateStrategy"])
    return [*errors, *not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*validate_selector_kept(new, old)]


def _strategy(field: str, strategy: Manifest) -> Iterator[FieldError]:
    kind, rolling = strategy["type"], strategy.get("rollingUpdate")
    if kind == "RollingUpdate":
        yield from _rolling(f"{field}.rollingUpdate", rolling or {})
    elif kind != "OnDelete":
        shown = show({"Type": kind, "RollingUpdate": rolling})
        refusal = f'Unsupported value: {shown}: supported values: "RollingUpdate", "OnDelete"'
        yield FieldError(field, "FieldValueNotSupported", refusal)


def _rolling(field: str, rolling: Manifest) -> Iterator[FieldError]:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        yield from count_or_percent(f"{field}.{name}", value)
        yield from at_most_100_percent(f"{field}.{name}", value)
    nothing = (0, "0%")
    if unavailable in nothing and surge in nothing:
        yield required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    elif unavailable not in nothing and surge not in nothing:
        yield invalid(f"{field}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")


DAEMON_SETS = Resource(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    short_names=("ds",),
    categories=("all",),
    subresources=(STATUS,),
    default=default,
    validate=validate,
    validate_update=validate_update,
    create_warnings=new_workload_warnings,
    warnings=workload_warnings,
    columns=DAEMON_SET_COLUMNS,
    cells=daemon_set_cells,
    initial_status=dict.fromkeys(_COUNTS, 0),
    has_generation=True,
)
