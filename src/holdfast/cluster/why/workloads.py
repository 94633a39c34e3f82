"""Why a Deployment, ReplicaSet, DaemonSet or Job does not get on."""

from __future__ import annotations

from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.conditions import condition, is_ready, is_terminating, is_true
from holdfast.api.resource import Manifest

from .chain import Cause, kubectl, listed, name_of, subject
from .creation import why_not_created
from .evidence import Evidence, controller_uid, pods_of
from .pods import why_pod

REVISION = "deployment.kubernetes.io/revision"


def why_deployment(evidence: Evidence, deployment: Manifest) -> Cause | None:
    sets = [
        found
        for found in evidence.all(REPLICA_SETS)
        if controller_uid(found) == deployment["metadata"]["uid"] and found["spec"].get("replicas")
    ]
    for found in sorted(sets, key=_revision, reverse=True):
        if cause := why_replicaset(evidence, found):
            late = condition(deployment, "Progressing") or {}
            too_late = (
                " for longer than its progress deadline" if late.get("reason") == "ProgressDeadlineExceeded" else ""
            )
            return Cause(subject(deployment), f"its newest pods do not become ready{too_late}", because=cause)
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    if deployment["spec"].get("paused") and status.get("updatedReplicas", 0) < wanted:
        resume = kubectl(deployment, f"rollout resume deployment {name_of(deployment)}")
        return Cause(subject(deployment), "its rollout is paused", resume)
    if status.get("availableReplicas", 0) < wanted:
        return Cause(subject(deployment), f"{status.get('availableReplicas', 0)} of {wanted} pods are available so far")
    return None


def _revision(replica_set: Manifest) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def why_replicaset(evidence: Evidence, replica_set: Manifest) -> Cause | None:
    pods = pods_of(evidence, replica_set)
    if len(pods) < replica_set["spec"].get("replicas", 1):
        return why_not_created(evidence, replica_set, "a pod") or Cause(
            subject(replica_set), "a pod is about to be made"
        )
    return _first_unready(evidence, replica_set, pods)


def why_daemonset(evidence: Evidence, daemon_set: Manifest) -> Cause | None:
    status, pods = daemon_set.get("status") or {}, pods_of(evidence, daemon_set)
    if not status.get("desiredNumberScheduled"):
        says = "no node is as its nodeSelector, affinity and tolerations want"
        return Cause(subject(daemon_set), says, "kubectl get nodes --show-labels")
    if len(pods) < status["desiredNumberScheduled"] and (cause := why_not_created(evidence, daemon_set, "a pod")):
        return cause
    return _first_unready(evidence, daemon_set, pods)


def why_job(evidence: Evidence, job: Manifest) -> Cause | None:
    pods = pods_of(evidence, job)
    if is_true(job, "Complete"):
        return None
    failed = condition(job, "Failed")
    if failed is not None and failed.get("status") == "True":
        again = kubectl(job, f"replace --force -f YOUR-JOB.yaml  (delete and create {name_of(job)} again)")
        cause = next((found for pod in pods if (found := why_pod(evidence, pod))), None)
        says = f"it has failed ({failed.get('reason', '')}): {failed.get('message', '')}"
        return Cause(subject(job), says, "" if cause else again, cause)
    if job["spec"].get("suspend"):
        patch = '{"spec":{"suspend":false}}'
        return Cause(subject(job), "it is suspended", kubectl(job, f"patch job {name_of(job)} -p '{patch}'"))
    if not pods and (cause := why_not_created(evidence, job, "a pod")):
        return cause
    for pod in pods:
        if not is_ready(pod) and (found := why_pod(evidence, pod)):
            return Cause(subject(job), f"its pod {name_of(pod)} is not done", because=found)
    return None


def _first_unready(evidence: Evidence, owner: Manifest, pods: list[Manifest]) -> Cause | None:
    unready = [pod for pod in pods if not is_ready(pod) or is_terminating(pod)]
    for pod in unready:
        if cause := why_pod(evidence, pod):
            return Cause(subject(owner), f"not ready: {listed([name_of(each) for each in unready])}", because=cause)
    return None
