"""Those who change objects, one after the other, each on what the one before has left (A247).

Source: Kubernetes, k8s.io/apiserver/pkg/admission/{reinvocation.go,plugin/webhook/mutating/dispatcher.go}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.bodies import copied
from holdfast.apiserver.patch.json import json_patch

from .attempt import Attempt
from .forms import Fit, shown


@dataclass(frozen=True, slots=True)
class Mutator:
    """A webhook or a policy."""

    key: str
    """Tells it from all others."""
    is_called_again: bool
    """If others have changed the object after it was called."""
    act: Callable[[Attempt], Awaitable[bool]]
    """Whether the attempt is one of those that are meant; replaces its object. Raises what refuses the request."""


@dataclass(slots=True)
class _State:
    """What is to be remembered between the two rounds."""

    callable_again: set[str] = field(default_factory=set)
    """Those that were called and want to know of what others change."""
    due: set[str] = field(default_factory=set)
    has_changed: bool = False

    def changed(self) -> None:
        self.has_changed = True
        self.due |= self.callable_again
        self.callable_again = set()


async def mutate(attempt: Attempt, mutators: Sequence[Mutator], again: Fit | None = None) -> bool:
    """Lets all that are meant change `attempt.object`; says whether any has.

    `again` is what this server makes of an object that somebody changed, before those that want it are asked once
    more; it may change its argument.
    """
    state = _State()
    for mutator in mutators:
        await _call(mutator, attempt, state)
    if not state.has_changed:
        return False
    _settle(attempt, again, state)
    due, state.has_changed = state.due, False
    for mutator in mutators:
        if mutator.key in due:
            await _call(mutator, attempt, state)
    if state.has_changed:
        _settle(attempt, again, state)
    return True


def _settle(attempt: Attempt, again: Fit | None, state: _State) -> None:
    if again is not None and attempt.object is not None:
        before = attempt.object
        attempt.object = again(copied(before))
        if attempt.object != before:
            state.changed()


async def _call(mutator: Mutator, attempt: Attempt, state: _State) -> None:
    before = attempt.object
    if not await mutator.act(attempt):
        return
    if attempt.object is not before and attempt.object != before:
        state.changed()
    if mutator.is_called_again:
        state.callable_again.add(mutator.key)


def patch(attempt: Attempt, form: Resource, operations: Sequence[object], fit: Fit) -> None:
    """Applies a JSON patch to the object as `form` shows it. Raises ApiError where it does not apply."""
    before = shown(attempt.resource, form, attempt.object)
    assert before is not None
    replace(attempt, form, json_patch(before, list(operations)), fit)


def replace(attempt: Attempt, form: Resource, changed: Manifest, fit: Fit) -> None:
    """Puts a document in the form of `form` in the object's place."""
    attempt.object = fit(shown(form, attempt.resource, changed) or {})
