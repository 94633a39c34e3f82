"""A DaemonSet as the plan reads it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from holdfast.api.apps.daemon_set import template_generation
from holdfast.api.int_or_percent import resolve
from holdfast.api.resource import Manifest
from holdfast.api.selectors import LabelSelector, selector_from_manifest
from holdfast.controllers.views import Workload

from .placement import tolerant

HASH_LABEL = "controller-revision-hash"
"""Of a pod and of its revision, with the same value."""
GENERATION_LABEL = "pod-template-generation"


class DaemonSet(Workload):
    """A DaemonSet, already defaulted by the API server."""

    @property
    def observed_generation(self) -> int:
        return int(self.status.get("observedGeneration") or 0)

    @cached_property
    def selector(self) -> LabelSelector:
        return selector_from_manifest(self.spec.get("selector"))

    def selects(self, one: Manifest) -> bool:
        """Whether the selector matches a pod's or a revision's labels."""
        return self.selector.matches(one["metadata"].get("labels"))

    @property
    def template(self) -> Manifest:
        return dict(self.spec["template"])

    @cached_property
    def tolerant_template(self) -> Manifest:
        """The template with the tolerations that every daemon has (W40)."""
        return tolerant(self.template)

    @property
    def template_generation(self) -> int | None:
        return template_generation(self.manifest)

    @property
    def min_ready_s(self) -> int:
        return int(self.spec.get("minReadySeconds") or 0)

    @property
    def is_rolling(self) -> bool:
        return bool(self._strategy.get("type") == "RollingUpdate")

    @property
    def history_limit(self) -> int:
        return int(self.spec.get("revisionHistoryLimit", 10))

    @property
    def surges(self) -> bool:
        """Whether an old and a new pod may be on a node side by side."""
        return self.max_surge(1) > 0

    def max_surge(self, wanted: int) -> int:
        """So many nodes of the `wanted` ones may have a second pod during an update."""
        return self._share("maxSurge", wanted)

    def max_unavailable(self, wanted: int) -> int:
        """So many of the wanted pods may be missing during an update."""
        share = self._share("maxUnavailable", wanted)
        return 1 if share == 0 and self.is_rolling and wanted and not self.max_surge(wanted) else share

    def _share(self, name: str, wanted: int) -> int:
        if not self.is_rolling:
            return 0
        return resolve((self._strategy.get("rollingUpdate") or {}).get(name, 0), wanted, rounds_up=True)

    @property
    def _strategy(self) -> dict[str, Any]:
        return self.spec.get("updateStrategy") or {}
