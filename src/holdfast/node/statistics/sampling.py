"""One look at what is used, and the rates between two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.node.runtime import Runtime, Usage
from holdfast.node.streaming import PodView
from holdfast.world import Clock

from . import exposition, summary

SHORTEST_WINDOW = timedelta(seconds=1)
LONGEST_WINDOW = timedelta(seconds=60)
"""Between two samples that a rate is told from."""


@dataclass(frozen=True, slots=True)
class ContainerSample:
    namespace: str
    pod: str
    pod_uid: str
    name: str
    started: datetime
    usage: Usage


@dataclass(frozen=True, slots=True)
class Sample:
    """The node as of one moment; containers of one pod stand together."""

    at: datetime
    machine: Usage | None
    containers: Sequence[ContainerSample]


class Statistics:
    """Measures the pods that `pods` tells of. Costs nothing while nobody asks."""

    def __init__(
        self,
        node_name: str,
        pods: Callable[[], Sequence[PodView]],
        runtime: Runtime,
        clock: Clock,
        machine: Callable[[datetime], Usage | None] | None = None,
    ) -> None:
        """Without `machine` the node has used what its containers have."""
        self._node_name = node_name
        self._pods = pods
        self._runtime = runtime
        self._clock = clock
        self._machine = machine
        self._last: Sample | None = None

    async def resources(self) -> str:
        """The body of `/metrics/resource`."""
        return exposition.text(await self._sample())

    async def summary(self) -> dict[str, object]:
        """The body of `/stats/summary`; takes as long as the shortest window if nobody has asked lately."""
        base = self._last
        if base is None or not SHORTEST_WINDOW <= self._clock.now() - base.at <= LONGEST_WINDOW:
            base = await self._sample()
            await self._clock.sleep(SHORTEST_WINDOW.total_seconds())
        self._last = await self._sample()
        return summary.document(self._node_name, base, self._last)

    async def _sample(self) -> Sample:
        now = self._clock.now()
        started = {record.id: record.started for record in self._runtime.containers()}
        samples = []
        for pod in self._pods():
            for name, container in pod.containers.items():
                since = started.get(container.running_id)
                if since is None or (usage := await self._runtime.usage(container.running_id)) is None:
                    continue
                samples.append(ContainerSample(pod.namespace, pod.name, pod.uid, name, since, usage))
        machine = self._machine(now) if self._machine else _sum(now, samples)
        return Sample(now, machine, samples)


def _sum(now: datetime, samples: Sequence[ContainerSample]) -> Usage:
    return Usage(
        now,
        sum(each.usage.cpu_usage_ns for each in samples),
        sum(each.usage.memory_working_set_bytes for each in samples),
        sum(each.usage.memory_rss_bytes for each in samples),
    )
