"""One look at what is used, and the rates between two."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from holdfast.node.node_status import KUBELET_VERSION, Machine
from holdfast.node.runtime import ContainerResources, Runtime, Usage
from holdfast.node.streaming import PodView
from holdfast.node.volumes.usage import VolumeUse
from holdfast.wire import process_metrics
from holdfast.wire.prometheus import written
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
    id: str = ""
    image: str = ""
    resources: ContainerResources | None = None
    """Its limits, where the runtime has any."""


@dataclass(frozen=True, slots=True)
class VolumeSample:
    """An emptyDir or a claim of a pod."""

    namespace: str
    pod: str
    pod_uid: str
    use: VolumeUse


@dataclass(frozen=True, slots=True)
class Sample:
    """The node as of one moment; containers of one pod stand together."""

    at: datetime
    machine: Usage | None
    containers: Sequence[ContainerSample]
    volumes: Sequence[VolumeSample] = ()


class Statistics:
    """Measures the pods that `pods` tells of. Costs nothing while nobody asks."""

    def __init__(
        self,
        node_name: str,
        pods: Callable[[], Sequence[PodView]],
        runtime: Runtime,
        clock: Clock,
        machine: Callable[[datetime], Usage | None] | None = None,
        volumes: Callable[[str], Awaitable[Sequence[VolumeUse]]] | None = None,
        facts: Machine | None = None,
    ) -> None:
        """Without `machine` the node has used what its containers have.

        `volumes` measures those of the pod with that uid, `facts` is what the machine is.
        """
        self._node_name = node_name
        self._pods = pods
        self._runtime = runtime
        self._clock = clock
        self._machine = machine
        self._volumes = volumes
        self._facts = facts
        self._last: Sample | None = None

    async def resources(self) -> str:
        """The body of `/metrics/resource`."""
        return exposition.resources(await self._sample())

    async def containers(self) -> str:
        """The body of `/metrics/cadvisor`."""
        return exposition.cadvisor(await self._sample(), self._facts)

    async def agent(self) -> str:
        """The body of `/metrics`."""
        states = dict.fromkeys(("created", "exited", "running"), 0)
        for record in self._runtime.containers():
            states[record.state] = states.get(record.state, 0) + 1
        pods = sum(sandbox.ready for sandbox in self._runtime.sandboxes())
        volumes = await self._measure_volumes()
        return written(
            [*exposition.kubelet(self._node_name, KUBELET_VERSION, pods, states, volumes), *process_metrics.families()]
        )

    async def summary(self) -> dict[str, object]:
        """The body of `/stats/summary`; takes as long as the shortest window if nobody has asked lately."""
        base = self._last
        if base is None or not SHORTEST_WINDOW <= self._clock.now() - base.at <= LONGEST_WINDOW:
            base = await self._sample()
            await self._clock.sleep(SHORTEST_WINDOW.total_seconds())
        self._last = replace(await self._sample(), volumes=await self._measure_volumes())
        return summary.document(self._node_name, base, self._last)

    async def _measure_volumes(self) -> list[VolumeSample]:
        return [
            VolumeSample(pod.namespace, pod.name, pod.uid, use)
            for pod in self._pods()
            for use in (await self._volumes(pod.uid) if self._volumes else ())
        ]

    async def _sample(self) -> Sample:
        now = self._clock.now()
        records = {record.id: record for record in self._runtime.containers()}
        samples = []
        for pod in self._pods():
            for name, container in pod.containers.items():
                record = records.get(container.running_id)
                if record is None or record.started is None or (usage := await self._runtime.usage(record.id)) is None:
                    continue
                since, image, limits = record.started, record.image, record.resources
                place = (pod.namespace, pod.name, pod.uid, name)
                samples.append(ContainerSample(*place, since, usage, record.id, image, limits))
        machine = self._machine(now) if self._machine else _sum(now, samples)
        return Sample(now, machine, samples)


def _sum(now: datetime, samples: Sequence[ContainerSample]) -> Usage:
    return Usage(
        now,
        sum(each.usage.cpu_usage_ns for each in samples),
        sum(each.usage.memory_working_set_bytes for each in samples),
        sum(each.usage.memory_rss_bytes for each in samples),
    )
