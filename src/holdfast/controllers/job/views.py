"""A Job as the plan reads it."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any

from holdfast.api.conditions import is_true
from holdfast.api.resource import Manifest
from holdfast.api.selectors import LabelSelector, selector_from_manifest
from holdfast.api.times import parse_time
from holdfast.controllers.views import Workload

from . import indexes

OWN_NAME = "kubernetes.io/job-controller"
"""What `spec.managedBy` says of Jobs that this controller runs, if it says anything."""


class Job(Workload):
    """A Job, already defaulted by the API server."""

    @cached_property
    def selector(self) -> LabelSelector:
        return selector_from_manifest(self.spec.get("selector"))

    @property
    def template(self) -> Manifest:
        template: Manifest = self.spec["template"]
        return template

    @property
    def is_managed_elsewhere(self) -> bool:
        return (self.spec.get("managedBy") or OWN_NAME) != OWN_NAME

    @property
    def is_finished(self) -> bool:
        return is_true(self.manifest, "Complete") or is_true(self.manifest, "Failed")

    @property
    def is_suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    @property
    def parallelism(self) -> int:
        return int(self.spec.get("parallelism", 1))

    @property
    def completions(self) -> int | None:
        """None: until one pod has succeeded and the others have ended."""
        completions = self.spec.get("completions")
        return None if completions is None else int(completions)

    @cached_property
    def is_indexed(self) -> bool:
        return self.spec.get("completionMode") == "Indexed"

    @cached_property
    def indexes(self) -> int:
        """How many indexes an Indexed job has."""
        return self.completions or 0

    @property
    def backoff_limit(self) -> int:
        return int(self.spec.get("backoffLimit", 6))

    @property
    def backoff_limit_per_index(self) -> int | None:
        limit = self.spec.get("backoffLimitPerIndex")
        return int(limit) if limit is not None and self.is_indexed else None

    @property
    def most_failed_indexes(self) -> int | None:
        most = self.spec.get("maxFailedIndexes")
        return None if most is None else int(most)

    @property
    def failure_policy(self) -> Manifest | None:
        policy: Manifest | None = self.spec.get("podFailurePolicy")
        return policy

    @property
    def success_policy(self) -> Manifest | None:
        policy: Manifest | None = self.spec.get("successPolicy")
        return policy

    @cached_property
    def replaces_only_failed(self) -> bool:
        """Whether a pod on its way out is neither a failure nor replaced before it has ended."""
        return self.spec.get("podReplacementPolicy") == "Failed" or self.failure_policy is not None

    @property
    def restarts_containers(self) -> bool:
        return bool(self.template["spec"].get("restartPolicy") == "OnFailure")

    @property
    def deadline_s(self) -> int | None:
        seconds = self.spec.get("activeDeadlineSeconds")
        return None if seconds is None else int(seconds)

    @property
    def started_at(self) -> datetime | None:
        moment = self.status.get("startTime")
        return parse_time(moment) if moment else None

    @property
    def conditions(self) -> list[Any]:
        return list(self.status.get("conditions") or ())

    @property
    def succeeded(self) -> int:
        return int(self.status.get("succeeded") or 0)

    @property
    def failed(self) -> int:
        return int(self.status.get("failed") or 0)

    def uncounted(self, outcome: str) -> list[str]:
        """Uids of pods that ended and are not in the counters yet; `outcome` is `succeeded` or `failed`."""
        return list((self.status.get("uncountedTerminatedPods") or {}).get(outcome) or ())

    @cached_property
    def completed_indexes(self) -> frozenset[int]:
        return indexes.parse(self.status.get("completedIndexes") or "", self.indexes)

    @cached_property
    def failed_indexes(self) -> frozenset[int]:
        return indexes.parse(self.status.get("failedIndexes") or "", self.indexes)
