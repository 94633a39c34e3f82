"""Asks all who have a say in an attempt, in order (A246-A249)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from holdfast.api.admissionregistration.mutating_admission_policy import MUTATING_ADMISSION_POLICIES
from holdfast.api.admissionregistration.mutating_admission_policy_binding import MUTATING_ADMISSION_POLICY_BINDINGS
from holdfast.api.admissionregistration.mutating_webhook_configuration import MUTATING_WEBHOOK_CONFIGURATIONS
from holdfast.api.admissionregistration.validating_admission_policy import VALIDATING_ADMISSION_POLICIES
from holdfast.api.admissionregistration.validating_admission_policy_binding import (
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from holdfast.api.admissionregistration.validating_webhook_configuration import VALIDATING_WEBHOOK_CONFIGURATIONS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.errors import ApiError, NotFound, show
from holdfast.api.kinds import Kinds
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.auth.authorization import Authorizer
from holdfast.apiserver.bodies import copied
from holdfast.apiserver.cache import Cache, Event
from holdfast.apiserver.patch.json import json_patch
from holdfast.wire.client import Dial
from holdfast.world import World

from . import Convert, conditions, forms, matching, mutations, reviewing
from .attempt import Attempt
from .calling import Callers
from .conditions import Scene, Unclear
from .forms import Fit
from .hooks import Hook, Hooks
from .mutating import Mutator, mutate
from .parameters import parameters
from .policies import Policies, Policy, Surroundings, judge
from .refusals import CallFailed, denied, failed, forbidden, internal
from .reviewing import Unusable, Verdict

log = logging.getLogger(__name__)


class Asking:
    """Webhooks and policies as the store has them, kept up to date."""

    def __init__(
        self,
        cache: Cache,
        world: World,
        authorizer: Authorizer,
        kinds: Kinds,
        to_pods: Callable[[], Dial | None],
        convert: Convert,
    ) -> None:
        self._cache = cache
        self._world = world
        self._authorizer = authorizer
        self._kinds = kinds
        self._convert = convert
        self._mutating = Hooks(cache.of(MUTATING_WEBHOOK_CONFIGURATIONS))
        self._validating = Hooks(cache.of(VALIDATING_WEBHOOK_CONFIGURATIONS))
        self._mutations = Policies(cache.of(MUTATING_ADMISSION_POLICIES), cache.of(MUTATING_ADMISSION_POLICY_BINDINGS))
        self._policies = Policies(
            cache.of(VALIDATING_ADMISSION_POLICIES), cache.of(VALIDATING_ADMISSION_POLICY_BINDINGS)
        )
        self._around = Surroundings(
            self._match_policy,
            self._scene,
            lambda policy, binding, namespace: parameters(cache, kinds, policy, binding, namespace),
        )
        self._callers = Callers(cache, world.random, to_pods)
        for configurations in (MUTATING_WEBHOOK_CONFIGURATIONS, VALIDATING_WEBHOOK_CONFIGURATIONS):
            cache.of(configurations).follow(self._forget_targets)

    def _forget_targets(self, event: Event) -> None:
        hooks = (*self._mutating.all, *self._validating.all)
        self._callers.keep({hook.target for hook in hooks})

    async def close(self) -> None:
        await self._callers.close()

    # -- the two phases

    async def mutate(self, attempt: Attempt, fit: Fit, again: Fit | None) -> bool:
        """As `Dynamic.mutate`."""
        if not (self._mutations.all or self._mutating.all) or matching.is_exempt(attempt.resource):
            return False
        policies = [self._policy_mutator(policy, fit) for policy in self._mutations.all]
        return await mutate(
            attempt, [*policies, *(self._hook_mutator(hook, fit) for hook in self._mutating.all)], again
        )

    def _policy_mutator(self, policy: Policy, fit: Fit) -> Mutator:
        async def act(attempt: Attempt) -> bool:
            return mutations.act(policy, attempt, self._around, fit)

        return Mutator(f"policy {policy.name}", policy.spec.get("reinvocationPolicy") == "IfNeeded", act)

    def _hook_mutator(self, hook: Hook, fit: Fit) -> Mutator:
        async def act(attempt: Attempt) -> bool:
            form = self._match(hook, attempt)
            if form is None:
                return False
            verdict = await self._ask(hook, attempt, form, may_patch=True)
            if verdict is None:
                return True
            if not verdict.allowed:
                raise denied(hook.name, verdict.status)
            if verdict.patch:
                await self._patch(hook, attempt, form, verdict, fit)
            return True

        return Mutator(hook.key, hook.is_called_again, act)

    async def validate(self, attempt: Attempt) -> None:
        """As `Dynamic.validate`."""
        if matching.is_exempt(attempt.resource):
            return
        if self._policies.all:
            judge(self._policies.all, attempt, self._around)
        asked = [(hook, form) for hook in self._validating.all if (form := self._match(hook, attempt)) is not None]
        if not asked:
            return
        answers = [self._answer(hook, attempt, form) for hook, form in asked]
        for refusal in await asyncio.gather(*answers):
            if refusal is not None:
                raise refusal

    async def _answer(self, hook: Hook, attempt: Attempt, form: Resource) -> ApiError | None:
        """What a validating webhook refuses with."""
        try:
            verdict = await self._ask(hook, attempt, form, may_patch=False)
        except ApiError as error:
            return error
        return None if verdict is None or verdict.allowed else denied(hook.name, verdict.status)

    # -- one webhook

    def _match(self, hook: Hook, attempt: Attempt) -> Resource | None:
        """The form in which the webhook wants to see the attempt; None if it does not. Raises Forbidden, NotFound."""
        form = matching.matched(hook.webhook, hook.rules, attempt, self._others, self._labels)
        if form is None or not hook.conditions:
            return form
        scene = self._scene(attempt, _at_hand(attempt, form))
        try:
            return form if conditions.hold(hook.conditions, scene, must_be_clear=hook.is_required) else None
        except Unclear as unclear:
            raise forbidden(attempt, str(unclear)) from None

    def _match_policy(self, match: Manifest, attempt: Attempt) -> Resource | None:
        form = matching.matched_by_policy(match, attempt, self._others, self._labels)
        return None if form is None else _at_hand(attempt, form)

    async def _ask(self, hook: Hook, attempt: Attempt, form: Resource, *, may_patch: bool) -> Verdict | None:
        """None from a webhook that has failed and may. Raises InternalError for one that must not."""
        uid = self._world.new_uid()
        try:
            verdict = await self._called(hook, attempt, form, uid, may_patch=may_patch)
        except CallFailed as error:
            if hook.is_required:
                raise failed(hook.name, error) from None
            log.warning("webhook failed, its failurePolicy lets requests pass webhook=%s error=%s", hook.name, error)
            return None
        attempt.call.warnings += verdict.warnings
        return verdict

    async def _called(self, hook: Hook, attempt: Attempt, form: Resource, uid: str, *, may_patch: bool) -> Verdict:
        """Raises CallFailed."""
        try:
            version = reviewing.version_of(hook.webhook.get("admissionReviewVersions") or ())
        except Unusable as error:
            raise CallFailed(f"could not create admission objects: {error}") from None
        shown = await self._shown(attempt.resource, form, attempt.object)
        old = await self._shown(attempt.resource, form, attempt.old)
        body = reviewing.review(attempt, uid, version, form, shown, old)
        answer = await self._callers.post(hook.target, body, hook.timeout_s)
        try:
            return reviewing.verdict(answer, uid, version, may_patch=may_patch)
        except Unusable as error:
            text = str(error)
            if text.startswith(("received undecodable", "couldn't get version")):
                raise CallFailed(text) from None
            raise CallFailed(f"received invalid webhook response: {text}") from None

    async def _patch(self, hook: Hook, attempt: Attempt, form: Resource, verdict: Verdict, fit: Fit) -> None:
        """Raises InternalError for a change that cannot be made."""
        before = await self._shown(attempt.resource, form, attempt.object)
        if before is None:
            text = "attempted to modify the object, which is not supported for this operation"
            raise internal(f"admission webhook {show(hook.name)} {text}")
        try:
            patched = json_patch(before, list(verdict.patch))
        except ApiError as error:
            paths = ", ".join(str(each.get("path")) for each in verdict.patch if isinstance(each, dict))
            raise internal(f"the patch does not apply to the object ({paths}): {error.message}") from None
        attempt.object = fit(await self._shown(form, attempt.resource, patched) or {})

    async def _shown(self, source: Resource, target: Resource, manifest: Manifest | None) -> Manifest | None:
        """An object in another form; a webhook may have to make it."""
        if manifest is None or source is target or source.custom is None or source.custom.conversion is None:
            return forms.shown(source, target, manifest)
        (converted,) = await self._convert(source.custom, [manifest], target.api_version)
        return converted

    # -- what is known of the cluster

    def _scene(self, attempt: Attempt, form: Resource, params: Manifest | None = None) -> Scene:
        values = {
            "object": forms.shown(attempt.resource, form, attempt.object),
            "oldObject": forms.shown(attempt.resource, form, attempt.old),
            "request": reviewing.request_of(attempt, "", form),
            "params": params,
            "namespaceObject": conditions.shown_namespace(self._namespace(attempt)),
        }
        # The library takes nothing but what JSON is made of, to the type: ownership here has one of its own.
        return Scene(
            attempt.call.user, self._authorizer, {name: value and copied(value) for name, value in values.items()}
        )

    def _namespace(self, attempt: Attempt) -> Manifest | None:
        if attempt.resource is NAMESPACES or not attempt.namespace:
            return None
        stored = self._cache.of(NAMESPACES).get("", attempt.namespace)
        return None if stored is None else stored.manifest

    def _labels(self, namespace: str) -> Manifest:
        stored = self._cache.of(NAMESPACES).get("", namespace)
        if stored is None:
            raise NotFound(f'namespaces "{namespace}" not found', name=namespace, kind="namespaces")
        return stored.labels

    def _others(self, resource: Resource) -> list[Resource]:
        return list(forms.others(self._kinds, resource))


def _at_hand(attempt: Attempt, form: Resource) -> Resource:
    """The form in which expressions see an object: where a webhook would have to make another, it stays as it is."""
    custom = attempt.resource.custom
    return form if custom is None or custom.conversion is None else attempt.resource
