"""Claims of generic ephemeral volumes: made for one pod, owned by it, and gone with it (V110)."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.storage import binding
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Action, Create, Each, Fail, Plan, Report
from holdfast.controllers.owners import owner_reference

from .controller import BY_CLAIM, claims_in, pods_in

_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod with the claims that have the names of its ephemeral volumes' claims, by name."""

    pod: Manifest
    claims: dict[str, Manifest | None]


def plan_ephemeral(observed: ObservedPod) -> Plan:
    pod = observed.pod
    if pod["metadata"].get("deletionTimestamp") or (pod.get("status") or {}).get("phase") in _OVER:
        return Plan("the pod ends", subject=pod)
    actions: list[Action] = []
    for volume in _volumes(pod):
        claim = observed.claims[_claim_name(pod, volume)]
        if claim is None:
            actions.append(_create(pod, volume))
        elif not binding.is_owned_by(claim, pod):
            actions.append(_refuse(pod, volume))
    if not actions:
        return Plan("every volume has its claim", subject=pod)
    return Plan("claims are missing", (Each(tuple(actions)),), subject=pod)


def _create(pod: Manifest, volume: Manifest) -> Create:
    template, metadata = volume["ephemeral"].get("volumeClaimTemplate") or {}, pod["metadata"]
    name = _claim_name(pod, volume)
    given = {key: value for key, value in (template.get("metadata") or {}).items() if key in ("labels", "annotations")}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            **given,
            "name": name,
            "namespace": metadata["namespace"],
            "ownerReferences": [owner_reference(PODS, pod)],
        },
        "spec": template.get("spec") or {},
    }
    return Create(PERSISTENT_VOLUME_CLAIMS, claim, on_failure=_report(volume, f"create PVC {name}: {{error}}"))


def _refuse(pod: Manifest, volume: Manifest) -> Fail:
    """Somebody else's data must not become this pod's."""
    error = binding.not_owned(_claim_name(pod, volume), pod)
    return Fail(error, on_failure=_report(volume, error))


def _report(volume: Manifest, text: str) -> Report:
    return Report("Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {text}")


def _volumes(pod: Manifest) -> list[Manifest]:
    return [volume for volume in pod["spec"].get("volumes") or () if "ephemeral" in volume]


def _claim_name(pod: Manifest, volume: Manifest) -> str:
    return f"{pod['metadata']['name']}-{volume['name']}"


class EphemeralVolumes:
    """Makes the claims. Keys are pods."""

    name = "ephemeral-volume-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._claims, self._pods = claims_in(informers), pods_in(informers)
        self._pods.subscribe(self._on_pod)
        self._claims.subscribe(self._on_claim)

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and old is None and _volumes(new):
            self._queue.add(key_of(new))

    def _on_claim(self, old: Manifest | None, new: Manifest | None) -> None:
        """One that goes away is made anew, if its pod is still there."""
        if new is None and old is not None:
            for pod in self._pods.by_index(BY_CLAIM, key_of(old)):
                if (old["metadata"]["name"], True) in binding.claims_of(pod):
                    self._queue.add(key_of(pod))

    def observe(self, key: str) -> ObservedPod | None:
        pod = self._pods.get(key)
        if pod is None:
            return None
        namespace = pod["metadata"]["namespace"]
        names = [_claim_name(pod, volume) for volume in _volumes(pod)]
        return ObservedPod(pod, {name: self._claims.get(f"{namespace}/{name}") for name in names})

    def plan(self, observed: ObservedPod) -> Plan:
        return plan_ephemeral(observed)
