"""What a failure means: `spec.podFailurePolicy`, and failures that an index may have (W55)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.api.resource import Manifest

from .pods import INDEX_FAILURES, INDEX_IGNORED_FAILURES, has_failed, number
from .views import Job


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the policy says of one failed pod."""

    counts: bool = True
    fails_index: bool = False
    ends_job: str = ""
    """Why the whole job fails; empty if it does not."""


def meaning(job: Job, pod: Manifest) -> Meaning:
    """By the first rule that matches; without one the failure counts."""
    for position, rule in enumerate((job.failure_policy or {}).get("rules") or ()):
        reason = _match(rule, pod)
        if reason:
            action = rule["action"]
            why = f"{reason} matching {action} rule at index {position}"
            return Meaning(action != "Ignore", action == "FailIndex", why if action == "FailJob" else "")
    return Meaning()


def why_job_fails(job: Job, pods: Iterable[Manifest]) -> str:
    """Of the first pod that failed as no job may go on after; empty if none did."""
    if job.failure_policy is None:
        return ""
    reasons = (meaning(job, pod).ends_job for pod in pods if has_failed(job, pod))
    return next(filter(None, reasons), "")


def index_has_failed(job: Job, pod: Manifest) -> bool:
    """Whether the index of this pod, which failed, is given up."""
    limit = job.backoff_limit_per_index
    if limit is None:
        return False
    meant = meaning(job, pod)
    return meant.fails_index or (meant.counts and number(pod, INDEX_FAILURES) >= limit)


def failures_before(pod: Manifest) -> int:
    """Of the pod's index, the ignored ones included."""
    return number(pod, INDEX_FAILURES) + number(pod, INDEX_IGNORED_FAILURES)


def failure_counts(job: Job, replaced: Manifest | None) -> Mapping[str, str]:
    """Annotations of the pod that replaces this one: they remember the failures of its index."""
    counted = number(replaced, INDEX_FAILURES) if replaced else 0
    ignored = number(replaced, INDEX_IGNORED_FAILURES) if replaced else 0
    if replaced is not None:
        counts = meaning(job, replaced).counts
        counted, ignored = counted + counts, ignored + (not counts)
    return {INDEX_FAILURES: str(counted)} | ({INDEX_IGNORED_FAILURES: str(ignored)} if ignored else {})


def _match(rule: Manifest, pod: Manifest) -> str:
    """What of the pod the rule matches, in the words of the message; empty if nothing."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    name = f"{metadata['namespace']}/{metadata['name']}"
    if requirement := rule.get("onExitCodes"):
        for each in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            code = ((each.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
            if _exit_code_matches(requirement, each["name"], code):
                return f"Container {each['name']} for pod {name} failed with exit code {code}"
        return ""
    for each in status.get("conditions") or ():
        for pattern in rule.get("onPodConditions") or ():
            if (each["type"], each["status"]) == (pattern["type"], pattern.get("status", "True")):
                return f"Pod {name} has condition {each['type']}"
    return ""


def _exit_code_matches(requirement: Manifest, container: str, code: int) -> bool:
    if code == 0 or requirement.get("containerName") not in (None, container):
        return False
    return bool((code in requirement["values"]) == (requirement["operator"] == "In"))
