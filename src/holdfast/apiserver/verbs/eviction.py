"""`/pods/NAME/eviction`: a deletion that says why (A154). Disruption budgets are not counted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.api.errors import BadRequest
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.options import delete_options

from . import binding, delete, update

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api


async def evict(api: Api, call: Call, eviction: Manifest) -> dict[str, Any]:
    """Raises NotFound, Conflict for preconditions."""
    if ((eviction.get("metadata") or {}).get("name") or call.name) != call.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    options = delete_options(eviction.get("deleteOptions") or {}, {})

    def disrupted(old: Stored) -> Manifest:
        delete.check_preconditions(call, options, old.manifest)
        status = old.manifest.get("status") or {}
        if any(one.get("type") == "DisruptionTarget" for one in status.get("conditions") or ()):
            return old.manifest
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": api.now(),
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        conditions = [*(status.get("conditions") or ()), condition]
        metadata = {**old.manifest["metadata"]}
        return {**old.manifest, "metadata": metadata, "status": {**status, "conditions": conditions}}

    pod = Call(call.user, call.resource, call.namespace, call.name, "status", call.options, call.warnings)
    await update.replace(api, pod, disrupted, check=binding.unchecked, is_tracked=False)
    await delete.delete(api, call, options)
    return binding.created()
