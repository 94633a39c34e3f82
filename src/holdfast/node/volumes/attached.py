"""Volumes that have to be attached to this node before they can be mounted, and what the node says of them (V48).

The node says that it uses a volume before it looks whether it is attached, and as long as anything of it may be
mounted: so nobody takes it away in between. What it uses is written down beside each pod's directories, for the next
agent.

Source: Kubernetes, pkg/kubelet/volumemanager.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from holdfast.api.errors import NotFound
from holdfast.api.storage.attaching import attacher_of, attachment_name, is_attached, unique_name
from holdfast.api.storage.volume_attachment import VOLUME_ATTACHMENTS
from holdfast.client import Client
from holdfast.node.pod import Pod

from . import MountFailure, Source

IN_USE = "attached"
"""The file in a pod's directory: names as the Node's status has them, a line for each."""


class Attachments:
    """Of this node."""

    def __init__(
        self,
        client: Client,
        node_name: str,
        pods: Path | None,
        report: Callable[[], Awaitable[None]],
        report_soon: Callable[[], None],
    ) -> None:
        """`pods` is the directory with a directory for each pod, if there is one.

        `report` writes the Node's status now, `report_soon` has it written.
        """
        self._client = client
        self._node_name = node_name
        self._pods = pods
        self._report = report
        self._report_soon = report_soon
        self._used: dict[str, set[str]] = {}
        for path in pods.glob(f"*/{IN_USE}") if pods is not None else ():
            self._used[path.parent.name] = set(path.read_text().split())

    def in_use(self) -> list[str]:
        """For the status of the Node."""
        return sorted(set().union(*self._used.values()))

    async def require(self, pod: Pod, source: Source) -> None:
        """Raises MountFailure if the volume is not attached (yet). Raises ApiError."""
        volume = source.persistent_volume
        if volume is None or not (attacher := attacher_of(volume)):
            return
        name = volume["metadata"]["name"]
        if await self._use(pod.uid, unique_name(attacher, name)):
            await self._report()
        try:
            found = await self._client.get(VOLUME_ATTACHMENTS, attachment_name(attacher, name, self._node_name))
        except NotFound:
            found = None
        if found is None or not is_attached(found):
            raise MountFailure(source.name, "context deadline exceeded", is_unattached=True)

    async def _use(self, pod_uid: str, name: str) -> bool:
        """Whether that is new to the node."""
        names = self._used.setdefault(pod_uid, set())
        if name in names:
            return False
        is_new = name not in self.in_use()
        names.add(name)
        if self._pods is not None:
            place = self._pods / pod_uid
            place.mkdir(parents=True, exist_ok=True)
            (place / IN_USE).write_text("".join(f"{each}\n" for each in sorted(names)))
        return is_new

    def release(self, pod_uid: str) -> None:
        """Nothing of the pod is mounted any more."""
        if pod_uid not in self._used:
            return
        if self._pods is not None:
            with suppress(FileNotFoundError):
                (self._pods / pod_uid / IN_USE).unlink()
        if self._used.pop(pod_uid) - set(self.in_use()):
            self._report_soon()
