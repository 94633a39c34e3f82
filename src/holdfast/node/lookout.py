"""What is there of one pod on this node: its sandbox, its runs, and what their probes say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .memory import ContainerMemory
from .observed import Observed, Resizing, Verdict
from .pod import Container, Pod
from .probes.rounds import Rounds
from .runtime import ContainerRecord, ContainerState, Sandbox
from .shared import Shared
from .starting import target
from .status import old_entry

ADOPTED_AFTER_S = 10.0
_NO_RESIZE = Resizing()


class Lookout:
    """Looks at the runtime, and has the probes follow what runs there. One per worker."""

    def __init__(self, pod: Pod, shared: Shared, memory: ContainerMemory, wake: Callable[[], None]) -> None:
        """`wake` is called when a probe's verdict turns."""
        self.pod = pod
        """As last told by the API; the worker keeps it up to date."""
        self._shared = shared
        self._memory = memory
        self._adopted = {record.id for record in shared.runtime.containers(pod.uid)}
        memory.adopt(pod, shared.runtime.containers(pod.uid))
        self.rounds = Rounds(shared.prober, shared.world, shared.spawn, wake, self._tell, self._listening_ports)

    @property
    def has_adopted(self) -> bool:
        """Whether containers of the pod were here before this agent was."""
        return bool(self._adopted)

    def observe(
        self, *, is_ending: bool, has_ended: bool, verdict: Verdict | None, resizing: Resizing = _NO_RESIZE
    ) -> Observed:
        records = self._shared.runtime.containers(self.pod.uid)
        self._follow(records)
        return Observed(
            now=self._shared.world.clock.now(),
            sandbox=self.sandbox,
            ips=self.ips,
            host_ips=self._shared.config.node_ips,
            containers=self._memory.seen(self.pod, records, self.rounds),
            messages=self._memory.messages,
            is_ending=is_ending,
            has_ended=has_ended,
            has_recursive_read_only=self._shared.runtime.has_recursive_read_only,
            resizing=resizing,
            verdict=verdict,
        )

    @property
    def sandbox(self) -> Sandbox | None:
        return self._shared.sandbox(self.pod.uid)

    @property
    def ips(self) -> tuple[str, ...]:
        """The pod's: its sandbox's, or the node's if it shares its network."""
        sandbox = self.sandbox
        if sandbox is None:
            return ()
        return self._shared.config.node_ips if self.pod.is_host_network else sandbox.ips

    def _follow(self, records: Sequence[ContainerRecord]) -> None:
        ips = self.ips
        running = [record for record in records if record.state is ContainerState.RUNNING]
        self.rounds.keep({record.id for record in running})
        for record in running:
            container = self.pod.container(record.name)
            if container is None or record.name in self._memory.in_hook:
                continue
            entry = old_entry(self.pod.status, container)
            is_adopted = record.id in self._adopted and self._age_s(record) >= ADOPTED_AFTER_S
            self.rounds.begin(
                target(container, record, ips),
                lambda record=record: self._age_s(record),  # type: ignore[misc]
                was_started=bool(entry.get("started")) if is_adopted else None,
                was_ready=bool(entry.get("ready")) if is_adopted else None,
                is_adopted=is_adopted,
            )

    def _age_s(self, record: ContainerRecord) -> float:
        since = record.started or record.created
        return (self._shared.world.clock.now() - since).total_seconds()

    def _listening_ports(self) -> frozenset[int] | None:
        return self._shared.runtime.listening_ports(self.pod.uid)

    def _tell(self, container: Container, type: str, reason: str, message: str) -> None:
        self._shared.tell(self.pod, type, reason, message, container)
