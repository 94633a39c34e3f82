"""One pod on this node, from the first sight of it to the last: one task, whose only output is the status.

The worker looks, plans (`plan.plan`), acts, and waits until something happens: the spec changed, a
container ended, a probe's verdict turned, a back-off is over. It keeps nothing that a restart would miss.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, assert_never

from holdfast.api.errors import ApiError

from .allocation import Allocation
from .giving_up import unless
from .leaving import Step, delete_object, until_done
from .lookout import Lookout
from .memory import ContainerMemory
from .observed import Observed, Verdict
from .plan import (
    Action,
    CreateSandbox,
    EndPod,
    LimitPod,
    Plan,
    RemoveSandbox,
    ResizeContainer,
    RestartAll,
    StartContainer,
    StopContainer,
    is_over,
    plan,
)
from .pod import Pod
from .preparing import Preparation
from .runs import Runs
from .runtime import RuntimeFailure
from .shared import Shared, whole
from .status import pod_status
from .status_writer import StatusWriter
from .termination import Stopper
from .volumes import MountFailure

log = logging.getLogger(__name__)

EVICTED = "Evicted"
EVICTION_GRACE_S = 1
LONGEST_FAREWELL_S = 5.0
"""A node that is stopped waits no longer for the API to take a pod's last status, or the pod itself."""


