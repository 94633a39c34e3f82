"""What the server fills into Jobs (A268)."""

from __future__ import annotations

from holdfast.api.core.pod_defaults import default_template
from holdfast.api.resource import Manifest

UID_LABEL, NAME_LABEL = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
OLD_UID_LABEL, OLD_NAME_LABEL = "controller-uid", "job-name"


def default(job: Manifest) -> None:
    default_job_spec(job.setdefault("spec", {}))
    metadata, template = job.setdefault("metadata", {}), job["spec"]["template"]
    if labels := template["metadata"].get("labels"):
        metadata["labels"] = metadata.get("labels") or dict(labels)
    job.setdefault("status", {})
    for condition in job["status"].get("conditions", ()):
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)


def default_job_spec(spec: Manifest) -> None:
    """Also the spec of a CronJob's template, which gets its template only."""
    default_template(spec.setdefault("template", {}))
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    for rule in spec.get("podFailurePolicy", {}).get("rules", ()):
        for pattern in rule.get("onPodConditions", ()):
            pattern.setdefault("status", "True")


def prepare_create(job: Manifest) -> None:
    """A job owns its pods by its uid, which must be set by now, unless it says that it knows better."""
    job["status"] = {}
    spec, metadata = job["spec"], job["metadata"]
    if not spec.get("manualSelector"):
        template = spec["template"]["metadata"]
        template["labels"] = {**own_labels(job), **template.get("labels", {})}
        selector = spec.setdefault("selector", {})
        selector["matchLabels"] = {UID_LABEL: metadata.get("uid", ""), **selector.get("matchLabels", {})}
    default(job)


def own_labels(job: Manifest) -> dict[str, str]:
    """By which a job's pods are known as its own, in the order in which upstream looks for them."""
    uid, name = job["metadata"].get("uid", ""), job["metadata"].get("name", "")
    return {OLD_UID_LABEL: uid, OLD_NAME_LABEL: name, UID_LABEL: uid, NAME_LABEL: name}
