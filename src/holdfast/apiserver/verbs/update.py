"""PUT on an object and its subresources, and what every write of an existing object shares (A76-A80, A87, A151)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.fields import tracking
from holdfast.apiserver.fields.scope import Scope
from holdfast.store import RevisionMismatch

from . import create, reviewed, strategy, subresources

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

TRIES = 5

Check = Callable[["Api", Call, Manifest, Manifest], None]


async def update(api: Api, call: Call, manifest: Manifest) -> tuple[Stored, bool]:
    """The stored object, and whether it was created. `manifest` is private to the call.

    Raises Conflict for a stale resourceVersion or another uid, NotFound, Invalid, BadRequest.
    """
    metadata = strategy.metadata_of(manifest)
    strategy.check_name(call, metadata)
    strategy.check_namespace(call, metadata)
    given = dict(metadata)
    if api.latest(call) is None and call.resource.creates_on_update and not call.subresource:
        if given.get("resourceVersion"):
            raise call.not_found()
        call.resource.default(manifest)
        return await create.make(api, call, manifest), True

    def revised(old: Stored) -> Manifest:
        strategy.check_uid(api, call, given, old.manifest)
        strategy.check_revision(call, given, old.revision)
        new = {**manifest, "metadata": {**given}}
        settle(api, call, new, old.manifest)
        return new

    return await replace(api, call, revised), False


async def replace(
    api: Api,
    call: Call,
    revised: Callable[[Stored], Manifest],
    *,
    check: Check | None = None,
    subresource: str | None = None,
    is_tracked: bool = True,
    shape: reviewed.Shape | None = None,
) -> Stored:
    """Stores what `revised` makes of the latest state, again if somebody else was faster (A122).

    Nothing is written if nothing changed (A2); the object goes if the change took the last finalizer (A87).
    `check(api, call, new, old)` refuses what is wrong, the kind's own rules if it is None. What has changed is
    the caller's from now on, written through `subresource` if that is not the call's; unless it is not tracked.
    Others are asked about what the kind's own rules are held against, in the `shape` that the client gave it.
    """
    is_reviewed = check is None and api.dynamic.is_active
    check = check or finish
    for _ in range(TRIES):
        old = api.latest(call)
        if old is None:
            raise call.not_found()
        new = revised(old)
        if new == old.manifest and not is_reviewed:
            return old
        if is_tracked and new != old.manifest:
            track(api, call, new, old.manifest, call.subresource if subresource is None else subresource)
        shown = (shape or reviewed.whole(api, call, settle, old.manifest)) if is_reviewed else None
        if shown is not None:
            new = await reviewed.updated(api, shown, new, old.manifest)
        with api.allocation.of(call, new, old.manifest):
            check(api, call, new, old.manifest)
            if shown is not None:
                await reviewed.check_updated(api, shown, new, old.manifest)
                if new == old.manifest:
                    return old
            try:
                with api.admission.charged(call, new, old.manifest):
                    return await _store(api, call, new, old)
            except RevisionMismatch:
                continue
    raise call.conflict()


async def _store(api: Api, call: Call, new: Manifest, old: Stored) -> Stored:
    """Raises RevisionMismatch."""
    if call.options.dry_run:
        return await api.unsaved(call, new)
    if strategy.is_gone(new, old.manifest):
        await api.remove(call, old.manifest, old.revision)
        return await api.unsaved(call, new)
    return await api.write(call, new, old.revision)


def track(api: Api, call: Call, new: Manifest, old: Manifest, subresource: str) -> None:
    """Moves ownership to the caller, of all that differs (A143)."""
    managed = new["metadata"].get("managedFields")
    if managed:
        scope = Scope(call.resource, subresource)
        strategy.set_managed(new, tracking.updated(scope, old, new, managed, call.manager, api.now()))


def settle(api: Api, call: Call, new: Manifest, old: Manifest) -> None:
    """Makes of a client's idea of an object what it may become: defaults, admission, what is kept."""
    strategy.carry_over(call, new, old)
    if call.subresource:
        call.resource.default(new)
        api.admission.admit(call, new, old)
        subresources.merge(call, new, old, api.now())
        return
    strategy.keep_status(call, new, old)
    call.resource.default(new)
    api.admission.admit(call, new, old)
    call.resource.prepare_update(new, old)
    strategy.bump_generation(call, new, old)


def finish(api: Api, call: Call, new: Manifest, old: Manifest) -> None:
    """Refuses what is wrong. Raises Invalid, Forbidden."""
    if call.subresource:
        if errors := subresources.errors(call, new, old):
            raise call.invalid(errors)
        api.admission.check(call, new, old)
        return
    verdict = api.verdicts.of(call.resource, new)
    if errors := strategy.update_errors(call, new, old, verdict):
        raise call.invalid(errors)
    api.admission.check(call, new, old)
    if strategy.may_warn(call, new, old):
        call.warnings += verdict.warnings()
