"""The sandboxes of all pods of one node: made, found again after `kill -9`, connected, ended.

A pod's link takes longer than its namespaces, and nobody needs it before a program runs: it is made while the runtime
makes the first container.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from holdfast.node.runtime import ContainerResources, RuntimeFailure, Sandbox, SandboxFailure, SandboxSpec
from holdfast.node.runtime.oci import records
from holdfast.node.runtime.oci.cgroups import Groups, said_by_kernel
from holdfast.node.runtime.oci.records import StoredSandbox
from holdfast.node.runtime.oci.sandboxes import SandboxDirectory
from holdfast.world import Clock


class Network(Protocol):
    """Gives pods addresses; see `holdfast.network.pods.network`."""

    async def take(self, pod_uid: str) -> tuple[str, ...]:
        """The pod's addresses, the same each time. Raises OSError."""

    async def attach(self, pod_uid: str, netns_path: str) -> None:
        """Makes these addresses lead to that network namespace. Raises OSError."""

    async def detach(self, pod_uid: str) -> None: ...

    async def recover(self, live: Mapping[str, tuple[str, Sequence[str]]]) -> None: ...


class Sandboxes:
    """`directory` has one directory for each. Calls for one pod must not overlap, but for `connect`."""

    def __init__(self, directory: Path, network: Network, groups: Groups, clock: Clock) -> None:
        self._top = directory
        self._network = network
        self._groups = groups
        self._clock = clock
        self._boot_id = records.boot_id()
        self._stored: dict[str, StoredSandbox] = {}
        self._unlinked: set[str] = set()
        """Those that may have no link yet."""
        self._linking: dict[str, asyncio.Task[None]] = {}

    def place(self, pod_uid: str) -> SandboxDirectory:
        return SandboxDirectory(self._top / pod_uid)

    def get(self, pod_uid: str) -> StoredSandbox | None:
        return self._stored.get(pod_uid)

    def uids(self) -> set[str]:
        return set(self._stored)

    def sandbox(self, pod_uid: str) -> Sandbox | None:
        stored = self._stored.get(pod_uid)
        return stored.as_limited_sandbox(self.is_healthy(pod_uid)) if stored else None

    def is_healthy(self, pod_uid: str) -> bool:
        stored = self._stored.get(pod_uid)
        return stored is not None and self.place(pod_uid).is_healthy(stored, self._boot_id)

    # -- coming back

    async def read(self) -> None:
        """What a sandbox of before a reboot was made of is gone: it is kept as one that is not ready, so that the next
        one counts on (N81, N199)."""
        for directory, stored in list(records.read_all(self._top, StoredSandbox)):
            if stored is None:
                await asyncio.to_thread(SandboxDirectory(directory).remove, None)
            else:
                self._stored[stored.spec.pod_uid] = stored

    async def reconnect(self) -> None:
        """Whether the last agent came as far as their links, nobody knows: what is there will be left as it is."""
        healthy = {uid: stored for uid, stored in self._stored.items() if self.is_healthy(uid)}
        self._unlinked = {uid for uid, stored in healthy.items() if not stored.spec.host_network}
        await self._network.recover(
            {uid: (self.place(uid).network_namespace, stored.ips) for uid, stored in healthy.items()}
        )

    # -- life

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Returns before the pod has its link. Raises RuntimeFailure, and then nothing is left of it."""
        before = self._stored.get(spec.pod_uid)
        place = self.place(spec.pod_uid)
        try:
            self._groups.limit_pod(spec.pod_uid, spec.resources)
            pause = await asyncio.to_thread(place.make, spec)
            ips = () if spec.host_network else await self._network.take(spec.pod_uid)
        except (OSError, RuntimeFailure) as error:
            await self.take_down(spec.pod_uid)
            raise RuntimeFailure("CreatePodSandboxError", str(error)) from error
        attempt = 0 if before is None else before.attempt + 1
        stored = StoredSandbox(spec, attempt, ips, self._clock.now(), self._boot_id, pause)
        self._keep(stored)
        if not spec.host_network:
            self._unlinked.add(spec.pod_uid)
        return stored.as_limited_sandbox(True)

    async def connect(self, pod_uid: str) -> None:
        """Returns when the pod has its link. Raises SandboxFailure if it cannot have it."""
        if pod_uid not in self._unlinked:
            return
        link = self._linking.get(pod_uid)
        if link is None:
            link = self._linking[pod_uid] = asyncio.create_task(self._link(pod_uid))
        try:
            await asyncio.shield(link)
        except OSError as error:
            raise SandboxFailure("CreatePodSandboxError", str(error)) from error

    async def _link(self, pod_uid: str) -> None:
        await self._network.attach(pod_uid, self.place(pod_uid).network_namespace)
        self._unlinked.discard(pod_uid)

    async def update(self, pod_uid: str, resources: ContainerResources) -> None:
        """Without control groups there is nothing to change but the record. Raises RuntimeFailure."""
        if (stored := self._stored.get(pod_uid)) is None or stored.spec.resources == resources:
            return
        try:
            self._groups.limit_pod(pod_uid, resources)
        except OSError as error:
            raise RuntimeFailure("", said_by_kernel(error)) from error
        self._keep(msgspec.structs.replace(stored, spec=dataclasses.replace(stored.spec, resources=resources)))

    def _keep(self, stored: StoredSandbox) -> None:
        records.write(self.place(stored.spec.pod_uid).path, stored)
        self._stored[stored.spec.pod_uid] = stored

    # -- the end

    async def take_down(self, pod_uid: str) -> None:
        """Network and namespaces; that there was a sandbox is remembered."""
        if pod_uid not in self._stored and not self.place(pod_uid).path.exists():
            return  # its directory is made first and removed last
        if link := self._linking.pop(pod_uid, None):
            await asyncio.wait({link})
        self._unlinked.discard(pod_uid)
        await self._network.detach(pod_uid)
        await asyncio.to_thread(self.place(pod_uid).remove, self._stored.get(pod_uid))

    def forget(self, pod_uid: str) -> None:
        """After `take_down`."""
        self._groups.remove_pod(pod_uid)
        self._stored.pop(pod_uid, None)
