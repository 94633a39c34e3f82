"""Stopping containers: preStop, signal, and force, within one grace period (N99, N124-N134)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .hooks import HookFailure, run_hook
from .pod import Container, Pod, Role
from .runtime import ContainerRecord, ContainerState, RuntimeFailure
from .shared import Shared
from .starting import target

LEAST_AFTER_HOOK_S = 2.0


class Stopper:
    """Stops runs of one pod. May be called again with a shorter grace; hooks run once."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._told: set[str] = set()
        self._hooked: set[str] = set()

    async def stop_all(self, pod: Pod, ips: tuple[str, ...], grace_period_s: float) -> None:
        """App containers at once, then sidecars in reverse order, all within the one grace period (N99)."""
        deadline_s = self._now_s() + grace_period_s
        runs = self._runs(pod)
        sidecars = [container for container, _ in runs if container.role is Role.SIDECAR]
        await self._stop_each([run for run in runs if run[0].role is not Role.SIDECAR], pod, ips, deadline_s)
        for sidecar in reversed(sidecars):
            await self._stop_each([run for run in runs if run[0] is sidecar], pod, ips, deadline_s)

    async def stop(
        self, pod: Pod, container: Container, id: str, ips: tuple[str, ...], grace_period_s: float, message: str
    ) -> None:
        """One run, with its Killing event; returns when it has ended."""
        self._tell(pod, container, id, message)
        deadline_s = self._now_s() + grace_period_s
        await self._pre_stop(pod, container, id, ips, grace_period_s)
        left_s = max(LEAST_AFTER_HOOK_S, deadline_s - self._now_s())
        await self._shared.runtime.stop_container(id, left_s)

    async def end(self, runs: Sequence[tuple[Container, ContainerRecord]], pod: Pod) -> None:
        """All at once, without hooks and in the least time there is. Raises RuntimeFailure."""
        for container, record in runs:
            self._tell(pod, container, record.id, f"Stopping container {container.name}")
        await asyncio.gather(*(self._shared.runtime.stop_container(one.id, LEAST_AFTER_HOOK_S) for _, one in runs))

    def _tell(self, pod: Pod, container: Container, id: str, message: str) -> None:
        if id not in self._told:
            self._told.add(id)
            self._shared.tell(pod, "Normal", "Killing", message, container)

    def _runs(self, pod: Pod) -> list[tuple[Container, ContainerRecord]]:
        """Every run that may still be alive, in spec order."""
        known = {container.name: container for container in pod.containers()}
        return [
            (known.get(record.name) or Container({"name": record.name}, Role.APP), record)
            for record in self._shared.runtime.containers(pod.uid)
            if record.state in (ContainerState.RUNNING, ContainerState.CREATED)
        ]

    async def _stop_each(
        self,
        runs: Sequence[tuple[Container, ContainerRecord]],
        pod: Pod,
        ips: tuple[str, ...],
        deadline_s: float,
    ) -> None:
        grace_period_s = max(LEAST_AFTER_HOOK_S, deadline_s - self._now_s())
        stops = [self._stop_quietly(pod, container, record, ips, grace_period_s) for container, record in runs]
        await asyncio.gather(*stops)

    async def _stop_quietly(
        self, pod: Pod, container: Container, record: ContainerRecord, ips: tuple[str, ...], grace_period_s: float
    ) -> None:
        if record.state is ContainerState.CREATED:
            await self._shared.runtime.stop_container(record.id, 0)  # it never ran: nothing to tell (N137)
            return
        try:
            await self.stop(pod, container, record.id, ips, grace_period_s, f"Stopping container {container.name}")
        except RuntimeFailure as error:
            self._shared.tell(pod, "Warning", "FailedKillPod", f"error killing pod: {error.message}")
            raise

    async def _pre_stop(
        self, pod: Pod, container: Container, id: str, ips: tuple[str, ...], grace_period_s: float
    ) -> None:
        """At most the whole grace period (N125); the record may be gone, then nothing is left to ask."""
        handler = container.hook("preStop")
        if handler is None or id in self._hooked:
            return
        self._hooked.add(id)
        record = next((record for record in self._shared.runtime.containers(pod.uid) if record.id == id), None)
        if record is None or record.state is not ContainerState.RUNNING:
            return
        try:
            async with asyncio.timeout(grace_period_s):
                await run_hook(self._shared.runtime, handler, target(container, record, ips))
        except (HookFailure, TimeoutError):
            self._shared.tell(pod, "Warning", "FailedPreStopHook", "PreStopHook failed", container)

    def _now_s(self) -> float:
        return self._shared.world.clock.monotonic_s()
