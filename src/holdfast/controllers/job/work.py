"""Which pods a Job that goes on creates and deletes (W50, W53, W55, W56)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from typing import Any

from holdfast.api.batch.job import JOBS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create, Report, Waves
from holdfast.controllers.owners import owner_reference
from holdfast.controllers.pod_writes import delete_pod

from . import backoff
from .failures import failure_counts
from .pods import INDEX, TRACKING, by_worth, index_of, is_tracked, released, uid
from .tally import Tally
from .views import Job

MOST_AT_ONCE = 500
"""So many pods are created or deleted in one sync."""
MOST_PREFIX = 58
"""The longest part of a pod's name before the five letters that the server makes."""
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"


@dataclass(frozen=True, slots=True)
class Work:
    reason: str
    actions: Sequence[Action] = ()
    created: int = 0
    deleted: Sequence[Manifest] = ()
    """Active pods that are sent away."""
    again_after_s: float | None = None


def work(job: Job, tally: Tally, ended: Iterable[backoff.Ended], now: datetime) -> Work:
    """The next step towards the wanted number of active pods: either fewer or more, never both at once."""
    surplus = _surplus(job, tally)
    if surplus:
        return Work(f"{len(surplus)} pods are too many", dismiss(surplus), deleted=surplus)
    if job.is_suspended:
        return Work("suspended")
    missing = _wanted(job, tally) - len(tally.active) - (len(tally.terminating) if job.replaces_only_failed else 0)
    if missing <= 0:
        return Work("all as wanted")
    if job.backoff_limit_per_index is None and (wait_s := backoff.remaining_s(ended, now)) > 0:
        return Work("pods failed: the next ones wait", again_after_s=wait_s)
    missing = min(missing, MOST_AT_ONCE)
    if not job.is_indexed:
        return _creation([_create(job, build_pod(job))] * missing)
    return _indexed(job, tally, missing, now)


def dismiss(pods: Iterable[Manifest]) -> Sequence[Action]:
    """Deletes pods whose end counts as nothing. The finalizer goes first: from then on they are not the job's."""
    lists: list[list[Action]] = [
        [released(pod), delete_pod(pod)] if is_tracked(pod) else [delete_pod(pod)] for pod in pods
    ]
    return (Waves(lists),) if lists else ()


def build_pod(job: Job, index: int | None = None, replaced: Manifest | None = None) -> Manifest:
    """A pod from the template, named by the server; of an Indexed job the one for `index` (W55)."""
    template_metadata = job.template.get("metadata") or {}
    metadata: dict[str, Any] = {
        "generateName": f"{job.name}-" if index is None else _prefix(job.name, index),
        "namespace": job.namespace,
        "ownerReferences": [owner_reference(JOBS, job.manifest)],
        "labels": dict(template_metadata.get("labels") or {}),
        "annotations": dict(template_metadata.get("annotations") or {}),
        "finalizers": [*(each for each in template_metadata.get("finalizers") or () if each != TRACKING), TRACKING],
    }
    spec = job.template["spec"]
    if index is not None:
        metadata["labels"][INDEX] = metadata["annotations"][INDEX] = str(index)
        if job.backoff_limit_per_index is not None:
            metadata["annotations"] |= failure_counts(job, replaced)
        spec = {**spec, "hostname": f"{job.name}-{index}"}
        for containers in ("initContainers", "containers"):
            if spec.get(containers):
                spec = {**spec, containers: [_with_index(each) for each in spec[containers]]}
    metadata = {name: value for name, value in metadata.items() if value}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _surplus(job: Job, tally: Tally) -> list[Manifest]:
    """Those condemned before, those that share an index or have none, and whatever is too much."""
    if job.is_suspended:
        return [*tally.condemned, *tally.active]
    gone = _without_place(job, tally.active) if job.is_indexed else []
    leaving = {uid(pod) for pod in gone}
    left = [pod for pod in tally.active if uid(pod) not in leaving]
    too_many = len(left) - _wanted(job, tally)
    least = sorted(left, key=by_worth)[:too_many] if too_many > 0 else []
    return [*tally.condemned, *gone, *least][:MOST_AT_ONCE]


def _without_place(job: Job, active: Sequence[Manifest]) -> list[Manifest]:
    """Of several pods with one index the best one stays."""
    indexes = [index_of(job, pod) for pod in active]
    if None not in indexes and len(set(indexes)) == len(indexes):
        return []
    best = {index_of(job, pod): pod for pod in sorted(active, key=by_worth)}
    best.pop(None, None)
    kept = {uid(pod) for pod in best.values()}
    return [pod for pod in active if uid(pod) not in kept]


def _wanted(job: Job, tally: Tally) -> int:
    """How many pods shall be active."""
    if job.completions is None:
        return len(tally.active) if tally.succeeded else job.parallelism
    return max(0, min(job.completions - tally.succeeded, job.parallelism))


def _indexed(job: Job, tally: Tally, missing: int, now: datetime) -> Work:
    creates: list[Create] = []
    waits_s: list[float] = []
    for index in islice(_pending(job, tally), missing):
        replaced = tally.waiting_for_replacement.get(index)
        wait_s = backoff.remaining_of_index_s(replaced, now)
        if wait_s > 0:
            waits_s.append(wait_s)
        else:
            creates.append(_create(job, build_pod(job, index, replaced)))
    again_after_s = min(waits_s, default=None)
    if not creates:
        reason = "indexes failed: the next pods wait" if waits_s else "no index is left to work on"
        return Work(reason, again_after_s=again_after_s)
    return _creation(creates, again_after_s)


def _pending(job: Job, tally: Tally) -> Iterator[int]:
    """Indexes without a pod, in order."""
    taken = {*tally.succeeded_indexes, *tally.failed_indexes, *(index_of(job, pod) for pod in tally.active)}
    if job.replaces_only_failed:
        taken |= {index_of(job, pod) for pod in tally.terminating}
    return (index for index in islice(count(), job.indexes) if index not in taken)


def _creation(creates: Sequence[Create], again_after_s: float | None = None) -> Work:
    actions = (Waves([(each,) for each in creates]),)
    return Work(f"{len(creates)} pods are missing", actions, len(creates), again_after_s=again_after_s)


def _create(job: Job, pod: Manifest) -> Create:
    return Create(
        PODS,
        pod,
        on_success=Report("Normal", "SuccessfulCreate", "Created pod: {name}"),
        on_failure=Report("Warning", "FailedCreate", "Error creating: {error}"),
    )


def _prefix(name: str, index: int) -> str:
    end = f"-{index}-"
    return name[: MOST_PREFIX - len(end)] + end


def _with_index(container: Manifest) -> Manifest:
    """The container with the variable, unless it has one of that name."""
    present = container.get("env") or []
    if any(each["name"] == INDEX_VARIABLE for each in present):
        return container
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*present, {"name": INDEX_VARIABLE, "valueFrom": source}]}
