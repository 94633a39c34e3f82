"""What the server fills into StatefulSets, and what it drops (S162, S163, S38, S104)."""

from __future__ import annotations

from holdfast.api import feature_gates
from holdfast.api.core.claim_defaults import default_claim_spec
from holdfast.api.core.pod_defaults import default_template
from holdfast.api.feature_gates import MAX_UNAVAILABLE_STATEFUL_SET
from holdfast.api.resource import Manifest


def default(stateful_set: Manifest) -> None:
    spec = stateful_set.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("serviceName", "")
    spec["podManagementPolicy"] = spec.get("podManagementPolicy") or "OrderedReady"
    spec.setdefault("revisionHistoryLimit", 10)
    default_template(spec.setdefault("template", {}))
    _default_strategy(spec.setdefault("updateStrategy", {}))
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for when in ("whenDeleted", "whenScaled"):
        retention[when] = retention.get(when) or "Retain"
    for claim in spec.get("volumeClaimTemplates", ()):
        _default_claim_template(claim)
    if not spec.get("minReadySeconds"):
        spec.pop("minReadySeconds", None)
    _default_status(stateful_set)


def _default_status(stateful_set: Manifest) -> None:
    """Two counts are always shown, and a condition always has a time, if only none."""
    status = stateful_set.setdefault("status", {})
    status.setdefault("replicas", 0)
    status.setdefault("availableReplicas", 0)
    for condition in status.get("conditions", ()):
        condition.setdefault("lastTransitionTime", None)


def _default_strategy(strategy: Manifest) -> None:
    """The partition appears with the type, or with a rolling update that was asked for."""
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
        if feature_gates.is_enabled(MAX_UNAVAILABLE_STATEFUL_SET):
            strategy["rollingUpdate"].setdefault("maxUnavailable", 1)


def _default_claim_template(claim: Manifest) -> None:
    claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
    claim.setdefault("metadata", {})
    default_claim_spec(claim.setdefault("spec", {}))
    status = claim.setdefault("status", {})
    status["phase"] = status.get("phase") or "Pending"


def drop_max_unavailable(stateful_set: Manifest) -> None:
    """The field belongs to a gate, which may be off."""
    if not feature_gates.is_enabled(MAX_UNAVAILABLE_STATEFUL_SET):
        stateful_set["spec"].get("updateStrategy", {}).get("rollingUpdate", {}).pop("maxUnavailable", None)


def prepare_update(new: Manifest, old: Manifest) -> None:
    """A stored field of a gate that is off stays usable."""
    stored = old.get("spec", {}).get("updateStrategy", {}).get("rollingUpdate", {})
    if "maxUnavailable" not in stored:
        drop_max_unavailable(new)
