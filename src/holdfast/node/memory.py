"""What a worker remembers of its pod's containers between two looks at the runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from holdfast.api.resource import Manifest

from .backoff import Backoff
from .files import PodFiles
from .observed import STARTED_ANEW, Seen, Waiting
from .plan import Memory
from .pod import Container, Pod
from .probes.rounds import Rounds
from .runtime import ContainerRecord, ContainerState
from .status import old_entry
from .termination_message import MOST_LOG_LINES, message, share_bytes

_REPLACED = Waiting("ContainerCreating")


class ContainerMemory:
    """Runs, back-offs and hooks of one pod; lost with the agent, and found again in runtime and status."""

    def __init__(self, files: PodFiles) -> None:
        self._files = files
        self._runs: dict[str, list[ContainerRecord]] = {}
        self.messages: dict[str, str] = {}
        self.restarts = Backoff()
        self.held: dict[str, datetime] = {}
        self.failures: dict[str, Waiting] = {}
        """Why the latest start of a container failed."""
        self.backing_off: Mapping[str, Waiting] = {}
        self.in_hook: set[str] = set()
        self.due: set[str] = set()
        """Containers that were stopped to be replaced: they run again whatever the restart policy says."""
        self.resources: dict[str, Manifest] = {}
        """What each run has, by its id; what is not here has what the spec says."""
        self.resize_held: datetime | None = None

    def for_plan(self) -> Memory:
        return Memory(self.restarts, self.held, self.resize_held)

    def seen(self, pod: Pod, records: Sequence[ContainerRecord], rounds: Rounds) -> dict[str, Seen]:
        """Every container that ever ran, or failed to."""
        current: dict[str, ContainerRecord] = {}
        for record in records:
            self._remember(pod, record)
            if record.name not in current or record.attempt > current[record.name].attempt:
                current[record.name] = record
        names = self._runs.keys() | self.failures.keys() | self.backing_off.keys()
        return {name: self._seen(name, current.get(name), rounds) for name in names}

    def _seen(self, name: str, current: ContainerRecord | None, rounds: Rounds) -> Seen:
        before = [run for run in self._runs.get(name, ()) if current is None or run.attempt < current.attempt]
        id = current.id if current else ""
        return Seen(
            current=current,
            previous=before[-1] if before else None,
            waiting=self.backing_off.get(name) or self.failures.get(name) or (_REPLACED if name in self.due else None),
            is_due=name in self.due,
            resources=self.resources.get(id),
            is_started=rounds.is_started(id),
            is_ready=rounds.is_ready(id),
            is_in_hook=name in self.in_hook,
            failed_probe=rounds.failed_probe(id),
        )

    def _remember(self, pod: Pod, record: ContainerRecord) -> None:
        """The latest two runs of each container, with what they said at their end (N176)."""
        runs = self._runs.setdefault(record.name, [])
        known = next((position for position, run in enumerate(runs) if run.id == record.id), None)
        if known is None:
            runs.append(record)
            runs.sort(key=lambda run: run.attempt)
            del runs[:-2]
        elif runs[known] is not record:
            runs[known] = record
        if record.state is ContainerState.EXITED and record.id not in self.messages:
            self.messages[record.id] = self._message(pod, record)

    def _message(self, pod: Pod, record: ContainerRecord) -> str:
        container = pod.container(record.name)
        policy = str((container.manifest if container else {}).get("terminationMessagePolicy") or "File")
        most_bytes = share_bytes(sum(1 for _ in pod.containers()))
        file = self._files.termination_message(pod.uid, record.name, record.attempt, most_bytes)
        log = self._files.log_end(record.log_path, MOST_LOG_LINES)
        return message(file, policy, record.exit_code or 0, log, most_bytes)

    def adopt(self, pod: Pod, records: Sequence[ContainerRecord]) -> None:
        """Runs that an agent of before has started: the status says what they have."""
        for record in records:
            container = pod.container(record.name)
            entry = old_entry(pod.status, container) if container else {}
            if record.id in str(entry.get("containerID") or "") and "resources" in entry:
                self.resources[record.id] = entry["resources"]

    def latest(self, name: str) -> ContainerRecord | None:
        runs = self._runs.get(name)
        return runs[-1] if runs else None

    def started(self, container: Container, run: ContainerRecord) -> None:
        """Its start succeeded: nothing keeps it waiting any more."""
        self.resources[run.id] = container.resources
        self.due.discard(container.name)
        self.failures.pop(container.name, None)
        self.held.pop(container.name, None)

    def start_anew(self, names: Collection[str]) -> None:
        """The runs of these are forgotten, and why."""
        for name in names:
            del self._runs[name]
            self.failures[name] = STARTED_ANEW
            self.held.pop(name, None)
        self.due.difference_update(names)

    def failed(self, container: Container, reason: str, text: str, again_at: datetime) -> None:
        self.failures[container.name] = Waiting(reason, text)
        self.held[container.name] = again_at
