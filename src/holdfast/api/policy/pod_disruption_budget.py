"""PodDisruptionBudgets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid
from holdfast.api.field_rules import at_most_100_percent, count_or_percent, supported
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.table import age

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
DISRUPTION_ALLOWED = "DisruptionAllowed"


def default(budget: Manifest) -> None:
    budget.setdefault("spec", {})
    status = budget.setdefault("status", {})
    for count in _COUNTS:
        status.setdefault(count, 0)


def validate(budget: Manifest) -> list[FieldError]:
    spec = budget["spec"]
    errors: list[FieldError] = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        errors.append(invalid("spec", _structure(spec), "minAvailable and maxUnavailable cannot be both set"))
    for field in ("minAvailable", "maxUnavailable"):
        if field in spec:
            errors += count_or_percent(f"spec.{field}", spec[field])
            errors += at_most_100_percent(f"spec.{field}", spec[field])
    errors += validate_label_selector("spec.selector", spec.get("selector"))
    if "unhealthyPodEvictionPolicy" in spec:
        policies = ("AlwaysAllow", "IfHealthyBudget")
        errors += supported("spec.unhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"], policies)
    return errors


def with_condition(status: Manifest, at: str, *, reason: str = "", message: str = "") -> Manifest:
    """The status with its condition DisruptionAllowed as its numbers say, or False for the `reason` that is given."""
    is_allowed = status.get("disruptionsAllowed", 0) > 0 and not reason
    found = status.get("conditions") or []
    before = next((one for one in found if one.get("type") == DISRUPTION_ALLOWED), None)
    value = str(is_allowed)
    since = before.get("lastTransitionTime") if before and before.get("status") == value else None
    condition = {
        "type": DISRUPTION_ALLOWED,
        "status": value,
        "lastTransitionTime": since or at,
        "reason": reason or ("SufficientPods" if is_allowed else "InsufficientPods"),
        "message": message,
    }
    if generation := status.get("observedGeneration"):
        condition["observedGeneration"] = generation
    if before is None:
        return {**status, "conditions": [*found, condition]}
    return {**status, "conditions": [condition if one is before else one for one in found]}


def _structure(spec: Manifest) -> Manifest:
    """Upstream's message shows its internal structure."""
    return {
        "MinAvailable": spec.get("minAvailable"),
        "Selector": spec.get("selector"),
        "MaxUnavailable": spec.get("maxUnavailable"),
        "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
    }


def cells(budget: Manifest, now: datetime) -> list[Any]:
    spec = budget["spec"]
    return [
        budget["metadata"]["name"],
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        budget.get("status", {}).get("disruptionsAllowed", 0),
        age(budget["metadata"].get("creationTimestamp"), now),
    ]


POD_DISRUPTION_BUDGETS = Resource(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short_names=("pdb",),
    subresources=(STATUS,),
    default=default,
    validate=validate,
    columns=(
        NAME,
        Column("Min Available", text="The minimum number of pods that must be available."),
        Column("Max Unavailable", text="The maximum number of pods that may be unavailable."),
        Column("Allowed Disruptions", "integer", text="Calculated number of pods that may be disrupted at this time."),
        AGE,
    ),
    cells=cells,
    initial_status=dict.fromkeys(_COUNTS, 0),
    has_generation=True,
    allows_unconditional_update=False,
)
