"""What is wrong with a StatefulSet, and what may not change in one (S165-S178, S135)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.api import feature_gates, names
from holdfast.api.core.claim_validation import validate_claim_spec
from holdfast.api.core.pod_validation import validate_template
from holdfast.api.core.pod_warnings import workload_warnings
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.feature_gates import STATEFUL_SET_RECREATE_STRATEGY
from holdfast.api.field_rules import amount, at_most_100_percent, count_or_percent, named, not_negative, supported
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest

from . import stateful_set_beyond as beyond
from .workload_validation import collisions_kept, selector_and_template, validate_lasting

_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_REFUSAL = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def validate(stateful_set: Manifest) -> list[FieldError]:
    """All that is wrong with a new set."""
    spec = stateful_set["spec"]
    recreates = feature_gates.is_enabled(STATEFUL_SET_RECREATE_STRATEGY)
    errors = [*beyond.validate(stateful_set), *_spec(spec, check_template=True, may_recreate=recreates)]
    if name := spec.get("serviceName"):
        errors += named("spec.serviceName", name, names.dns_label)
    for i, claim in enumerate(spec.get("volumeClaimTemplates", ())):
        errors += validate_claim_spec(f"spec.volumeClaimTemplates[{i}].spec", claim.get("spec", {}))
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """A template that is invalid by today's rules does not hold an update up, if it was so before (S178)."""
    template_was_valid = not [*_template(old["spec"])]
    recreates = feature_gates.is_enabled(STATEFUL_SET_RECREATE_STRATEGY) or _recreates(old)
    errors = [*beyond.validate(new, old)]
    errors += _spec(new["spec"], check_template=template_was_valid, may_recreate=recreates)
    spec = new["spec"]
    if beyond.read(new).claim_update_policy:
        errors += beyond.validate_claim_growth(new, old)
        spec = beyond.with_sizes_of(old, new)
    fixed, then = ({k: v for k, v in s.items() if k not in _MUTABLE} for s in (spec, old["spec"]))
    if not same(_without_claim_kinds(fixed), _without_claim_kinds(then)):
        errors.append(forbidden("spec", _REFUSAL))
    return errors


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    status = new.get("status", {})
    counts = {name: status.get(name, 0) for name in ("replicas", *_COUNTS)}
    errors: list[FieldError] = []
    for name, count in counts.items():
        errors += not_negative(f"status.{name}", count)
    errors += not_negative("status.observedGeneration", status.get("observedGeneration"))
    errors += not_negative("status.collisionCount", status.get("collisionCount"))
    for name in _COUNTS:
        if counts[name] > counts["replicas"]:
            errors.append(invalid(f"status.{name}", counts[name], "cannot be greater than status.replicas"))
    if counts["availableReplicas"] > counts["readyReplicas"]:
        field, count = "status.availableReplicas", counts["availableReplicas"]
        errors.append(invalid(field, count, "cannot be greater than status.readyReplicas"))
    return [*errors, *collisions_kept(new, old)]


_COUNTS = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")


def warnings(stateful_set: Manifest) -> list[str]:
    texts = [*workload_warnings(stateful_set), *beyond.warnings(stateful_set)]
    if stateful_set["spec"].get("revisionHistoryLimit", 0) < 0:
        text = "a negative value retains all historical revisions; a value >= 0 is recommended"
        texts.append(f"spec.revisionHistoryLimit: {text}")
    return texts


def _recreates(stateful_set: Manifest) -> bool:
    return bool(stateful_set["spec"].get("updateStrategy", {}).get("type") == "Recreate")


def _spec(spec: Manifest, *, check_template: bool, may_recreate: bool) -> Iterator[FieldError]:
    policy = spec.get("podManagementPolicy", "")
    if not policy:
        yield required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _strategy("spec.updateStrategy", spec.get("updateStrategy", {}), may_recreate)
    yield from _retention("spec.persistentVolumeClaimRetentionPolicy", spec)
    for number in ("replicas", "minReadySeconds"):
        yield from not_negative(f"spec.{number}", spec.get(number))
    yield from not_negative("spec.ordinals.start", spec.get("ordinals", {}).get("start"))
    # Upstream has no words for a malformed selector here.
    yield from selector_and_template(spec, "statefulset", lambda: _template(spec) if check_template else iter(()), "")
    yield from validate_lasting(spec.get("template", {}).get("spec", {}), "StatefulSet")


def _strategy(field: str, strategy: Manifest, may_recreate: bool) -> Iterator[FieldError]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if not kind:
        yield required(field)
    elif kind == "OnDelete" or (kind == "Recreate" and may_recreate):
        if rolling is not None:
            refusal = "only allowed for updateStrategy 'RollingUpdate'"
            yield invalid(f"{field}.rollingUpdate", _rolling_structure(rolling), refusal)
    elif kind == "RollingUpdate":
        if rolling is not None:
            yield from not_negative(f"{field}.rollingUpdate.partition", rolling.get("partition"))
            if "maxUnavailable" in rolling:
                yield from _max_unavailable(f"{field}.rollingUpdate.maxUnavailable", rolling["maxUnavailable"])
    else:
        shown = {"Type": kind, "RollingUpdate": _rolling_structure(rolling)}
        kinds = "'RollingUpdate', 'OnDelete' or 'Recreate'" if may_recreate else "'RollingUpdate' or 'OnDelete'"
        yield invalid(field, shown, f"must be {kinds}")


def _rolling_structure(rolling: Manifest | None) -> dict[str, Any] | None:
    if rolling is None:
        return None
    return {"Partition": rolling.get("partition", 0), "MaxUnavailable": rolling.get("maxUnavailable")}


def _max_unavailable(field: str, value: int | str) -> Iterator[FieldError]:
    yield from count_or_percent(field, value)
    if amount(value) == 0:
        yield invalid(field, value, "cannot be 0")
    yield from at_most_100_percent(field, value)


def _retention(field: str, spec: Manifest) -> Iterator[FieldError]:
    policy = spec.get("persistentVolumeClaimRetentionPolicy", {})
    for when in ("whenDeleted", "whenScaled"):
        yield from supported(f"{field}.{when}", policy.get(when, ""), ("Retain", "Delete"))


def _template(spec: Manifest) -> Iterator[FieldError]:
    claims = [claim.get("metadata", {}).get("name", "") for claim in spec.get("volumeClaimTemplates", ())]
    yield from validate_template("spec.template", spec.get("template", {}), more_volumes=claims, ignore_host_name=True)


def _without_claim_kinds(spec: Manifest) -> Manifest:
    """apiVersion and kind of a claim template say nothing (S38)."""
    claims = [
        {name: value for name, value in claim.items() if name not in ("apiVersion", "kind", "status")}
        for claim in spec.get("volumeClaimTemplates", ())
    ]
    return {**spec, "volumeClaimTemplates": claims}
