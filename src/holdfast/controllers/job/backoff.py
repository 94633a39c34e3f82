"""How long a failed pod is not replaced: 10 s, doubling to 10 min (W53)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.resource import Manifest

from .failures import failures_before
from .pods import finished_at, has_failed, has_succeeded, is_tracked, uid
from .views import Job

FIRST_S = 10.0
LONGEST_S = 600.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How and when a pod ended."""

    is_success: bool
    at: datetime


def remember(job: Job, pods: Iterable[Manifest], known: Mapping[str, Ended]) -> dict[str, Ended]:
    """What was known, by uid, and the ends of these pods. One the job itself sent away did not end by itself."""
    endings = {
        uid(pod): Ended(has_succeeded(pod), finished_at(pod))
        for pod in pods
        if uid(pod) not in known
        and (has_succeeded(pod) or has_failed(job, pod))
        and (is_tracked(pod) or "deletionTimestamp" not in pod["metadata"])
    }
    return {**endings, **known}


def remaining_s(ended: Iterable[Ended], now: datetime) -> float:
    """Seconds until pods may be created, by the failures since the last success."""
    everything = list(ended)
    success = max((each.at for each in everything if each.is_success), default=None)
    failures = [each.at for each in everything if not each.is_success and (success is None or each.at > success)]
    return _remaining_s(len(failures), max(failures), now) if failures else 0.0


def remaining_of_index_s(replaced: Manifest | None, now: datetime) -> float:
    """The same for one index, by the pod that failed there last."""
    return 0.0 if replaced is None else _remaining_s(failures_before(replaced) + 1, finished_at(replaced), now)


def _remaining_s(failures: int, last: datetime, now: datetime) -> float:
    wait_s = min(FIRST_S * 2.0 ** min(failures - 1, 30), LONGEST_S)
    return max(0.0, wait_s - (now - last).total_seconds())
