"""How every story has to end: a set of healthy pods converges, is as the rules have it, and goes quiet (S202, S206)."""

from __future__ import annotations

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.controllers.revisions import in_order, name_of, number_of, template_of
from holdfast.controllers.statefulset.claims import claim_names, owners_of, wanted_reference
from holdfast.controllers.statefulset.identity import controller_uid
from holdfast.controllers.statefulset.views import Pod, StatefulSet
from holdfast.simulation.checkers.moments import matches, records
from holdfast.simulation.cluster import Cluster, NeverHappened
from holdfast.simulation.machines import GOOD_IMAGES

from .shape import LABELS, NAME, Shape
from .steps import change, relabel, set_image
from .troubles import cordon

PATIENCE_S = 90.0
"""How often a human looks whether there is something that only a human may put right."""
LONGEST_S = 3600.0
QUIET_S = 400.0
"""Longer than anything in a cluster that is at rest waits (a node writes its status every 5 minutes)."""
LOOK_EVERY_S = 5.0


def end(cluster: Cluster, shape: Shape, *, needs_waking: bool) -> None:
    """After the last fault. Raises NeverHappened or AssertionError.

    A set that `needs_waking` may have lost a revision, which nobody watches (S155); any other has to get on by itself.
    """
    for number in range(len(cluster.nodes)):
        cordon(cluster, number, False)
    _make_whole(cluster, shape)
    end_s = cluster.time_s + LONGEST_S
    while problem := _problem(cluster):
        if cluster.time_s > end_s:
            raise NeverHappened(f"{problem}; last changes:\n" + "\n".join(cluster.trace))
        if needs_waking:
            _wake(cluster)
        _put_right(cluster)
        _wait(cluster, PATIENCE_S)
    _drop_what_waits(cluster)
    if needs_waking:
        cluster.run_until_quiet(within_s=LONGEST_S)  # what is to be collected has been
        _wake(cluster)
    cluster.run_until_quiet(QUIET_S, within_s=LONGEST_S)
    problem = _problem(cluster)
    assert not problem, problem
    _is_as_it_should_be(cluster)


def _wake(cluster: Cluster) -> None:
    cluster.patch(STATEFUL_SETS, NAME, {"metadata": {"annotations": {"looked-at": str(cluster.time_s)}}})


def _make_whole(cluster: Cluster, shape: Shape) -> None:
    """There is a set, its template is healthy, and no pod is kept from it."""
    _see_it_go(cluster)
    if cluster.get(STATEFUL_SETS, NAME) is None:
        cluster.apply(shape.manifest())
    set_image(cluster, GOOD_IMAGES[0])
    for pod in cluster.objects(PODS, "default"):
        relabel(cluster, pod["metadata"]["name"], LABELS)


def _see_it_go(cluster: Cluster) -> None:
    """A set that is being deleted waits for claims, and these for pods that may be nobody's (S115, S61)."""
    end_s = cluster.time_s + LONGEST_S
    while _is_going(cluster) and cluster.time_s < end_s:
        for pod in _pods(cluster).values():
            if not pod.is_terminating and _claims_go(cluster, pod):
                cluster.delete(PODS, pod.name)
        cluster.run_for(PATIENCE_S)
    cluster.run_until(lambda: not _is_going(cluster), PATIENCE_S)


def _is_going(cluster: Cluster) -> bool:
    found = cluster.get(STATEFUL_SETS, NAME)
    return found is not None and "deletionTimestamp" in found["metadata"]


def _wait(cluster: Cluster, seconds: float) -> None:
    end_s = cluster.time_s + seconds
    while _problem(cluster) and cluster.time_s < end_s:
        cluster.run_for(LOOK_EVERY_S)


def _drop_what_waits(cluster: Cluster) -> None:
    """Claims whose pods were gone before they were bound wait for another, and say so now and then."""
    for claim in cluster.objects(PERSISTENT_VOLUME_CLAIMS, "default"):
        if not claim["spec"].get("volumeName"):
            cluster.delete(PERSISTENT_VOLUME_CLAIMS, claim["metadata"]["name"])


def _set(cluster: Cluster) -> StatefulSet:
    found = cluster.get(STATEFUL_SETS, NAME)
    assert found is not None
    return StatefulSet(found)


def _pods(cluster: Cluster) -> dict[int | None, Pod]:
    return {pod.ordinal: pod for manifest in cluster.objects(PODS, "default") if (pod := Pod(manifest))}


def _put_right(cluster: Cluster) -> None:
    """What the rules leave to a human: pods of a broken template (S102), and those whose claim is on its way out."""
    revisions = {name_of(one): one for one in cluster.objects(CONTROLLER_REVISIONS, "default")}
    current = revisions.get(str(_set(cluster).status.get("currentRevision")))
    is_current_broken = current is None or not _is_healthy(template_of(current))
    if is_current_broken and not _set(cluster).is_updated_by_deletion:
        change(cluster, {"updateStrategy": {"rollingUpdate": {"partition": 0}}})
    for pod in _pods(cluster).values():
        if not pod.is_terminating and (not _is_healthy(pod.manifest) or _claims_go(cluster, pod)):
            cluster.delete(PODS, pod.name)


