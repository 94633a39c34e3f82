"""Writes as those see them who are asked about them: webhooks and policies (A69, A246).

Upstream's order: what this server decides by itself, mutating webhooks, what it makes of their changes, validation,
those who only judge, the quota. Everything here is called only where somebody is to be asked, and waits for them;
what it needs for that is loaded then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.api.resource import Manifest
from holdfast.apiserver.bodies import kind_in_body
from holdfast.apiserver.call import Call

from . import strategy

if TYPE_CHECKING:
    from holdfast.apiserver.admission.dynamic.attempt import Attempt
    from holdfast.apiserver.admission.dynamic.forms import Fit
    from holdfast.apiserver.api import Api


async def created(api: Api, call: Call, manifest: Manifest) -> Manifest:
    """A new object as webhooks want it; `call` gets its name. Raises what they refuse with."""

    def again(changed: Manifest) -> Manifest:
        api.admission.admit(call, changed, None)
        return changed

    from holdfast.apiserver.admission.dynamic.attempt import creating
    from holdfast.apiserver.admission.dynamic.forms import fit_of

    attempt = creating(call, manifest)
    if await api.dynamic.mutate(attempt, fit_of(call.resource), again):
        assert attempt.object is not None
        manifest = attempt.object
        metadata = strategy.metadata_of(manifest)
        call.name = metadata["name"] = metadata.get("name") or call.name
        strategy.check_namespace(call, metadata)
    return manifest


async def check_created(api: Api, call: Call, manifest: Manifest) -> None:
    """Raises what those who judge refuse with, and what has come of the namespace meanwhile."""
    from holdfast.apiserver.admission.dynamic.attempt import creating

    await api.dynamic.validate(creating(call, manifest))
    api.admission.check_namespace(call, manifest)


async def below(api: Api, call: Call, manifest: Manifest) -> Manifest:
    """What is posted to a subresource, as webhooks want it."""
    from holdfast.apiserver.admission.dynamic.attempt import creating
    from holdfast.apiserver.admission.dynamic.forms import fit_of, kind_alone

    attempt = creating(call, manifest)
    await api.dynamic.review(attempt, fit_of(kind_alone(*kind_in_body(call))))
    assert attempt.object is not None
    return attempt.object


@dataclass(frozen=True, slots=True)
class Shape:
    """How an update is shown to others: whole, or as the part that the client has asked to change."""

    attempt: Callable[[Manifest, Manifest], Attempt]
    """(new, old)"""
    fit: Fit
    taken: Callable[[Manifest, Manifest, Manifest], Manifest]
    """(shown, new, old): what becomes of the new state when what was shown of it comes back changed."""
    again: Fit | None = None


def whole(api: Api, call: Call, settle: Callable[[Api, Call, Manifest, Manifest], None], old: Manifest) -> Shape:
    """`settle` makes of a changed object what it may become. Nobody's ownership changes by it."""

    def again(changed: Manifest) -> Manifest:
        managed = changed["metadata"].get("managedFields") or []
        settle(api, call, changed, old)
        strategy.set_managed(changed, managed)
        return changed

    from holdfast.apiserver.admission.dynamic.attempt import updating
    from holdfast.apiserver.admission.dynamic.forms import fit_of

    return Shape(lambda new, old: updating(call, new, old), fit_of(call.resource), lambda shown, new, old: shown, again)


async def updated(api: Api, shape: Shape, new: Manifest, old: Manifest) -> Manifest:
    """The new state as webhooks want it. Raises what they refuse with."""
    attempt = shape.attempt(new, old)
    if not await api.dynamic.mutate(attempt, shape.fit, shape.again):
        return new
    assert attempt.object is not None
    return shape.taken(attempt.object, new, old)


async def check_updated(api: Api, shape: Shape, new: Manifest, old: Manifest) -> None:
    """Raises what those who judge refuse with."""
    await api.dynamic.validate(shape.attempt(new, old))
