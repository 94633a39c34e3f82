"""DELETE of one object: grace, finalizers, propagation, preconditions (A82-A92).

Source: Kubernetes, k8s.io/apiserver/pkg/registry/rest/delete.go and registry/generic/registry/store.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from holdfast.api.errors import Conflict
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time, parse_time
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.options import DeleteOptions
from holdfast.store import RevisionMismatch

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

TRIES = 5
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
IMMORTAL = ("default", "kube-system", "kube-public")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the object, and whether it is gone."""

    stored: Stored
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What a deletion does next: store `marked` if it is not None, then remove the object if `removes`."""

    marked: Manifest | None
    removes: bool


NO_STEP = Step(None, removes=False)


async def delete(
    api: Api, call: Call, options: DeleteOptions, *, is_reviewed: bool = True, is_one_of_many: bool = False
) -> Outcome:
    """Others are asked about it unless it is not to be reviewed.

    Raises NotFound, Conflict for preconditions, Forbidden for namespaces that stay, what a webhook refuses with.
    """
    for _ in range(TRIES):
        old = api.latest(call)
        if old is None:
            raise call.not_found()
        api.admission.check_delete(call, old.manifest)
        check_preconditions(call, options, old.manifest)
        step = plan(call, options, old.manifest, api.world.clock.now())
        if is_reviewed and api.dynamic.is_active and not (call.resource.is_graceful and step == NO_STEP):
            from holdfast.apiserver.admission.dynamic.attempt import deleting

            await api.dynamic.review(deleting(call, old.manifest, options, is_one_of_many=is_one_of_many))
            step = plan(call, options, old.manifest, api.world.clock.now())
        if options.dry_run:
            return Outcome(old if step.marked is None else await api.unsaved(call, step.marked), step.removes)
        try:
            return await _perform(api, call, old, step)
        except RevisionMismatch:
            continue
    raise call.conflict()


async def _perform(api: Api, call: Call, old: Stored, step: Step) -> Outcome:
    current = old
    if step.marked is not None:
        current = await api.write(call, step.marked, old.revision)
    if step.removes:
        current = await api.remove(call, current.manifest, current.revision)
    return Outcome(current, step.removes)


def check_preconditions(call: Call, options: DeleteOptions, old: Manifest) -> None:
    """Raises Conflict, which names the kind and not the resource (A84)."""
    metadata = old["metadata"]
    detail = ""
    if options.uid and options.uid != metadata["uid"]:
        detail = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated"
        )
    elif options.resource_version and options.resource_version != metadata["resourceVersion"]:
        detail = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({metadata['resourceVersion']}). The object might have been modified"
        )
    if detail:
        resource = call.resource
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        message = f'Operation cannot be fulfilled on {kind} "{call.name}": {detail}'
        raise Conflict(message, name=call.name, group=resource.group, kind=resource.kind)


def plan(call: Call, options: DeleteOptions, old: Manifest, now: datetime) -> Step:
    """The next step of deleting `old`; pure."""
    if call.resource.kind == "Namespace":
        return _plan_namespace(options, old, now)
    if call.resource.is_graceful:
        return _plan_graceful(call, options, old, now)
    return _plan_plain(call, options, old, now)


def _plan_plain(call: Call, options: DeleteOptions, old: Manifest, now: datetime) -> Step:
    if not old["metadata"].get("deletionTimestamp"):
        old = call.resource.prepare_delete(old, format_time(now))
    metadata = {**old["metadata"]}
    has_changed = set_finalizers(call.resource.default_propagation, options, metadata)
    if not metadata.get("finalizers"):
        return Step(None, removes=True)
    if not metadata.get("deletionTimestamp"):
        _mark(metadata, now)
        has_changed = True
    return Step({**old, "metadata": metadata} if has_changed else None, removes=False)


def _mark(metadata: Manifest, now: datetime) -> None:
    metadata["deletionTimestamp"] = format_time(now)
    metadata["deletionGracePeriodSeconds"] = 0
    if "generation" in metadata:
        metadata["generation"] += 1


def _plan_namespace(options: DeleteOptions, old: Manifest, now: datetime) -> Step:
    """The phase changes with the mark; the namespace goes with its last finalizer of either list (A92, A257)."""
    metadata = {**old["metadata"]}
    has_changed = set_finalizers("Background", options, metadata)
    is_marked = bool(metadata.get("deletionTimestamp"))
    if not metadata.get("finalizers") and not (old.get("spec") or {}).get("finalizers"):
        return Step(None, removes=True)
    if not is_marked:
        metadata["deletionTimestamp"] = format_time(now)
    marked = {**old, "metadata": metadata, "status": {**(old.get("status") or {}), "phase": "Terminating"}}
    return Step(marked if has_changed or not is_marked else None, removes=False)


def _plan_graceful(call: Call, options: DeleteOptions, old: Manifest, now: datetime) -> Step:
    """Pods: a moment in the future, which may come nearer but not move away (A89)."""
    metadata = {**old["metadata"]}
    has_finalizers_changed = set_finalizers(call.resource.default_propagation, options, metadata)
    period = metadata.get("deletionGracePeriodSeconds") or 0
    if not metadata.get("deletionTimestamp"):
        grace = _grace(options, old)
        _set_grace(metadata, now, grace)
        metadata["generation"] = metadata.get("generation", 0) + 1
    elif period == 0:
        removes = not metadata.get("finalizers")
        return Step({**old, "metadata": metadata} if has_finalizers_changed else None, removes)
    elif options.grace_period_s is None or options.grace_period_s >= period:
        return Step(None, removes=False)
    else:
        grace = max(options.grace_period_s, 0) if options.grace_period_s >= 0 else 1
        begun = parse_time(metadata["deletionTimestamp"]) - timedelta(seconds=period)
        _set_grace(metadata, begun, grace)
        if grace and parse_time(metadata["deletionTimestamp"]) < now:
            _set_grace(metadata, now, 1)
            grace = 1
    removes = metadata["deletionGracePeriodSeconds"] == 0 and not metadata.get("finalizers")
    return Step({**old, "metadata": metadata}, removes)


def _grace(options: DeleteOptions, pod: Manifest) -> int:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = options.grace_period_s
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", 30)
    return int(grace) if grace >= 0 else 1


def _set_grace(metadata: Manifest, begun: datetime, grace: int) -> None:
    metadata["deletionTimestamp"] = format_time(begun + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace


def set_finalizers(default: str, options: DeleteOptions, metadata: Manifest) -> bool:
    """Sets or takes away the finalizers that ask the garbage collector for help (A85). Says whether any changed."""
    before = metadata.get("finalizers") or []
    wanted = propagation(default, options, before)
    after = [name for name in before if name not in (ORPHAN, FOREGROUND)]
    if wanted == "Orphan":
        after.append(ORPHAN)
    elif wanted == "Foreground":
        after.append(FOREGROUND)
    if set(after) == set(before):
        return False
    if after:
        metadata["finalizers"] = after
    else:
        metadata.pop("finalizers", None)
    return True


def propagation(default: str, options: DeleteOptions, finalizers: list[str]) -> str:
    """What is asked for; without that what an earlier deletion asked for; else the kind's default (A83)."""
    if not default:
        return "Background"
    if options.orphan_dependents is not None:
        return "Orphan" if options.orphan_dependents else "Background"
    if options.propagation:
        return options.propagation
    if ORPHAN in finalizers:
        return "Orphan"
    if FOREGROUND in finalizers:
        return "Foreground"
    return default


def warnings(resource: Resource, options: DeleteOptions) -> list[str]:
    """What a client may not expect of a kind that leaves its dependents alone."""
    if resource.kind != "Job" or options.propagation or options.orphan_dependents is not None:
        return []
    return [
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them "
        "or set propagationPolicy=Orphan to suppress this warning"
    ]


def status_of(call: Call, deleted: Manifest) -> dict[str, Any]:
    """The Success Status of A63."""
    resource = call.resource
    details: Mapping[str, str] = {"name": call.name, "group": resource.group, "kind": resource.plural,
                                  "uid": deleted["metadata"]["uid"]}  # fmt: skip
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {name: value for name, value in details.items() if value},
    }
