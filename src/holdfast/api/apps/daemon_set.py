"""DaemonSets: a pod on each node, counted generations of its template.

The number of the template's generation is an annotation that only the server writes, whatever a client says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from holdfast.api.core.pod_defaults import default_template
from holdfast.api.core.pod_warnings import new_workload_warnings, workload_warnings
from holdfast.api.errors import BadRequest, FieldError, invalid, required, show
from holdfast.api.field_rules import amount, at_most_100_percent, count_or_percent, not_negative
from holdfast.api.resource import STATUS, Manifest, Resource
from holdfast.api.selector_validation import validate_label_selector

from .workload_table import DAEMON_SET_COLUMNS, daemon_set_cells
from .workload_validation import (
    collisions_kept,
    counts_within,
    selector_matches,
    validate_lasting_template,
    validate_selector_kept,
)

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
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
    template_generation(daemon_set)


def template_generation(daemon_set: Manifest) -> int | None:
    """How many templates the set has had; None if it does not say. Raises BadRequest if that is no number."""
    text = ((daemon_set.get("metadata") or {}).get("annotations") or {}).get(TEMPLATE_GENERATION)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        problem = "invalid syntax"
    elif len(text.lstrip("+-0")) > 19 or not -(2**63) <= int(text) < 2**63:
        problem = "value out of range"
    else:
        return int(text)
    detail = f"strconv.ParseInt: parsing {show(text)}: {problem}"
    raise BadRequest(f'DaemonSet in version "v1" cannot be handled as a DaemonSet: {detail}')


def prepare_create(daemon_set: Manifest) -> None:
    _number_template(daemon_set, max(template_generation(daemon_set) or 0, 1))


def prepare_update(new: Manifest, old: Manifest) -> None:
    changed = new["spec"]["template"] != old["spec"]["template"]
    _number_template(new, (template_generation(old) or 0) + changed)


def _number_template(daemon_set: Manifest, number: int) -> None:
    metadata = daemon_set["metadata"]
    metadata["annotations"] = {**(metadata.get("annotations") or {}), TEMPLATE_GENERATION: str(number)}


def metadata_alone(daemon_set: Manifest) -> Manifest:
    metadata: Manifest = daemon_set["metadata"]
    annotations = {**(metadata.get("annotations") or {})}
    if annotations.pop(TEMPLATE_GENERATION, None) is None:
        return metadata
    shown = {name: value for name, value in metadata.items() if name != "annotations"}
    return {**shown, "annotations": annotations} if annotations else shown


def validate(daemon_set: Manifest) -> list[FieldError]:
    spec = daemon_set["spec"]
    errors = [*_selector(spec), *validate_lasting_template(spec, "DaemonSet")]
    errors += not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    errors += _strategy("spec.updateStrategy", spec["updateStrategy"])
    return [*errors, *not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))]


def _selector(spec: Manifest) -> Iterator[FieldError]:
    """Unlike other workloads, a set without selector is only told that it matches nothing."""
    selector = spec.get("selector")
    malformed = [*validate_label_selector("spec.selector", selector)]
    yield from malformed
    if not malformed:
        yield from selector_matches(spec)
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", {}, "empty selector is invalid for daemonset")


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    counts = (*_COUNTS, "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable")
    return [*counts_within(new.get("status", {}), (*counts, "collisionCount"), ()), *collisions_kept(new, old)]


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
    both = (("maxUnavailable", unavailable), ("maxSurge", surge))
    for name, value in both:
        yield from count_or_percent(f"{field}.{name}", value)
    for name, value in both:
        yield from at_most_100_percent(f"{field}.{name}", value)
    if amount(unavailable) == 0 and amount(surge) == 0:
        yield required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    elif amount(unavailable) and amount(surge):
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
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    prepare_status_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    create_warnings=new_workload_warnings,
    warnings=workload_warnings,
    columns=DAEMON_SET_COLUMNS,
    cells=daemon_set_cells,
    metadata_alone=metadata_alone,
    initial_status=dict.fromkeys(_COUNTS, 0),
    has_generation=True,
)
