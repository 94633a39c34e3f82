"""All that a sync of one set depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.feature_gates import STATEFUL_SET_RECREATE_STRATEGY
from holdfast.api.resource import Manifest

from .replicas import Replicas
from .views import Find, Pod, StatefulSet


@dataclass(frozen=True, slots=True)
class Observed:
    statefulset: StatefulSet
    replicas: Replicas
    """The pods that are the set's by owner, labels and exact name."""
    others: Sequence[Pod]
    """Further pods that the set controls, and those nobody controls that its selector matches."""
    revisions: Sequence[Manifest]
    """Those its selector matches that the set controls, or nobody, oldest first (S70)."""
    claim_named: Find
    revision_named: Find
    now: datetime
    gates: frozenset[str] = frozenset()
    """Upstream's feature gates that are on."""

    @property
    def recreates(self) -> bool:
        """Whether all pods go before the first comes back updated (KEP-3541)."""
        return self.statefulset.is_recreated and STATEFUL_SET_RECREATE_STRATEGY in self.gates
