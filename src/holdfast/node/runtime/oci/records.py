"""What the driver keeps on disk of sandboxes and containers, so that the next agent finds them (R47, N196).

One JSON file each, written by rename. No fsync: after a power failure every process they tell of is gone,
and a record that cannot be read is cleared away like any half-made one (R46).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from holdfast.node.runtime import ContainerRecord, ContainerSpec, ContainerState, RunsAs, Sandbox, SandboxSpec
from holdfast.node.runtime.oci.processes import ProcessIdentity

RECORD = "record.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StoredSandbox(msgspec.Struct, frozen=True):
    spec: SandboxSpec
    attempt: int
    ips: tuple[str, ...]
    created: datetime
    boot_id: str
    pause: ProcessIdentity | None = None
    """First process of the shared process namespace, where the pod has one."""

    def as_sandbox(self, ready: bool) -> Sandbox:
        return Sandbox(self.spec.pod_uid, self.attempt, self.ips, self.created, ready)

    def as_limited_sandbox(self, ready: bool) -> Sandbox:
        """The same, for a driver that limits pods as a whole."""
        return replace(self.as_sandbox(ready), resources=self.spec.resources)


class StoredContainer(msgspec.Struct, frozen=True):
    id: str
    spec: ContainerSpec
    image_id: str
    created: datetime
    boot_id: str
    stop_signal: str = ""
    cgroup: str = ""
    has_mounted_root: bool = False
    """Whether the root filesystem is a mount of ours that has to be taken down."""
    process: ProcessIdentity | None = None
    supervisor: ProcessIdentity | None = None
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    runs_as: RunsAs | None = None
    image_reference: str = ""

    @property
    def state(self) -> ContainerState:
        if self.finished is not None:
            return ContainerState.EXITED
        return ContainerState.CREATED if self.started is None else ContainerState.RUNNING

    def as_record(self) -> ContainerRecord:
        return ContainerRecord(
            id=self.id,
            pod_uid=self.spec.pod_uid,
            name=self.spec.name,
            attempt=self.spec.attempt,
            image=self.spec.image,
            image_id=self.image_id,
            state=self.state,
            created=self.created,
            started=self.started,
            finished=self.finished,
            exit_code=self.exit_code,
            reason=self.reason,
            message=self.message,
            log_path=self.spec.log_path,
            resources=self.spec.resources,
            runs_as=self.runs_as,
            image_reference=self.image_reference,
        )


Stored = TypeVar("Stored", StoredSandbox, StoredContainer)


def write(directory: Path, record: StoredSandbox | StoredContainer) -> None:
    temporary = directory / f".{RECORD}"
    temporary.write_bytes(msgspec.json.encode(record))
    os.replace(temporary, directory / RECORD)


def read_all(top: Path, kind: type[Stored]) -> Iterator[tuple[Path, Stored | None]]:
    """Every directory below `top` with its record; None for the half-made ones."""
    if not top.is_dir():
        return
    for directory in sorted(top.iterdir()):
        if not directory.is_dir():
            continue
        try:
            yield directory, msgspec.json.decode((directory / RECORD).read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            yield directory, None


def boot_id() -> str:
    """Changes with every start of the machine; empty where the kernel does not say."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
