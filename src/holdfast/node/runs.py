"""Runs of one pod's containers: started, resized, stopped, forgotten. What to do is the plan's to say."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from holdfast.api import quantity

from . import container_spec
from .memory import ContainerMemory
from .observed import Observed
from .plan import LimitPod, ResizeContainer, StopContainer, next_attempt, restart_key
from .pod import Container, Pod
from .preparing import Preparation
from .runtime import ContainerRecord, ContainerState, RuntimeFailure
from .shared import Shared, whole
from .starting import RETRY_S, Place, Starter, StartFailure
from .termination import Stopper
from .volumes import MountFailure

AFTER_FAILED_STOP_S = 1.0


class Runs:
    """What came of each attempt goes into `memory`, for the next plan and the status."""

    def __init__(self, shared: Shared, memory: ContainerMemory, preparation: Preparation, stopper: Stopper) -> None:
        self._shared = shared
        self._memory = memory
        self._preparation = preparation
        self._stopper = stopper
        self._starter = Starter(shared)

    async def start(self, pod: Pod, container: Container, observed: Observed) -> None:
        """The next run, with its postStart hook; a failure is remembered, with the time of the next attempt."""
        memory, now = self._memory, self._shared.world.clock.now()
        latest = memory.latest(container.name)
        if latest is not None and latest.state is not ContainerState.RUNNING:
            memory.restarts.next(restart_key(pod, container), latest.finished or now, now)
        newest_log = self._shared.files.newest_log(pod, container.name)
        attempt = next_attempt(pod, container, observed.seen(container.name), newest_log)
        await self._forget_old(pod, container, attempt)
        try:
            volumes = await self._preparation.volumes(pod)
            place = Place(observed.ips, observed.host_ips, self._preparation.hostname(pod), volumes)
            record = await self._starter.start(pod, container, attempt, place)
            memory.started(container, record)
            if container.hook("postStart") is not None:
                await self._post_start(pod, container, record, place)
        except StartFailure as failure:
            memory.failed(container, failure.reason, failure.message, failure.again_at)
        except MountFailure as failure:
            wait_s = self._preparation.failed(pod, failure)
            memory.failed(container, "ContainerCreating", "", now + timedelta(seconds=wait_s))
        else:
            self._shared.files.prune(pod, container.name, attempt - 1)  # `logs --previous` reads that one (N170)

    async def _post_start(self, pod: Pod, container: Container, record: ContainerRecord, place: Place) -> None:
        self._memory.in_hook.add(container.name)
        try:
            await self._starter.post_start(pod, container, record, place)
        except StartFailure:
            stop = StopContainer(container, record.id, "FailedPostStartHook", pod.grace_period_s)
            await self.stop(pod, stop, place.ips)
            raise
        finally:
            self._memory.in_hook.discard(container.name)

    async def stop(self, pod: Pod, stop: StopContainer, ips: tuple[str, ...]) -> None:
        """Ends a run; what cannot be ended is told and tried again by the next plan."""
        if stop.is_replaced:
            self._memory.due.add(stop.container.name)
        try:
            await self._stopper.stop(pod, stop.container, stop.id, ips, stop.grace_period_s, stop.message)
        except RuntimeFailure as error:
            text = f"error killing container {stop.container.name}: {error.message}"
            self._shared.tell(pod, "Warning", "FailedKillPod", text, stop.container)
            await self._shared.world.clock.sleep(AFTER_FAILED_STOP_S)

    async def restart_all(self, pod: Pod) -> None:
        """Ends and forgets every run but of ephemeral containers; the next plan tries again what cannot be ended."""
        runs = [
            (container, record)
            for container in pod.restartable
            for record in self._shared.runtime.containers(pod.uid)
            if record.name == container.name
        ]
        try:
            await self._stopper.end(
                [(one, record) for one, record in runs if record.state is ContainerState.RUNNING], pod
            )
            for _, record in runs:
                await whole(self._shared.runtime.remove_container(record.id))
        except RuntimeFailure as error:
            self._shared.tell(pod, "Warning", "FailedKillPod", f"error killing pod: {error.message}")
            await self._shared.world.clock.sleep(AFTER_FAILED_STOP_S)
        else:
            self._memory.start_anew({container.name for container, _ in runs})

    async def resize(self, pod: Pod, resize: ResizeContainer) -> str:
        """Gives a run what the container asks for. What went wrong comes back, empty if nothing did (N148)."""
        container, memory = resize.container, self._memory
        capacity_bytes = quantity.whole(self._shared.allocatable.get("memory") or "0")
        wanted = container_spec.resources(pod, container, capacity_bytes)
        usage = await self._shared.runtime.usage(resize.id)
        limit_bytes, used_bytes = wanted.memory_limit_bytes, usage.memory_working_set_bytes if usage else 0
        problem = ""
        if limit_bytes is not None and limit_bytes < used_bytes:
            what = f'attempting to set container "{container.name}" memory limit ({limit_bytes})'
            problem = f"{what} below current usage ({used_bytes})"
        else:
            try:
                await self._shared.runtime.update_container(resize.id, wanted)
            except RuntimeFailure as error:
                problem = error.message
        if problem:
            self._hold_resizes()
        else:
            memory.resources[resize.id], memory.resize_held = container.resources, None
        return problem

    async def limit(self, pod: Pod, limit: LimitPod) -> str:
        """Changes what all containers have together. What went wrong comes back, empty if nothing did."""
        try:
            await self._shared.runtime.update_sandbox(pod.uid, limit.resources)
        except RuntimeFailure as error:
            self._hold_resizes()
            return error.message
        return ""

    def _hold_resizes(self) -> None:
        world = self._shared.world
        self._memory.resize_held = world.clock.now() + timedelta(seconds=world.random.uniform(*RETRY_S))

    async def _forget_old(self, pod: Pod, container: Container, attempt: int) -> None:
        """The next run and the one before are kept (N170). First, so that an agent killed meanwhile leaves no third."""
        for record in self._shared.runtime.containers(pod.uid):
            if record.name == container.name and record.attempt < attempt - 1:
                with suppress(RuntimeFailure):
                    await self._shared.runtime.remove_container(record.id)