def _is_healthy(pod: Manifest) -> bool:
    return all(container["image"] in GOOD_IMAGES for container in pod["spec"]["containers"])


def _claims_go(cluster: Cluster, pod: Pod) -> bool:
    for volume in pod.manifest["spec"].get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        claim = cluster.get(PERSISTENT_VOLUME_CLAIMS, name) if name else None
        if claim is not None and "deletionTimestamp" in claim["metadata"]:
            return True
    return False


def _problem(cluster: Cluster) -> str:
    """In what the set has not converged; empty if it has (S206)."""
    statefulset, pods = _set(cluster), _pods(cluster)
    wanted, now = list(statefulset.slots), cluster.world.clock.now()
    if sorted(pods, key=str) != sorted(wanted, key=str):
        return f"there are pods {sorted(pods, key=str)}, wanted are {wanted}"
    revisions = {name_of(one): one for one in cluster.objects(CONTROLLER_REVISIONS, "default")}
    for ordinal in wanted:
        pod = pods[ordinal]
        if pod.is_unavailable(statefulset.min_ready_s, now):
            return f"pod {ordinal} is not available"
        if not _is_healthy(pod.manifest):
            return f"pod {ordinal} is of a broken template"  # though it may be ready for a moment between two crashes
        if not matches(statefulset, pod) or controller_uid(pod.manifest) != statefulset.uid:
            return f"pod {ordinal} is not the set's"
        is_updated = pod.revision in revisions and records(revisions[pod.revision], statefulset.template)
        is_to_be = not statefulset.is_updated_by_deletion and ordinal - statefulset.start >= statefulset.partition
        if is_to_be and not is_updated:
            return f"pod {ordinal} is outdated"
        if _claims_go(cluster, pod):
            return f"a claim of pod {ordinal} is going"
    return _problem_of_status(statefulset, list(pods.values()))


def _problem_of_status(statefulset: StatefulSet, pods: list[Pod]) -> str:
    status, replicas = statefulset.status, statefulset.replicas
    if status.get("observedGeneration") != statefulset.generation:
        return f"generation {statefulset.generation} has not been observed"
    for name in ("replicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) != replicas:
            return f"{name} is {status.get(name, 0)} of {replicas}"
    updated = sum(pod.revision == status.get("updateRevision") for pod in pods)
    if status.get("updatedReplicas", 0) != updated:
        return f"updatedReplicas is {status.get('updatedReplicas', 0)}, not {updated}"
    is_complete = updated == replicas and not statefulset.is_updated_by_deletion
    if is_complete and status.get("currentRevision") != status.get("updateRevision"):
        return "the update is complete, and the current revision is another"
    return ""


def _is_as_it_should_be(cluster: Cluster) -> None:
    """What has to be true when all is quiet."""
    statefulset, pods = _set(cluster), _pods(cluster)
    names = sorted(f"default/{pod.name}" for pod in pods.values())
    assert sorted(cluster.running_pods()) == names, f"{cluster.running_pods()} run, pods are {names}"
    for ordinal in statefulset.slots:
        for name in claim_names(statefulset, ordinal):
            _is_claim_right(cluster, statefulset, pods[ordinal], name)
    revisions = [
        one for one in cluster.objects(CONTROLLER_REVISIONS, "default") if controller_uid(one) == statefulset.uid
    ]
    live = {statefulset.status["currentRevision"], statefulset.status["updateRevision"]}
    live |= {pod.revision for pod in pods.values()}
    left = [name_of(one) for one in in_order(revisions) if name_of(one) not in live]
    assert len(left) <= statefulset.revision_history_limit, f"{left} are beyond the limit"
    newest = in_order(revisions)[-1]
    assert records(newest, statefulset.template), f"the newest revision, {number_of(newest)}, is not the template's"


def _is_claim_right(cluster: Cluster, statefulset: StatefulSet, pod: Pod, name: str) -> None:
    """Bound, with a directory behind it, and owned as the policy has it (S50)."""
    claim = cluster.get(PERSISTENT_VOLUME_CLAIMS, name)
    assert claim is not None, f"claim {name} is missing"
    assert claim["status"]["phase"] == "Bound", f"claim {name} is {claim['status']['phase']}"
    assert f"/volumes/{claim['spec']['volumeName']}" in cluster.directories.present, f"claim {name} has no directory"
    wanted = wanted_reference(owners_of(statefulset, pod.name, pod.uid, is_condemned=False))
    found = claim["metadata"].get("ownerReferences") or []
    assert found == ([wanted] if wanted else []), f"claim {name} is owned by {found}, not by {wanted}"
