"""Runs any controller: keys from a queue, one step for each, and the one place where plans become calls."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from holdfast.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.client import Client, PatchType
from holdfast.client.events import EventRecorder
from holdfast.client.informer import Informers
from holdfast.client.queue import WorkQueue
from holdfast.world import World

from .actions import Action, Confirm, Create, Delete, Each, Emit, Fail, Patch, Plan, Report, Update, Waves
from .pace import Pace

log = logging.getLogger(__name__)

T = TypeVar("T")

LARGEST_WAVE = 500
STATUS_ATTEMPTS = 5
STATUS_ATTEMPT_AFTER_S = 0.01


class StaleView(Exception):
    """Raised by `observe` when its view is not whole yet: the step is tried again, with back-off."""


class Controller(Protocol[T]):
    """What decides. Holds nothing that is not in API objects: it may be thrown away and made anew at any time.

    `T` is what a step observes; it carries the moment if the plan depends on time.
    """

    name: str
    """As events name it, such as `statefulset-controller`."""
    concurrency: int
    """So many keys are worked on at a time."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        """Asks for informers and indexes, and subscribes handlers that add keys. Called once, never waits."""

    def observe(self, key: str) -> T | None:
        """All that the plan for `key` depends on, from the informers; None if there is nothing to decide."""

    def plan(self, observed: T) -> Plan:
        """What to do. Pure."""


@runtime_checkable
class Verifies(Protocol):
    """A controller that decides nothing final, such as a deletion, on a view that may be old."""

    async def verify(self, observed: Any, client: Client) -> Any | None:
        """What was observed, with what has to be certain read from the server now. Raises ApiError: tried again."""


class Failed(Exception):
    """Actions failed, with these errors. Several read as a list in brackets, each once (S147)."""

    def __init__(self, errors: Sequence[str]) -> None:
        self.errors = tuple(dict.fromkeys(errors))
        super().__init__(self.errors[0] if len(self.errors) == 1 else f"[{', '.join(self.errors)}]")


class Runner(Generic[T]):
    """One controller at work. `run` until cancelled; to start over, make everything anew.

    The informers are shared and kept up to date by whoever made them.
    """

    def __init__(self, controller: Controller[T], client: Client, informers: Informers, world: World) -> None:
        self.controller = controller
        self._verifies = controller if isinstance(controller, Verifies) else None
        self.queue = WorkQueue(world)
        self.events = EventRecorder(client, controller.name, world)
        self._client = client
        self._informers = informers
        self._performer = Performer(client, self.events, world)
        self._own_writes = OwnWrites(informers, self.queue)
        self._pace = Pace(world.clock)

    async def run(self) -> None:
        with self._informers.collecting() as subscriptions:
            self.controller.start(self._informers, self.queue)
        try:
            await self._informers.wait_synced()
            async with asyncio.TaskGroup() as group:
                group.create_task(self.events.run(), name=f"{self.controller.name} events")
                for number in range(self.controller.concurrency):
                    group.create_task(self._work(), name=f"{self.controller.name} {number}")
        finally:
            self.queue.close()
            for end in subscriptions:
                end()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._step(key)
            finally:
                self.queue.done(key)

    async def _step(self, key: str) -> None:
        """One step for the object at `key`; safe to stop after any action. Never raises."""
        if self._own_writes.are_unseen(key):
            return  # comes again as soon as they are seen
        try:
            await self.reconcile(key)
        except (StaleView, Failed, ApiError) as error:
            log.info("failed controller=%s object=%s error=%r", self.controller.name, key, str(error))
            self.queue.retry(key)
        except Exception:
            log.exception("crashed controller=%s object=%s", self.controller.name, key)
            self.queue.retry(key)
        else:
            self.queue.forget(key)

    async def reconcile(self, key: str) -> None:
        """Observes, plans, acts. Raises Failed after everything that can be done has been done."""
        observed = await self.observe(key)
        if observed is not None:
            await self.carry_out(key, self.controller.plan(observed))

    async def observe(self, key: str) -> T | None:
        """What the controller sees, with what it wants to have read live (see `Verifies`)."""
        observed = self.controller.observe(key)
        if observed is None or self._verifies is None:
            return observed
        verified: T | None = await self._verifies.verify(observed, self._client)
        return verified

    async def carry_out(self, key: str, plan: Plan) -> None:
        """Acts on one plan for `key`. Raises Failed."""
        level = logging.INFO if plan.before or plan.actions or plan.cleanup else logging.DEBUG
        log.log(level, "planned controller=%s object=%s reason=%r", self.controller.name, key, plan.reason)
        errors = await self._carry_out(plan, Step(key, plan.subject, self._own_writes))
        if errors:
            raise Failed(errors)
        if plan.again_after_s is not None:
            self.queue.add_after(key, plan.again_after_s)

    async def _carry_out(self, plan: Plan, step: Step) -> list[str]:
        try:
            for action in plan.before:
                await self._performer.perform(action, step)
        except Failed as failed:
            return list(failed.errors)
        errors: list[str] = []
        await self._perform_all(plan.actions, step, errors)
        if errors and plan.failed_status is not None:
            await self._perform_all([_with_errors(plan.failed_status, Failed(errors))], step, errors)
        elif plan.status is not None and not (plan.status_may_wait and self._is_put_off(step.key)):
            self._pace.note(step.key)
            await self._perform_all([plan.status], step, errors)
        await self._perform_all(plan.cleanup, step, errors)
        return errors

    def _is_put_off(self, key: str) -> bool:
        """Whether a status that may wait does; if so, the key is looked at again when it is due."""
        wait_s = self._pace.wait_s(key)
        if wait_s > 0:
            self.queue.add_after(key, wait_s)
        return wait_s > 0

    async def _perform_all(self, actions: Iterable[Action], step: Step, errors: list[str]) -> None:
        """In order, up to the first that fails; its errors are added to `errors`."""
        try:
            for action in actions:
                await self._performer.perform(action, step)
        except Failed as failed:
            errors += failed.errors


class OwnWrites:
    """Which keys' own writes have not come back through the informers yet.

    A step on a view without them would do the same again (S1, S161). Rather than fail and back off, the key is
    put back in the queue at the moment the view has caught up.
    """

    def __init__(self, informers: Informers, queue: WorkQueue) -> None:
        self._informers = informers
        self._queue = queue
        self._unseen: Counter[str] = Counter()
        self._wanted: set[str] = set()

    def note(self, key: str, resource: Resource, result: Manifest) -> None:
        """Remembers the answer to a write that was made for `key`."""
        resource_version = result.get("metadata", {}).get("resourceVersion", "")
        informer = self._informers.whole(resource)
        if informer is None or not resource_version or informer.knows("", resource_version):
            return
        self._unseen[key] += 1
        informer.when_known(resource_version, lambda: self._seen(key))

    def are_unseen(self, key: str) -> bool:
        """Whether a step for `key` has to wait. If so, the key is added again in time."""
        if key not in self._unseen:
            return False
        self._wanted.add(key)
        return True

    def _seen(self, key: str) -> None:
        self._unseen[key] -= 1
        if self._unseen[key] <= 0:
            del self._unseen[key]
            if key in self._wanted:
                self._wanted.discard(key)
                self._queue.add(key)


@dataclass(frozen=True, slots=True)
class Step:
    """What the actions of one step have in common."""

    key: str
    subject: Manifest | None
    own_writes: OwnWrites


class Performer:
    """The only place that turns actions into calls."""

    def __init__(self, client: Client, events: EventRecorder, world: World) -> None:
        self._client = client
        self._events = events
        self._world = world

    async def perform(self, action: Action, step: Step) -> None:
        """Raises Failed, after all that can be done in spite of the failure."""
        match action:
            case Emit(report):
                self._report(step, report, "")
            case Fail(error, on_failure):
                self._report(step, on_failure, error)
                raise Failed([error])
            case Each():
                await self._each(action, step)
            case Waves():
                await self._waves(action, step)
            case Confirm():
                await self._confirm(action)
            case _:
                await self._write(action, step)

    async def _each(self, group: Each, step: Step) -> None:
        errors: list[str] = []
        for action in group.actions:
            try:
                await self.perform(action, step)
            except Failed as failed:
                errors += failed.errors
        if errors:
            failure = Failed(errors)
            self._report(step, group.on_failure, str(failure))
            raise failure

    async def _waves(self, group: Waves, step: Step) -> None:
        start, size = 0, 1
        while start < len(group.lists):
            wave = group.lists[start : start + size]
            results = await asyncio.gather(*(self._list(actions, step) for actions in wave))
            if errors := [error for result in results for error in result]:
                raise Failed(errors)
            start, size = start + size, min(2 * size, LARGEST_WAVE)

    async def _list(self, actions: Iterable[Action], step: Step) -> tuple[str, ...]:
        try:
            for action in actions:
                await self.perform(action, step)
        except Failed as failed:
            return failed.errors
        return ()

    async def _confirm(self, check: Confirm) -> None:
        try:
            live = await self._client.get(check.resource, check.name, check.namespace)
        except ApiError as error:
            raise Failed([str(error)]) from error
        where = f"{check.namespace}/{check.name}" if check.namespace else check.name
        if live["metadata"]["uid"] != check.uid:
            raise Failed([f"original {check.resource.kind} {where} is gone: got uid {live['metadata']['uid']}"])
        if deleted := live["metadata"].get("deletionTimestamp"):
            raise Failed([f"{where} has just been deleted at {deleted}"])

    async def _write(self, action: Create | Update | Patch | Delete, step: Step) -> None:
        try:
            result = await self._call(action)
        except ApiError as error:
            if _is_success(action, error):
                if isinstance(action, Delete):
                    self._report(step, action.on_success, "")
                return
            if not isinstance(error, action.quiet):
                self._report(step, action.on_failure, str(error))
            raise Failed([action.error.replace("{error}", str(error))]) from error
        step.own_writes.note(step.key, action.resource, result)
        self._report(step, action.on_success, "", result.get("metadata", {}).get("name", ""))

    async def _call(self, action: Create | Update | Patch | Delete) -> Manifest:
        match action:
            case Create(resource, manifest):
                return await self._client.create(resource, manifest)
            case Update(insists=True):
                return await self._insist(action)
            case Update(resource, manifest):
                return await self._client.update(resource, manifest, subresource=action.subresource)
            case Patch(resource, namespace, name, patch):
                return await self._client.patch(
                    resource, name, patch, namespace, type=PatchType(action.type), subresource=action.subresource
                )
            case Delete(resource, namespace, name, uid):
                return await self._client.delete(
                    resource,
                    name,
                    namespace,
                    uid=uid,
                    resource_version=action.resource_version,
                    grace_period_s=action.grace_period_s,
                    propagation=action.propagation,
                )

    async def _insist(self, action: Update) -> Manifest:
        manifest = action.manifest
        for attempt in range(STATUS_ATTEMPTS):
            try:
                return await self._client.update(action.resource, manifest, subresource=action.subresource)
            except Conflict:
                if attempt == STATUS_ATTEMPTS - 1:
                    raise
            await self._world.clock.sleep(STATUS_ATTEMPT_AFTER_S)
            metadata = manifest["metadata"]
            live = await self._client.get(action.resource, metadata["name"], metadata.get("namespace", ""))
            if live["metadata"]["uid"] != metadata["uid"]:
                raise Conflict(f"the {action.resource.kind} {metadata['name']} was replaced by another")
            manifest = {**live, "status": manifest["status"]}
        raise AssertionError("unreachable")

    def _report(self, step: Step, report: Report | None, error: str, name: str = "") -> None:
        if report is None:
            return
        subject = report.subject or step.subject
        assert subject is not None, f"a report about nothing: {report}"
        message = report.message.replace("{error}", error).replace("{name}", name)
        self._events.record(subject, report.type, report.reason, message)


def _is_success(action: Create | Update | Patch | Delete, error: ApiError) -> bool:
    """Whether the failure says that what was wanted is so already."""
    match action:
        case Create(may_exist=True) if isinstance(error, AlreadyExists):
            return True
        case Delete(resource_version="") if isinstance(error, NotFound | Conflict):
            return True  # Conflict: an object of that name is there, but not the one of that uid
        case Delete() if isinstance(error, NotFound):
            return True
    return isinstance(error, action.ignore)


_PLACES = re.compile(r"\{(?:count|errors|first|error)\}")


def _with_errors(status: Update, failed: Failed) -> Update:
    """The write with the errors' texts in the conditions that ask for them."""
    texts = {
        "{count}": str(len(failed.errors)),
        "{errors}": ", ".join(sorted(failed.errors)),
        "{first}": failed.errors[0],
        "{error}": str(failed),
    }

    def filled(message: str) -> str:
        return _PLACES.sub(lambda found: texts[found[0]], message)

    written = status.manifest["status"]
    conditions = [
        {**condition, "message": filled(condition.get("message", ""))} for condition in written.get("conditions") or ()
    ]
    return replace(status, manifest={**status.manifest, "status": {**written, "conditions": conditions}})
