"""Admission by others: webhooks and policies that the objects in the store describe (A246-A249).

Verbs ask `is_active` first: where nobody has configured anything nothing is paid, nothing is awaited, and nothing of it
is loaded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from holdfast.api.admissionregistration.mutating_admission_policy import MUTATING_ADMISSION_POLICIES
from holdfast.api.admissionregistration.mutating_webhook_configuration import MUTATING_WEBHOOK_CONFIGURATIONS
from holdfast.api.admissionregistration.validating_admission_policy import VALIDATING_ADMISSION_POLICIES
from holdfast.api.admissionregistration.validating_webhook_configuration import VALIDATING_WEBHOOK_CONFIGURATIONS
from holdfast.api.kinds import Kinds
from holdfast.api.resource import Manifest
from holdfast.apiserver.auth.authorization import Authorizer
from holdfast.apiserver.cache import Cache, Event
from holdfast.wire.client import Dial
from holdfast.world import World

if TYPE_CHECKING:
    from holdfast.api.custom.resources import Custom

    from .asking import Asking
    from .attempt import Attempt
    from .forms import Fit

Convert = Callable[["Custom", Sequence[Manifest], str], Awaitable[list[Manifest]]]
"""(kind, objects, apiVersion): asks the conversion webhook of a kind. Raises PlainError."""

DESCRIBED_BY = (
    MUTATING_ADMISSION_POLICIES,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)


class Dynamic:
    """What others have a say in."""

    def __init__(
        self,
        cache: Cache,
        world: World,
        authorizer: Authorizer,
        kinds: Kinds,
        to_pods: Callable[[], Dial | None],
        convert: Convert,
    ) -> None:
        self._parts = (cache, world, authorizer, kinds, to_pods, convert)
        self._described = [cache.of(resource) for resource in DESCRIBED_BY]
        self.is_active = self._is_active()
        """Whether there is anybody to ask."""
        for each in self._described:
            each.follow(self._changed)

    def _is_active(self) -> bool:
        return any(each.objects for each in self._described)

    def _changed(self, event: Event) -> None:
        self.is_active = self._is_active()

    @cached_property
    def asking(self) -> Asking:
        from .asking import Asking

        return Asking(*self._parts)

    async def close(self) -> None:
        if "asking" in self.__dict__:
            await self.asking.close()

    async def mutate(self, attempt: Attempt, fit: Fit, again: Fit | None = None) -> bool:
        """Lets policies, then webhooks change `attempt.object`; says whether any has.

        `fit` makes an object of what they return, `again` is as `mutating.mutate` has it.
        Raises what a webhook refuses with, InternalError for one that fails, Forbidden, NotFound.
        """
        return await self.asking.mutate(attempt, fit, again)

    async def validate(self, attempt: Attempt) -> None:
        """Asks all whether it may be, policies first. Raises as `mutate` does."""
        await self.asking.validate(attempt)

    async def review(self, attempt: Attempt, fit: Fit = dict) -> None:
        """Both at once, of what is not an object that is stored: a deletion, a connection, a binding."""
        await self.asking.mutate(attempt, fit, None)
        await self.asking.validate(attempt)
