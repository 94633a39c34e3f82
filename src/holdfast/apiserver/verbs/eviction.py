"""`/pods/NAME/eviction`: a deletion that says why, and that a disruption budget may refuse for now (A154, W77, W78).

The budget is counted down in the turn in which it was read, so that of evictions at the same time no more are granted
than it allows (W123).

Source: Kubernetes, pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.api import conditions
from holdfast.api.errors import ApiError, BadRequest, Conflict, FieldError, Forbidden, TooManyRequests
from holdfast.api.policy.pod_disruption_budget import (
    DISRUPTION_ALLOWED,
    POD_DISRUPTION_BUDGETS,
    with_condition,
)
from holdfast.api.resource import Manifest
from holdfast.api.selectors import selector_from_manifest
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.options import DeleteOptions, PlainError, delete_options

from . import binding, delete, update

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

TRIES = 20
MOST_DISRUPTED = 2000
AGAIN_AFTER_S = 10
MANAGER = "kube-apiserver"

_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


async def evict(api: Api, call: Call, eviction: Manifest) -> dict[str, Any]:
    """Raises NotFound, TooManyRequests for the budget, Conflict for preconditions, PlainError for two budgets."""
    if (eviction.get("metadata") or {}).get("name") != call.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    given = delete_options(eviction.get("deleteOptions") or {}, {})
    options = replace(given, dry_run=given.dry_run or call.options.dry_run)
    if not await _without_budget(api, call, options):
        await _with_budget(api, call, options)
    return binding.created()


async def _without_budget(api: Api, call: Call, options: DeleteOptions) -> bool:
    """Deletes the pod if its end disrupts nothing; says whether it is such a pod, as of now."""
    for last in (False,) * (TRIES - 1) + (True,):
        pod = _latest(api, call)
        if not _is_idle(pod):
            return False
        locked = options
        if conditions.phase(pod) == "Pending" and not conditions.is_terminating(pod):
            locked = _locked(options, pod)  # it may have begun to run
        try:
            await _delete(api, call, locked)
        except Conflict:
            if options.resource_version or last:
                raise
        else:
            return True
    raise AssertionError("unreachable")


async def _with_budget(api: Api, call: Call, options: DeleteOptions) -> None:
    pod = _latest(api, call)
    budget = _budget_of(api, call, pod)
    if budget is None:
        await _delete(api, call, options)
    elif _is_unprotected(pod, budget):
        try:
            await _delete(api, call, _locked(options, pod))  # it may have become ready
        except Conflict:
            if options.resource_version:
                raise
            raise _unsettled(budget["metadata"]["name"]) from None
    else:
        await _count_down(api, call, budget["metadata"]["name"], is_dry_run=options.dry_run)
        await _delete(api, call, options)


def _latest(api: Api, call: Call) -> Manifest:
    stored = api.latest(call)
    if stored is None:
        raise call.not_found()
    return stored.manifest


def _is_idle(pod: Manifest) -> bool:
    return conditions.phase(pod) in ("Pending", "Succeeded", "Failed") or conditions.is_terminating(pod)


def _locked(options: DeleteOptions, pod: Manifest) -> DeleteOptions:
    """The options, for the pod as it was when it was decided on."""
    return replace(options, resource_version=options.resource_version or pod["metadata"]["resourceVersion"])


def _is_unprotected(pod: Manifest, budget: Manifest) -> bool:
    """A pod that is not ready counts for nothing: it may go if the rest is enough, or in any case if so wished."""
    if conditions.is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    needed = int(status.get("desiredHealthy", 0))
    return needed > 0 and int(status.get("currentHealthy", 0)) >= needed


# -- the budget


def _budget_of(api: Api, call: Call, pod: Manifest) -> Manifest | None:
    """The budget that selects the pod. Raises PlainError if several do."""
    labels = pod["metadata"].get("labels")
    found = [
        stored.manifest
        for stored in api.objects(POD_DISRUPTION_BUDGETS).select(call.namespace)
        if selector_from_manifest(stored.manifest["spec"].get("selector")).matches(labels)
    ]
    if len(found) > 1:
        raise PlainError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    return found[0] if found else None


async def _count_down(api: Api, call: Call, name: str, *, is_dry_run: bool) -> None:
    """Takes one disruption from the budget for this pod. Raises TooManyRequests, Forbidden."""
    options = replace(call.options, dry_run=is_dry_run)
    budget = Call(call.user, POD_DISRUPTION_BUDGETS, call.namespace, name, "status", options, manager=MANAGER)

    def counted(old: Stored) -> Manifest:
        return _counted_down(old.manifest, call.name, api.now())

    await update.replace(api, budget, counted, check=binding.unchecked)


def _counted_down(budget: Manifest, pod: str, at: str) -> Manifest:
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _unsettled(name)
    allowed, disrupted = status.get("disruptionsAllowed", 0), status.get("disruptedPods") or {}
    if allowed < 0:
        raise _forbidden(name, "pdb disruptions allowed is negative")
    if len(disrupted) > MOST_DISRUPTED:
        raise _forbidden(name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if allowed == 0:
        raise _refused(_reason(name, status))
    status = {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": {**disrupted, pod: at}}
    if allowed == 1:
        status = with_condition(status, at)
    return {**budget, "metadata": {**budget["metadata"]}, "status": status}


def _reason(name: str, status: Manifest) -> str:
    healthy, needed = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    found = conditions.condition({"status": status}, DISRUPTION_ALLOWED) or {}
    told = found.get("message") if found.get("status") == "False" else ""
    if told and found.get("reason") == "SyncFailed":
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {told}"
    if healthy <= needed:
        return f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
    if told:
        return (
            f"The disruption budget {name} does not allow evicting pods currently ({found.get('reason', '')}): {told}"
        )
    return f"The disruption budget {name} does not allow evicting pods currently"


def _unsettled(name: str) -> ApiError:
    return _refused(f"The disruption budget {name} is still being processed by the server.", AGAIN_AFTER_S)


def _refused(cause: str, again_after_s: int = 0) -> ApiError:
    return TooManyRequests(
        _REFUSED, causes=[FieldError("", "DisruptionBudget", cause)], retry_after_s=again_after_s, has_details=True
    )


def _forbidden(name: str, detail: str) -> ApiError:
    message = f'poddisruptionbudget.policy "{name}" is forbidden: {detail}'
    return Forbidden(message, name=name, group="policy", kind="poddisruptionbudget")


# -- the deletion


async def _delete(api: Api, call: Call, options: DeleteOptions) -> None:
    """Marks the pod, then deletes it. Raises Conflict for preconditions, which hold for the pod before the mark.

    Others were asked about the eviction, and are not asked about the deletion, as upstream has it.
    """
    if options.dry_run:
        await delete.delete(api, call, options, is_reviewed=False)
        return

    def marked(old: Stored) -> Manifest:
        delete.check_preconditions(call, options, old.manifest)
        return _marked(old.manifest, api.now())

    pod = Call(call.user, call.resource, call.namespace, call.name, "status", call.options, call.warnings)
    written = await update.replace(api, pod, marked, check=binding.unchecked, is_tracked=False)
    if options.resource_version:
        options = replace(options, resource_version=written.manifest["metadata"]["resourceVersion"])
    await delete.delete(api, call, options, is_reviewed=False)


def _marked(pod: Manifest, at: str) -> Manifest:
    status = pod.get("status") or {}
    before = conditions.condition(pod, "DisruptionTarget")
    is_same = before is not None and before.get("status") == "True"
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": (before.get("lastTransitionTime") if before and is_same else None) or at,
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    if before == condition:
        return pod
    others = [one for one in status.get("conditions") or () if one is not before]
    return {**pod, "metadata": {**pod["metadata"]}, "status": {**status, "conditions": [*others, condition]}}
