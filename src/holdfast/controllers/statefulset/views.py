"""A StatefulSet and its pods as the plan reads them: frozen views on shared manifests, Kubernetes' own names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from holdfast.api.apps import stateful_set_beyond
from holdfast.api.apps.stateful_set_beyond import Beyond
from holdfast.api.int_or_percent import resolve
from holdfast.api.resource import Manifest
from holdfast.api.selectors import LabelSelector, selector_from_manifest
from holdfast.api.times import parse_time
from holdfast.controllers.views import Workload

from .slots import Slots

Find = Callable[[str], Manifest | None]
"""The object of that name in the set's namespace, if there is one."""

REVISION_LABEL = "controller-revision-hash"

_POD_NAME = re.compile(r"(.*)-([0-9]+)", re.ASCII | re.DOTALL)
_LARGEST_ORDINAL = 2**31 - 1


class StatefulSet(Workload):
    """The set as one sync sees it, already defaulted by the API server (S162)."""

    @cached_property
    def replicas(self) -> int:
        return int(self.spec.get("replicas", 1))

    @cached_property
    def start(self) -> int:
        return int((self.spec.get("ordinals") or {}).get("start", 0))

    @cached_property
    def beyond(self) -> Beyond:
        """What it asks for that upstream does not know."""
        return stateful_set_beyond.read(self.manifest)

    @cached_property
    def slots(self) -> Slots:
        """The ordinals that pods are wanted for."""
        return Slots(self.start, self.replicas, self.beyond.reserved)

    @cached_property
    def is_ordered(self) -> bool:
        return self.spec.get("podManagementPolicy") != "Parallel"

    @cached_property
    def min_ready_s(self) -> int:
        return int(self.spec.get("minReadySeconds", 0))

    @cached_property
    def selector(self) -> LabelSelector:
        return selector_from_manifest(self.spec.get("selector"))

    @property
    def template(self) -> Manifest:
        template: Manifest = self.spec["template"]
        return template

    @property
    def claim_templates(self) -> Sequence[Manifest]:
        return self.spec.get("volumeClaimTemplates") or ()

    @property
    def deletes_claims_when_deleted(self) -> bool:
        return self._retention.get("whenDeleted") == "Delete"

    @property
    def deletes_claims_when_scaled(self) -> bool:
        return self._retention.get("whenScaled") == "Delete"

    @property
    def _retention(self) -> Mapping[str, str]:
        return self.spec.get("persistentVolumeClaimRetentionPolicy") or {}

    @property
    def is_updated_by_deletion(self) -> bool:
        """Whether the strategy is OnDelete."""
        return bool(self._strategy.get("type") == "OnDelete")

    @property
    def is_recreated(self) -> bool:
        """Whether the strategy is Recreate, which means something only where its gate is on."""
        return bool(self._strategy.get("type") == "Recreate")

    @property
    def has_partition(self) -> bool:
        """Whether `rollingUpdate` is there at all, which makes a difference (S88, S94)."""
        return self._strategy.get("rollingUpdate") is not None

    @cached_property
    def partition(self) -> int:
        """So many slots from the first on stay at the current revision."""
        return int((self._strategy.get("rollingUpdate") or {}).get("partition") or 0)

    @property
    def max_unavailable(self) -> int:
        """So many slots may be unavailable during an update, where the gate is on; at least 1 (S103)."""
        value = (self._strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
        return max(1, resolve(value, self.replicas, rounds_up=False))

    @property
    def _strategy(self) -> Mapping[str, Any]:
        return self.spec.get("updateStrategy") or {}

    @property
    def revision_history_limit(self) -> int:
        return int(self.spec.get("revisionHistoryLimit", 10))


def split_pod_name(name: str) -> tuple[str, int | None]:
    """The name of the set that a pod's name speaks of, and the ordinal, None if beyond 32 bits (S6, S16)."""
    match = _POD_NAME.fullmatch(name)
    if match is None:
        return "", None
    ordinal = int(match[2]) if len(match[2]) < 20 else _LARGEST_ORDINAL + 1
    return match[1], ordinal if ordinal <= _LARGEST_ORDINAL else None


@dataclass(frozen=True)
class Pod:
    """A stored pod."""

    manifest: Manifest

    @cached_property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.manifest["metadata"]["uid"])

    @cached_property
    def ordinal(self) -> int | None:
        """None if the name does not end in a number of 32 bits."""
        return split_pod_name(self.name)[1]

    @property
    def labels(self) -> Mapping[str, str]:
        return self.manifest["metadata"].get("labels") or {}

    @cached_property
    def revision(self) -> str:
        return self.labels.get(REVISION_LABEL, "")

    @cached_property
    def phase(self) -> str:
        return str((self.manifest.get("status") or {}).get("phase", ""))

    @property
    def is_created(self) -> bool:
        return self.phase != ""

    @property
    def is_pending(self) -> bool:
        return self.phase == "Pending"

    @property
    def has_ended(self) -> bool:
        """Phase Failed or Succeeded, which are the same here (S41.1)."""
        return self.phase in ("Failed", "Succeeded")

    @cached_property
    def is_terminating(self) -> bool:
        return "deletionTimestamp" in self.manifest["metadata"]

    @cached_property
    def is_ready(self) -> bool:
        return self.phase == "Running" and self._ready_condition is not None

    @cached_property
    def _ready_condition(self) -> Manifest | None:
        for condition in (self.manifest.get("status") or {}).get("conditions") or ():
            if condition.get("type") == "Ready" and condition.get("status") == "True":
                return dict(condition)
        return None

    @cached_property
    def ready_since(self) -> datetime | None:
        """When it turned ready; None if that is not known, and for a pod that is not."""
        condition = self._ready_condition
        if not self.is_ready or condition is None or not condition.get("lastTransitionTime"):
            return None
        return parse_time(condition["lastTransitionTime"])

    def is_available(self, min_ready_s: int, now: datetime) -> bool:
        """Ready, and for `min_ready_s` seconds."""
        if not self.is_ready or min_ready_s == 0:
            return self.is_ready
        return self.ready_since is not None and self.ready_since + timedelta(seconds=min_ready_s) <= now

    def is_unavailable(self, min_ready_s: int, now: datetime) -> bool:
        """Not available, or terminating."""
        return self.is_terminating or not self.is_available(min_ready_s, now)
