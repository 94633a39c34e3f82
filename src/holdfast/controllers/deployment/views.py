"""A Deployment and its ReplicaSets as the plan reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from holdfast.api.int_or_percent import resolve
from holdfast.api.resource import Manifest
from holdfast.api.selectors import LabelSelector, selector_from_manifest
from holdfast.controllers.views import Workload

UNLIMITED = 2**31 - 1


class Deployment(Workload):
    """A Deployment, already defaulted by the API server."""

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.manifest["metadata"].get("annotations") or {})

    @cached_property
    def selector(self) -> LabelSelector:
        return selector_from_manifest(self.spec.get("selector"))

    @property
    def template(self) -> Manifest:
        return dict(self.spec["template"])

    @cached_property
    def replicas(self) -> int:
        return int(self.spec.get("replicas", 1))

    @property
    def min_ready_s(self) -> int:
        return int(self.spec.get("minReadySeconds") or 0)

    @property
    def is_paused(self) -> bool:
        return bool(self.spec.get("paused"))

    @property
    def is_rolling(self) -> bool:
        return bool((self.spec.get("strategy") or {}).get("type") != "Recreate")

    @property
    def deadline_s(self) -> int | None:
        """Seconds without progress after which it is called stuck; None for never."""
        seconds = self.spec.get("progressDeadlineSeconds")
        return None if seconds is None or seconds == UNLIMITED else int(seconds)

    @property
    def history_limit(self) -> int | None:
        limit = self.spec.get("revisionHistoryLimit")
        return None if limit is None or limit == UNLIMITED else int(limit)

    @cached_property
    def max_surge(self) -> int:
        """So many pods more than wanted there may be during an update (W20)."""
        return self._bounds[0] if self.is_rolling else 0

    @cached_property
    def max_unavailable(self) -> int:
        """So many of the wanted pods may be missing during an update (W20)."""
        return min(self._bounds[1], self.replicas) if self.is_rolling else 0

    @cached_property
    def _bounds(self) -> tuple[int, int]:
        rolling = (self.spec.get("strategy") or {}).get("rollingUpdate") or {}
        surge = resolve(rolling.get("maxSurge", 0), self.replicas, rounds_up=True)
        unavailable = resolve(rolling.get("maxUnavailable", 0), self.replicas, rounds_up=False)
        return (0, 1) if surge == unavailable == 0 else (surge, unavailable)


@dataclass
class ReplicaSet:
    """A ReplicaSet while one plan is made: what is stored, and the size and annotations it shall have."""

    manifest: Manifest
    is_new: bool = False
    """Not stored yet."""
    replicas: int = field(init=False)
    annotations: dict[str, str] = field(init=False)
    min_ready_s: int = field(init=False)

    def __post_init__(self) -> None:
        self.replicas = self.stored_replicas
        self.annotations = dict(self.manifest["metadata"].get("annotations") or {})
        self.min_ready_s = int(self.manifest["spec"].get("minReadySeconds") or 0)

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.manifest["metadata"].get("uid", ""))

    @property
    def stored_replicas(self) -> int:
        return int(self.manifest["spec"].get("replicas", 1))

    @property
    def created(self) -> tuple[str, str]:
        """Sorts by age, oldest first."""
        return self.manifest["metadata"].get("creationTimestamp") or "~", self.name

    @property
    def is_being_deleted(self) -> bool:
        return "deletionTimestamp" in self.manifest["metadata"]

    def reports(self, name: str) -> int:
        """A count of its status; 0 if absent."""
        return int((self.manifest.get("status") or {}).get(name) or 0)

    @property
    def terminating(self) -> int | None:
        """None if it does not say."""
        count = (self.manifest.get("status") or {}).get("terminatingReplicas")
        return None if count is None else int(count)

    @property
    def available(self) -> int:
        return self.reports("availableReplicas")

    @property
    def is_changed(self) -> bool:
        return (
            self.replicas != self.stored_replicas
            or self.annotations != (self.manifest["metadata"].get("annotations") or {})
            or self.min_ready_s != int(self.manifest["spec"].get("minReadySeconds") or 0)
        )

    def wanted(self) -> Manifest:
        """As it shall be stored."""
        spec: dict[str, Any] = {**self.manifest["spec"], "replicas": self.replicas}
        spec.pop("minReadySeconds", None)
        if self.min_ready_s:
            spec["minReadySeconds"] = self.min_ready_s
        metadata = {**self.manifest["metadata"], "annotations": self.annotations}
        return {**self.manifest, "metadata": metadata, "spec": spec}


def active(sets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """Those that shall have pods."""
    return [one for one in sets if one.replicas > 0]


def size(sets: Iterable[ReplicaSet]) -> int:
    """How many pods they shall have together."""
    return sum(one.replicas for one in sets)
