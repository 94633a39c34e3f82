"""The runtime driver: what the agent asks of whatever runs containers. Shaped like the CRI.

Drivers: `oci` (crun and a supervisor per container), `process` (plain processes), `simulated` (nothing
runs, states change on the clock). A driver keeps its own records on disk and survives `kill -9` of the
agent: `recover` finds what exists. It knows containers, images' root filesystems and addresses; it
knows no API object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of this machine inside a container."""

    host_path: str
    container_path: str
    read_only: bool = False
    propagation: str = "private"
    is_recursive: bool = False
    """Whether what is mounted below it is read-only, too."""


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A block device of this machine inside a container."""

    container_path: str
    major: int
    minor: int
    mode: int
    """Permission bits, and the owner: the machine's own."""
    uid: int
    gid: int
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerResources:
    """Limits; None is none. `cpu_shares` is relative weight (1024 = one core)."""

    memory_limit_bytes: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int = 100_000
    cpu_shares: int | None = None
    oom_score_adj: int | None = None


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What the containers of one pod share."""

    pod_uid: str
    name: str
    namespace: str
    hostname: str
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: ContainerResources = field(default_factory=ContainerResources)
    """Of all containers together."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Namespaces, cgroup parent and addresses of a pod, alive independently of any container."""

    pod_uid: str
    attempt: int
    ips: tuple[str, ...]
    created: datetime
    ready: bool = True
    resources: ContainerResources | None = None
    """Of all containers together; None where the driver cannot limit these."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a container runs as; None is the image's choice."""

    uid: int | None = None
    gid: int | None = None
    supplementary_gids: tuple[int, ...] = ()
    with_groups_of_image: bool = True
    """Whether the groups that the image's own files put the user in count too."""


@dataclass(frozen=True, slots=True)
class RunsAs:
    """The numbers that came of it."""

    uid: int
    gid: int
    supplementary_gids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One run of one container. `command` and `args` override the image's, as in Kubernetes."""

    pod_uid: str
    name: str
    attempt: int
    """Number of earlier runs, starting at 0; with pod and name it is the container's identity."""
    image: str
    """Reference of an image that `image` answers for."""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    devices: tuple[BlockDevice, ...] = ()
    user: User = field(default_factory=User)
    privileged: bool = False
    read_only_root: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp: str = ""
    """Empty for none, `runtime/default`, or the path of a profile on this machine."""
    unmet: tuple[str, ...] = ()
    """What it asks for and no runtime gives, in words for an event."""
    process_namespace_of: str = ""
    """The id of a running container whose processes this one shares (N205)."""
    resources: ContainerResources = field(default_factory=ContainerResources)
    log_path: str = ""
    """File for the output in the CRI log format."""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """What is known of one run of one container."""

    id: str
    pod_uid: str
    name: str
    attempt: int
    image: str
    image_id: str
    state: ContainerState
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int | None = None
    """128 + signal number if killed by one."""
    reason: str = ""
    """`Completed`, `Error`, `OOMKilled`, `ContainerStatusUnknown`; empty while it runs."""
    message: str = ""
    log_path: str = ""
    resources: ContainerResources = field(default_factory=ContainerResources)
    runs_as: RunsAs | None = None
    """Where the runtime knows."""
    image_reference: str = ""
    """What the image's contents are called at its registry; empty where there is none."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image in the local store."""

    id: str
    """`sha256:<digest of the configuration>`."""
    references: tuple[str, ...]
    """Names by tag, in full."""
    digests: tuple[str, ...]
    """Names by digest of the manifest, in full."""
    size_bytes: int
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    is_local: bool = False
    """Brought by hand or made here: no registry may have it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks a registry."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is. Sizes are of what is sent, compressed."""

    received_bytes: int
    total_bytes: int
    layers_ready: int
    layers: int


Progress = Callable[[PullProgress], None]


@dataclass(frozen=True, slots=True)
class ExecResult:
    exit_code: int
    output: bytes
    """stdout and stderr together, in order as far as can be told."""


class Process(Protocol):
    """A program started by `exec`, or a container attached to.

    Streams are None where not asked for; with a tty there is no stderr.
    """

    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None
    stderr: asyncio.StreamReader | None

    async def wait(self) -> int:
        """The exit code, once the program has ended."""

    def resize(self, width: int, height: int) -> None:
        """Sets the terminal's size; nothing without a tty."""

    async def kill(self) -> None:
        """Ends the program (of an attach: only the connection)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals and levels at a moment."""

    at: datetime
    cpu_usage_ns: int
    memory_working_set_bytes: int
    memory_rss_bytes: int = 0
    memory_usage_bytes: int = 0
    """With every page of a file that it has touched lately or long ago."""
    oom_kills: int = 0
    """Processes killed because its memory ran out, since it was started."""


