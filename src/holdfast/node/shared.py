"""What the workers of one agent share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.events import EventRecorder
from holdfast.world import World

from .config import AgentConfig
from .files import PodFiles
from .hosts import Resolver
from .image_pulls import ImagePulls
from .lookup import ApiLookup
from .pod import Container, Pod
from .probes import Prober
from .runtime import Runtime, Sandbox
from .status_writer import Turns
from .volumes import Mounted
from .volumes.usage import VolumeUse


class PodVolumes(Protocol):
    """`volumes.pod_volumes.Volumes`, or an imagined one."""

    async def mount(self, pod: Pod) -> Mapping[str, Mounted]: ...

    async def refresh(self, pod: Pod) -> None: ...

    async def grow(self, pod: Pod, claim: str) -> None: ...

    async def usage(self, pod: Pod) -> Sequence[VolumeUse]: ...

    async def unmount(self, pod_uid: str) -> None: ...

    async def sweep(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Shared:
    """The agent, as a worker sees it."""

    client: Client
    runtime: Runtime
    world: World
    config: AgentConfig
    events: EventRecorder
    images: ImagePulls
    files: PodFiles
    volumes: PodVolumes
    lookup: ApiLookup
    prober: Prober
    resolver: Resolver
    """The node's own."""
    node_hosts: str
    """The node's own /etc/hosts."""
    services: Callable[[], tuple[Manifest, ...]]
    services_synced: Callable[[], Coroutine[Any, Any, None]]
    node: Callable[[], Manifest]
    spawn: Callable[[Coroutine[Any, Any, object]], asyncio.Task[None]]
    requested_beside: Callable[[str], dict[str, int]]
    """What all pods of the node but the one with that uid ask for: CPU in thousandths, memory in bytes."""
    orphans_gone: asyncio.Event
    """Set when containers of pods that the API no longer knows have been stopped."""
    status_turns: Turns

    @property
    def allocatable(self) -> Mapping[str, str]:
        return (self.node().get("status") or {}).get("allocatable") or {}

    def sandbox(self, pod_uid: str) -> Sandbox | None:
        """The pod's sandbox, if it is healthy."""
        sandbox = self.runtime.sandbox(pod_uid)
        return sandbox if sandbox is not None and sandbox.ready else None

    def tell(self, pod: Pod, type: str, reason: str, message: str, container: Container | None = None) -> None:
        """An event on the pod, or on one of its containers."""
        path = container.field_path if container is not None else ""
        self.events.record(pod.manifest, type, reason, message, field_path=path)


async def whole(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result; when cancelled it is let come to its end first, so that nothing is left half done."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
