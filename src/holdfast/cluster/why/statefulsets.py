"""Why a StatefulSet does not get on: what an ordered set waits for is nowhere else to be read (L18)."""

from __future__ import annotations

from holdfast.api.apps import stateful_set_beyond as beyond
from holdfast.api.conditions import is_ready, is_terminating
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.resource import Manifest
from holdfast.controllers.statefulset.slots import Slots

from .chain import Cause, kubectl, listed, name_of, subject
from .creation import why_not_created
from .evidence import Evidence, controller_uid, pods_of
from .pods import why_pod
from .services import making_headless

REVISION = "controller-revision-hash"


def why_statefulset(evidence: Evidence, statefulset: Manifest) -> Cause | None:
    if is_terminating(statefulset):
        return _going(evidence, statefulset)
    if (statefulset.get("status") or {}).get("observedGeneration", 0) < statefulset["metadata"].get("generation", 0):
        return Cause(subject(statefulset), "its controller has not looked at it since it changed", "holdfast status")
    pods = {_ordinal(pod): pod for pod in pods_of(evidence, statefulset)}
    return (
        _slots(evidence, statefulset, pods)
        or _surplus(evidence, statefulset, pods)
        or _outdated(statefulset, pods)
        or _nameless(evidence, statefulset)
    )


def _going(evidence: Evidence, statefulset: Manifest) -> Cause:
    pods = pods_of(evidence, statefulset)
    if pods:
        says = f"it is to go, after its pods: {listed([name_of(pod) for pod in pods])}"
        return Cause(subject(statefulset), says, because=why_pod(evidence, pods[0]))
    holders = listed(list(statefulset["metadata"].get("finalizers") or ()))
    return Cause(subject(statefulset), f"it is to go, and is held by {holders}")


def _slots(evidence: Evidence, statefulset: Manifest, pods: dict[int, Manifest]) -> Cause | None:
    """The first slot without a pod that is ready and stays."""
    for ordinal in _slots_of(statefulset):
        pod = pods.get(ordinal)
        if pod is None:
            return _missing(evidence, statefulset, ordinal)
        if not is_ready(pod) or is_terminating(pod):
            return _unfit(evidence, statefulset, ordinal, pod)
    return None


def _missing(evidence: Evidence, statefulset: Manifest, ordinal: int) -> Cause:
    name = f"{name_of(statefulset)}-{ordinal}"
    if cause := why_not_created(evidence, statefulset, f"pod {name}"):
        return cause
    stranger = evidence.get(PODS, name)
    if stranger is not None and controller_uid(stranger) != statefulset["metadata"]["uid"]:
        says = f"the name of its pod {name} is taken by a pod that is not its own"
        return Cause(subject(statefulset), says, kubectl(statefulset, f"delete pod {name}"))
    return Cause(subject(statefulset), f"its pod {name} is about to be made")


def _unfit(evidence: Evidence, statefulset: Manifest, ordinal: int, pod: Manifest) -> Cause:
    name, is_ordered = name_of(pod), statefulset["spec"].get("podManagementPolicy") != "Parallel"
    waits = (
        [f"{name_of(statefulset)}-{other}" for other in _slots_of(statefulset) if other > ordinal] if is_ordered else []
    )
    rest = f", and it is ordered: {listed(waits)} and all updates wait for it" if waits else ""
    if is_ordered and not is_terminating(pod) and _is_left_behind(statefulset, ordinal, pod):
        says = f"pod {name} is not ready and of an older template; an ordered set does not replace such a pod{rest}"
        return Cause(subject(statefulset), says, kubectl(pod, f"delete pod {name}"))
    return Cause(subject(statefulset), f"pod {name} is not ready{rest}", because=why_pod(evidence, pod))


def _is_left_behind(statefulset: Manifest, ordinal: int, pod: Manifest) -> bool:
    """Whether only an update would help the pod, which an ordered set with a broken pod does not come to (S102)."""
    status, rolling = statefulset.get("status") or {}, statefulset["spec"].get("updateStrategy") or {}
    partition = (rolling.get("rollingUpdate") or {}).get("partition") or 0
    revision = (pod["metadata"].get("labels") or {}).get(REVISION)
    stays = revision == status.get("currentRevision") and _slots_of(statefulset).index(ordinal) < partition
    asked = beyond.read(statefulset)
    if asked.unsticks and not asked.is_paused and rolling.get("type") != "OnDelete":
        return False
    return not stays and revision != status.get("updateRevision")


def _surplus(evidence: Evidence, statefulset: Manifest, pods: dict[int, Manifest]) -> Cause | None:
    slots = _slots_of(statefulset)
    beyond = sorted((ordinal for ordinal in pods if ordinal not in slots), reverse=True)
    if not beyond:
        return None
    names = listed([name_of(pods[ordinal]) for ordinal in beyond])
    broken = [name_of(pods[ordinal]) for ordinal in beyond if not is_ready(pods[ordinal])]
    if len(broken) > 1 and statefulset["spec"].get("podManagementPolicy") != "Parallel":
        says = f"{names} are surplus, but an ordered set takes none away while two of them are broken: {listed(broken)}"
        return Cause(subject(statefulset), says, kubectl(statefulset, f"delete pod {' '.join(broken)}"))
    return Cause(
        subject(statefulset), f"{names} are surplus, the highest goes first", because=why_pod(evidence, pods[beyond[0]])
    )


def _outdated(statefulset: Manifest, pods: dict[int, Manifest]) -> Cause | None:
    wanted = (statefulset.get("status") or {}).get("updateRevision")
    old = [pod for _, pod in sorted(pods.items()) if (pod["metadata"].get("labels") or {}).get(REVISION) != wanted]
    if not old:
        return None
    strategy, names = statefulset["spec"].get("updateStrategy") or {}, [name_of(pod) for pod in old]
    if beyond.read(statefulset).is_paused:
        says = f"{listed(names)} are of an older template, and updates are paused"
        cure = kubectl(statefulset, f"annotate sts {name_of(statefulset)} {beyond.PAUSED}-")
        return Cause(subject(statefulset), says, cure)
    if strategy.get("type") == "OnDelete":
        says = f"{listed(names)} are of an older template, and strategy OnDelete leaves them until they are deleted"
        return Cause(
            subject(statefulset), says, kubectl(statefulset, f"delete pod {names[-1]}") + "  one after the other"
        )
    if partition := (strategy.get("rollingUpdate") or {}).get("partition"):
        says = f"{listed(names)} are of an older template, held back by partition {partition}"
        patch = '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'
        return Cause(subject(statefulset), says, kubectl(statefulset, f"patch sts {name_of(statefulset)} -p '{patch}'"))
    return Cause(subject(statefulset), f"{listed(names)} are about to be replaced, one at a time")


def _nameless(evidence: Evidence, statefulset: Manifest) -> Cause | None:
    """Everything runs, but nobody finds it."""
    service = statefulset["spec"].get("serviceName")
    if not service or not evidence.is_absent(SERVICES, service):
        return None
    says = f"all its pods are ready, but they have no names in DNS: its service {service} does not exist"
    return Cause(subject(statefulset), says, making_headless(evidence, service))


def _slots_of(statefulset: Manifest) -> Slots:
    start = int((statefulset["spec"].get("ordinals") or {}).get("start") or 0)
    return Slots(start, int(statefulset["spec"].get("replicas", 1)), beyond.read(statefulset).reserved)


def _ordinal(pod: Manifest) -> int:
    number = name_of(pod).rpartition("-")[2]
    return int(number) if number.isdigit() else -1