class RuntimeFailure(Exception):
    """The runtime could not do it. `reason` is a waiting reason of N-D such as `CreateContainerError`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SandboxFailure(RuntimeFailure):
    """What was made of the pod's sandbox did not become whole: it is gone, with all containers in it."""


class ImageMissing(RuntimeFailure):
    """There is no such image, here or at the registry: reason `ErrImagePull` or `ErrImageNeverPull`."""


class RegistryUnreachable(ImageMissing):
    """Nobody answered who could say whether there is such an image."""


ExitListener = Callable[[ContainerRecord], None]


class Runtime(Protocol):
    """Every call is idempotent for the same arguments and may be repeated after a crash at any point."""

    name: str
    version: str
    has_recursive_read_only: bool
    """Whether a mount can be read-only with all that is mounted below it."""

    async def open(self) -> None:
        """Recovers what exists from earlier runs of the agent: running containers are adopted and watched."""

    async def close(self) -> None:
        """Lets go of everything without stopping anything."""

    def sandboxes(self) -> Sequence[Sandbox]: ...

    def sandbox(self, pod_uid: str) -> Sandbox | None:
        """One of `sandboxes`, cheaply."""

    def listening_ports(self, pod_uid: str) -> frozenset[int] | None:
        """TCP ports on which something listens in the pod (R152); None where that cannot be told."""

    def shortcomings(self, spec: ContainerSpec) -> list[str]:
        """What a container asks for and this driver cannot give, in words for an event."""

    def containers(self, pod_uid: str = "") -> Sequence[ContainerRecord]:
        """All runs that have not been removed, oldest first."""

    def on_exit(self, listener: ExitListener) -> None:
        """`listener` is called, on the event loop, when a running container has ended."""

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Namespaces and network; returns the existing one if it is healthy."""

    async def update_sandbox(self, pod_uid: str, resources: ContainerResources) -> None:
        """Changes what the pod's containers may use together. Raises RuntimeFailure; the sandbox says the old then."""

    async def remove_sandbox(self, pod_uid: str) -> None:
        """Removes its containers too, killing them if need be; nothing is left. No error if there is none."""

    async def create_container(self, spec: ContainerSpec) -> ContainerRecord:
        """Makes the root filesystem and the bundle, starts nothing. Raises RuntimeFailure, ImageMissing."""

    async def start_container(self, container_id: str) -> ContainerRecord:
        """Raises RuntimeFailure."""

    async def update_container(self, container_id: str, resources: ContainerResources) -> None:
        """Changes the limits of a running container. Raises RuntimeFailure; nothing has changed then."""

    async def stop_container(self, container_id: str, grace_period_s: float, signal: str = "") -> None:
        """Sends the signal (default: the image's, else SIGTERM), SIGKILL after the grace; returns when it has ended."""

    async def remove_container(self, container_id: str) -> None:
        """Removes an ended container's root filesystem and records; its log file stays the agent's."""

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Process: ...

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """For probes and hooks. Raises TimeoutError after having killed the program."""

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Process: ...

    async def dial(self, pod_uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to a port on the pod's loopback, for port-forward."""

    async def usage(self, container_id: str) -> Usage | None: ...

    async def written_bytes(self, container_id: str) -> int:
        """How much of the disk is taken by what the container has written to its root filesystem."""

    async def reopen_log(self, container_id: str) -> None:
        """After the log file has been renamed away: goes on in a new one."""

    async def image(self, reference: str) -> ImageRecord | None:
        """The image if it is here."""

    async def pull(
        self, reference: str, credentials: Sequence[Credentials] = (), progress: Progress | None = None
    ) -> ImageRecord:
        """Asks the registry and fetches what is not here. Raises ImageMissing with the reason in words.

        `credentials` are tried in order until one is let in; without any, those the node has for the registry.
        """

    async def images(self) -> Sequence[ImageRecord]: ...

    async def mount_image(self, image_id: str, directory: Path) -> None:
        """What is in the image, to be read on `directory`, whose removal frees the image. Raises RuntimeFailure."""

    async def remove_image(self, reference: str) -> None:
        """By a name or, with all its names, by its id. Raises RuntimeFailure if it is in use or not there."""
