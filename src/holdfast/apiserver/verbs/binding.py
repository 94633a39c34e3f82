"""`/pods/NAME/binding` and POST on bindings: the scheduler's one write (A153)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.api.errors import BadRequest, Conflict
from holdfast.api.resource import Manifest
from holdfast.apiserver.admission import topology
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call

from . import update

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api


async def bind(api: Api, call: Call, binding: Manifest) -> dict[str, Any]:
    """Puts the pod on a node. Raises Conflict if it is on one, is leaving, or is another pod of that name."""
    metadata = binding.get("metadata") or {}
    if (metadata.get("name") or call.name) != call.name:
        raise BadRequest("name in URL does not match name in Binding object")
    target = binding.get("target") or {}

    def bound(old: Stored) -> Manifest:
        return _bound(api, call, metadata, target.get("name") or "", old.manifest)

    pod = Call(call.user, call.resource, call.namespace, call.name, "status", call.options, call.warnings)
    await update.replace(api, pod, bound, check=unchecked, is_tracked=False)
    return created()


def unchecked(api: Api, call: Call, new: Manifest, old: Manifest) -> None:
    """These subresources change what the rules for everybody else forbid."""


def created() -> dict[str, Any]:
    """What a subresource that makes something of its own kind answers (A63)."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _bound(api: Api, call: Call, metadata: Manifest, node: str, pod: Manifest) -> Manifest:
    spec = pod["spec"]
    if (uid := metadata.get("uid")) and uid != pod["metadata"]["uid"]:
        raise _conflict(
            call, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {pod['metadata']['uid']}"
        )
    if pod["metadata"].get("deletionTimestamp"):
        raise _conflict(call, f"pod {call.name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        raise _conflict(call, f'pod {call.name} is already assigned to node "{spec["nodeName"]}"')
    status = {name: value for name, value in (pod.get("status") or {}).items() if name != "nominatedNodeName"}
    conditions = [one for one in status.get("conditions") or () if one.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": api.now()}
    new_metadata = {**pod["metadata"]}
    labels = {**(metadata.get("labels") or {}), **topology.labels_of(api.cache, node)}
    for member, added in (("annotations", metadata.get("annotations")), ("labels", labels)):
        if added:
            new_metadata[member] = {**(new_metadata.get(member) or {}), **added}
    return {
        **pod,
        "metadata": new_metadata,
        "spec": {**spec, "nodeName": node},
        "status": {**status, "conditions": [*conditions, scheduled]},
    }


def _conflict(call: Call, detail: str) -> Conflict:
    message = f'Operation cannot be fulfilled on pods/binding "{call.name}": {detail}'
    return Conflict(message, name=call.name, kind="pods/binding")
