"""What counts about a pod of a Job (W52, W53, W55)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from holdfast.api.conditions import condition, is_finished, is_ready, phase
from holdfast.api.core.pod import PODS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time
from holdfast.controllers.actions import Patch
from holdfast.controllers.owners import STRATEGIC

from .views import Job

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"


def uid(pod: Manifest) -> str:
    return str(pod["metadata"]["uid"])


def is_tracked(pod: Manifest) -> bool:
    """Whether it has not been counted yet, as far as the pod itself tells."""
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def has_succeeded(pod: Manifest) -> bool:
    return phase(pod) == "Succeeded"


def has_failed(job: Job, pod: Manifest) -> bool:
    """A deleted one has as well: nobody may be left to say how it ended. Unless only ended ones are replaced."""
    if phase(pod) == "Failed":
        return True
    if job.replaces_only_failed:
        return False
    return "deletionTimestamp" in pod["metadata"] and not has_succeeded(pod)


def index_of(job: Job, pod: Manifest) -> int | None:
    """None if it has none, or one that the job does not have (any more)."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    index = int(text) if text.isascii() and text.isdigit() else job.indexes
    return index if index < job.indexes else None


def number(pod: Manifest, annotation: str) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def finished_at(pod: Manifest) -> datetime:
    """By its containers, else by when it stopped being ready, else by its deletion."""
    status = pod.get("status") or {}
    ends = [((each.get("state") or {}).get("terminated") or {}).get("finishedAt") for each in _containers(status)]
    moments = [parse_time(end) for end in ends if end]
    if moments and len(moments) == len(ends):
        return max(moments)
    ready = condition(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    metadata = pod["metadata"]
    if deleted := metadata.get("deletionTimestamp"):
        return parse_time(deleted) - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return parse_time(metadata["creationTimestamp"])


def restarts(pods: Iterable[Manifest]) -> int:
    """Of all containers of pods that have not ended."""
    living = [pod.get("status") or {} for pod in pods if phase(pod) in ("Running", "Pending")]
    containers = [each for status in living for each in (*_containers(status), *_init_containers(status))]
    return sum(each.get("restartCount", 0) for each in containers)


def by_age(pod: Manifest) -> tuple[str, str]:
    metadata = pod["metadata"]
    return metadata.get("creationTimestamp") or "", uid(pod)


def by_worth(pod: Manifest) -> tuple[Any, ...]:
    """A key under which the first to be given up is the smallest: the least far, then the youngest."""
    ready = condition(pod, "Ready") if is_ready(pod) else None
    return (
        bool(pod["spec"].get("nodeName")),
        {"Pending": 0, "Unknown": 1, "Running": 2}.get(phase(pod), 0),
        ready is not None,
        _Newest((ready or {}).get("lastTransitionTime") or ""),
        -restarts((pod,)),
        _Newest(pod["metadata"].get("creationTimestamp") or ""),
        uid(pod),
    )


class _Newest(str):
    """A moment's text that sorts the later one first."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def released(pod: Manifest) -> Patch:
    """The write that says: nothing is left to count about this pod.

    One that has not ended is let go only as it was seen: it may have ended since, and that would count.
    """
    metadata = pod["metadata"]
    change = {"uid": metadata["uid"], "$deleteFromPrimitiveList/finalizers": [TRACKING]}
    if not is_finished(pod) and metadata.get("resourceVersion"):
        change["resourceVersion"] = metadata["resourceVersion"]
    patch = {"metadata": change}
    return Patch(PODS, metadata["namespace"], metadata["name"], patch, type=STRATEGIC, ignore=(NotFound,))


def _containers(status: Manifest) -> list[Manifest]:
    return list(status.get("containerStatuses") or ())


def _init_containers(status: Manifest) -> list[Manifest]:
    return list(status.get("initContainerStatuses") or ())
