"""Mutating webhooks, one after the other, each on what the one before has left (A247).

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go, admission/reinvocation.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from holdfast.api.errors import ApiError, show
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.patch.json import json_patch

from . import refusals
from .attempt import Attempt
from .forms import Fit, shown
from .hooks import Hook
from .reviewing import Verdict

Ask = Callable[[Hook, Attempt, Resource], Awaitable[Verdict | None]]
"""Asks a webhook about an attempt in the form of a resource; None if it failed and need not answer."""
Match = Callable[[Hook, Attempt], Resource | None]


@dataclass(slots=True)
class Round:
    """What is to be remembered between the two rounds."""

    callable_again: set[str] = field(default_factory=set)
    """Webhooks that were called and want to know of what others change."""
    due: set[str] = field(default_factory=set)
    has_changed: bool = False

    def changed(self) -> None:
        self.has_changed = True
        self.due |= self.callable_again
        self.callable_again = set()


async def mutate(
    attempt: Attempt, hooks: Sequence[Hook], match: Match, ask: Ask, fit: Fit, again: Fit | None = None
) -> bool:
    """Lets all webhooks that are meant change `attempt.object`; says whether any has.

    `again` is what this server makes of an object that somebody changed, before those that want it are asked once
    more; it may change its argument.
    """
    state = Round()
    for hook in hooks:
        await _call(hook, attempt, match, ask, fit, state)
    if not state.has_changed:
        return False
    if again is not None and attempt.object is not None:
        before = attempt.object
        attempt.object = again(fit(before))
        if attempt.object != before:
            state.changed()
    due = state.due
    is_changed = False
    for hook in hooks:
        if hook.key in due:
            is_changed |= await _call(hook, attempt, match, ask, fit, state)
    if is_changed and again is not None and attempt.object is not None:
        attempt.object = again(attempt.object)
    return True


async def _call(hook: Hook, attempt: Attempt, match: Match, ask: Ask, fit: Fit, state: Round) -> bool:
    """Whether the webhook has changed the object."""
    form = match(hook, attempt)
    if form is None:
        return False
    verdict = await ask(hook, attempt, form)
    is_changed = False
    if verdict is not None:
        if not verdict.allowed:
            raise refusals.denied(hook.name, verdict.status)
        if verdict.patch:
            is_changed = _patch(hook, attempt, form, verdict, fit)
    if is_changed:
        state.changed()
    if hook.is_called_again:
        state.callable_again.add(hook.key)
    return is_changed


def _patch(hook: Hook, attempt: Attempt, form: Resource, verdict: Verdict, fit: Fit) -> bool:
    before = shown(attempt.resource, form, attempt.object)
    if before is None:
        text = "attempted to modify the object, which is not supported for this operation"
        raise refusals.internal(f"admission webhook {show(hook.name)} {text}")
    try:
        patched: Manifest = json_patch(before, list(verdict.patch))
    except ApiError as error:
        raise refusals.internal(_why(error, verdict)) from None
    fitting = fit(shown(form, attempt.resource, patched) or {})
    is_changed = fitting != attempt.object
    attempt.object = fitting
    return is_changed


def _why(error: ApiError, verdict: Verdict) -> str:
    paths = ", ".join(str(each.get("path")) for each in verdict.patch if isinstance(each, dict))
    return f"the patch does not apply to the object ({paths}): {error.message}"