class PodWorker:
    """Runs one pod. `update`, `removed`, `wake` tell it what happened; `run` does the rest."""

    def __init__(self, pod: Pod, shared: Shared, predecessor: asyncio.Event | None = None) -> None:
        """`predecessor` is set when the pod that had this name before is gone from the node (N136)."""
        self._allocation = Allocation(pod, shared)
        self.pod = self._allocation.pod
        """As this node runs it: with the resources that were granted (N148)."""
        self.stopped = asyncio.Event()
        """Set once nothing of the pod runs any more, whatever the API knows of it."""
        self.reclaimed = asyncio.Event()
        """Set once its volumes are taken away too; logs stay as long as the object."""
        self.finished = asyncio.Event()
        self._shared = shared
        self._predecessor = predecessor
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._grace_changed = asyncio.Event()
        self._is_gone = False
        self._shutting_down = asyncio.Event()
        self._is_stopped = False
        self._verdict: Verdict | None = None
        self._is_evicted = False
        self._longest_grace_s: int | None = None
        self._preparation = Preparation(shared)
        self._memory = ContainerMemory(shared.files)
        self._lookout = Lookout(self.pod, shared, self._memory, self.wake)
        self._rounds = self._lookout.rounds
        self._status = StatusWriter(shared.client, shared.world, pod, shared.spawn, shared.status_turns)
        self._stopper = Stopper(shared)
        self._runs = Runs(shared, self._memory, self._preparation, self._stopper)
        if pod.is_terminating or is_over(pod.phase):
            self._ending.set()
        elif pod.status.get("reason") == EVICTED:  # by an agent that did not come to the end of it
            self._verdict, self._is_evicted = Verdict(EVICTED, str(pod.status.get("message") or "")), True
            self._ending.set()

    # -- what happens -----------------------------------------------------------------------------

    def update(self, pod: Pod) -> None:
        """The API has a newer state of the pod."""
        before = self._allocation.update(pod)
        self._take(self._allocation.pod)
        has_drifted = self._status.observe(pod)
        if pod.is_terminating and not before.is_terminating:
            self._ending.set()
        elif pod.grace_period_s < before.grace_period_s:
            self._grace_changed.set()
        if before.labels != pod.labels or before.annotations != pod.annotations:
            self._shared.spawn(self.refresh_volumes())
        if before.spec != pod.spec:
            self._memory.held.clear()
        # The echo of the worker's own status is no news: looking again would only ask the probes again.
        if has_drifted or before.spec != pod.spec or _told(before) != _told(pod):
            self.wake()

    def _take(self, pod: Pod) -> None:
        self.pod = self._lookout.pod = pod

    def removed(self) -> None:
        """The API has the pod no more: its containers are stopped all the same (N136)."""
        self._is_gone = True
        self._status.stop()
        self._ending.set()
        self.wake()

    def shut_down(self) -> None:
        """The node is stopped in good order: containers are stopped, the object stays, a later agent goes on."""
        self._shutting_down.set()
        self._ending.set()
        self.wake()

    def fail_at_shutdown(self, verdict: Verdict, grace_period_s: int) -> None:
        """The same, but the pod has failed, unless it had ended before or is deleted anyhow (N192)."""
        if not self._ending.is_set():
            self._verdict = verdict
        self._longest_grace_s = grace_period_s
        self._grace_changed.set()
        self.shut_down()

    def reject(self, verdict: Verdict) -> None:
        """The node does not take the pod (N191); before `run`."""
        self._end_by(verdict, "Warning")

    def evict(self, verdict: Verdict) -> None:
        """Ends the pod for good, and gives it next to no time for that (N146)."""
        if not self._ending.is_set():
            self._is_evicted = True
            self._end_by(verdict, "Warning")
            self.wake()

    def _end_by(self, verdict: Verdict | None, event_type: str) -> None:
        self._verdict = verdict
        if verdict is not None:
            self._shared.tell(self.pod, event_type, verdict.reason, verdict.message)
        self._ending.set()

    @property
    def is_gone(self) -> bool:
        """The API has the pod no more."""
        return self._is_gone

    @property
    def uses_resources(self) -> bool:
        """Whether what the pod asks for counts against the node: as long as something of it runs, or is to run."""
        is_rejected = self._verdict is not None and self._verdict.is_rejection
        return not (self._is_stopped or self.stopped.is_set() or self._is_gone or is_rejected)

    def another_left(self) -> None:
        """What this pod waits for may be free now: resources, or an address."""
        if self._allocation.is_pending:
            self.wake()
        if self._preparation.waits_for_sandbox:
            self._preparation.retry()
            self.wake()

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    def retry(self) -> None:
        """Something that a start waited for may have appeared: do not wait for the back-off."""
        if any(waiting.reason == "CreateContainerConfigError" for waiting in self._memory.failures.values()):
            self._memory.held.clear()
            self.wake()
        if self._preparation.left_s() > 0:
            self._preparation.retry()
            self.wake()

    async def refresh_volumes(self) -> bool:
        """Brings ConfigMaps and the like in running containers up to date (V103); whether they are."""
        if self._ending.is_set() or self._lookout.sandbox is None:
            return True
        try:
            await self._shared.volumes.refresh(self.pod)
        except (MountFailure, ApiError) as error:
            log.debug("volumes not refreshed pod=%s error=%s", self.pod.key, error)
            return False
        return True

    # -- life -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the pod is gone from the API and from this node."""
        if self._lookout.has_adopted:
            self._shared.spawn(self._catch_up())
        try:
            await self._live()
            await self._end()
            self.stopped.set()
            await self._leave()
        finally:
            self._rounds.keep(set())
            self._status.stop()
            self._shared.images.forget(self.pod)
            self._shared.lookup.forget(self.pod.uid)
            for event in (self.stopped, self.reclaimed, self.finished):
                event.set()

    async def _catch_up(self) -> None:
        """Shows what changed while no agent looked, and renews tokens of whose age nobody knows (V103, A220).

        Not at once: the pods of a node share the time that a change may take anyhow.
        """
        world = self._shared.world
        await world.clock.sleep(world.random.uniform(0, self._shared.config.resync_s[0]))
        await self.refresh_volumes()

    async def _live(self) -> None:
        while not self._ending.is_set():
            self._wake.clear()
            self._allocation.decide()
            self._take(self._allocation.pod)
            observed = self._observe()
            if self._allocation.settle(observed):
                observed = self._observe()
            step = plan(self.pod, observed, self._memory.for_plan())
            if step.waiting != self._memory.backing_off:
                self._note_backoffs(step)
                observed = self._observe()
            self._publish(observed)
            self._rounds.nudge()
            if step.actions:
                log.debug("planned pod=%s reason=%s actions=%d", self.pod.key, step.reason, len(step.actions))
                await self._unless_ending(self._perform(step.actions))
            else:
                await self._pause(step.again_after_s)

    async def _perform(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case CreateSandbox():
                    await self._create_sandbox()
                case RemoveSandbox():
                    await self._remove_broken_sandbox()
                case StartContainer(container):
                    await self._runs.start(self.pod, container, self._observe())
                    self._publish()
                case StopContainer():
                    await self._runs.stop(self.pod, action, self._lookout.ips)
                case ResizeContainer():
                    self._allocation.failed(await self._runs.resize(self.pod, action))
                case LimitPod():
                    self._allocation.failed(await self._runs.limit(self.pod, action))
                case RestartAll():
                    await self._runs.restart_all(self.pod)
                case EndPod(verdict):
                    self._end_by(verdict, "Normal")
                    return
                case _:
                    assert_never(action)

    async def _unless_ending(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Does it, unless the pod is to end meanwhile: then it is given up where it stands."""
        try:
            await unless(self._ending.wait(), coroutine)
        except Exception as error:
            # One pod's trouble must not end the agent; the step is tried again (N80).
            log.exception("sync failed pod=%s", self.pod.key)
            self._shared.tell(self.pod, "Warning", "FailedSync", f"error syncing pod: {error}")
            await self._pause(self._shared.world.random.uniform(10, 15))

    async def _pause(self, again_after_s: float | None) -> None:
        world, config = self._shared.world, self._shared.config
        delay_s = world.random.uniform(*config.resync_s)
        if again_after_s is not None:
            delay_s = min(delay_s, again_after_s)
        renewal_s = self._shared.lookup.renewal_s(self.pod.uid)
        if renewal_s is not None and renewal_s <= delay_s:
            delay_s = max(renewal_s, 1.0)
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            if renewal_s is not None and renewal_s <= delay_s:
                await self.refresh_volumes()

    # -- sandbox ----------------------------------------------------------------------------------

    async def _create_sandbox(self) -> None:
        left_s = self._preparation.left_s()
        if left_s > 0:
            await self._pause(left_s)
            return
        if self._predecessor is not None:
            await self._predecessor.wait()
        await self._shared.orphans_gone.wait()
        await self._preparation.prepare(self.pod)

    async def _remove_broken_sandbox(self) -> None:
        message = "Pod sandbox changed, it will be killed and re-created."
        self._shared.tell(self.pod, "Normal", "SandboxChanged", message)
        await self._stopper.stop_all(self.pod, self._lookout.ips, self.pod.grace_period_s)
        self._observe()
        await whole(self._shared.runtime.remove_sandbox(self.pod.uid))

    # -- containers -------------------------------------------------------------------------------

    def _note_backoffs(self, step: Plan) -> None:
        for name in step.waiting.keys() - self._memory.backing_off.keys():
            message = f"Back-off restarting failed container {name} in pod {self.pod.full_name}"
            self._shared.tell(self.pod, "Warning", "BackOff", message, self.pod.container(name))
            self._memory.failures.pop(name, None)
        self._memory.backing_off = step.waiting

    @property
    def _grace_period_s(self) -> int:
        """N132: of an evicted pod that nobody deletes, the least; of all, what a node that shuts down has left."""
        grace_s = EVICTION_GRACE_S if self._is_evicted and not self.pod.is_terminating else self.pod.grace_period_s
        return grace_s if self._longest_grace_s is None else min(grace_s, self._longest_grace_s)

    # -- the end ----------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Stops everything, lets go of the network, and says how it ended (N131)."""
        self._rounds.terminate()
        self._publish()
        ips = self._lookout.ips
        while True:
            self._grace_changed.clear()
            stopping = asyncio.ensure_future(self._stopper.stop_all(self.pod, ips, self._grace_period_s))
            shorter = asyncio.ensure_future(self._grace_changed.wait())
            try:
                await asyncio.wait({stopping, shorter}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    stopping.result()
                    break
            except RuntimeFailure as error:
                log.warning("pod not stopped pod=%s error=%s", self.pod.key, error.message)
                await self._shared.world.clock.sleep(1.0)
            finally:
                shorter.cancel()
                stopping.cancel()
                with suppress(asyncio.CancelledError, RuntimeFailure):
                    await stopping
        goes_on_later = self._shutting_down.is_set() and self._verdict is None
        self._is_stopped = self.pod.is_terminating or self._is_gone or not goes_on_later
        self._publish()
        # With the sandbox go the records of how containers ended: by then the API knows (N197). A node that is stopped
        # does not wait for an API that may have been stopped before.
        await unless(self._shutting_down.wait(), self._status.flush())
        await self._until_done(self._shared.runtime.remove_sandbox, "sandbox not removed")
        self._rounds.keep(set())
        self._publish()

    async def _leave(self) -> None:
        """Unmounts, removes the object, and last of all the files (N135).

        On a node that is stopped a later agent does what the API, perhaps stopped before, does not allow now.
        """
        await self._until_done(self._shared.volumes.unmount, "volumes not unmounted")
        self.reclaimed.set()
        await unless(self._shutting_down.wait(), self._until_gone(), farewell_s=LONGEST_FAREWELL_S)
        if self._is_gone:
            await self._until_done(self._remove_files, "files not removed")

    async def _until_gone(self) -> None:
        """Until the API has the pod no more; a pod that only its node ends stays there, with its last status."""
        while not self._is_gone:
            self._wake.clear()
            if self.pod.is_terminating or self._shutting_down.is_set():
                await self._status.flush()
            if self.pod.is_terminating:
                await delete_object(self._shared, self.pod, lambda: self._is_gone)
            elif self._shutting_down.is_set():
                return
            if not self._is_gone:
                await self._wake.wait()
                self._publish()

    async def _remove_files(self, pod_uid: str) -> None:
        self._shared.files.remove(pod_uid)

    async def _until_done(self, step: Step, trouble: str) -> None:
        await until_done(self._shared.world.clock, self.pod, step, trouble)

    # -- looking ----------------------------------------------------------------------------------

    def _observe(self) -> Observed:
        return self._lookout.observe(
            is_ending=self._ending.is_set(),
            has_ended=self._is_stopped,
            verdict=self._verdict,
            resizing=self._allocation.shown(),
        )

    def _publish(self, observed: Observed | None = None) -> None:
        if not self._is_gone:
            observed = observed or self._observe()
            self._status.submit(pod_status(self.pod, observed, self._shared.runtime.name, self._status.latest))


def _told(pod: Pod) -> tuple[Any, ...]:
    """What a worker acts upon beside the spec. A deadline counts from a time that the first status brings (N19)."""
    metadata = pod.manifest["metadata"]
    deadline_begins = "activeDeadlineSeconds" in pod.spec and pod.status.get("startTime")
    return (
        metadata.get("deletionTimestamp"),
        pod.grace_period_s,
        pod.generation,
        pod.labels,
        pod.annotations,
        deadline_begins,
    )
