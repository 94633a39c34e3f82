"""The node's part of a claim's growth: the file system of a mounted volume, and the end of it in the status (V66).

Source: Kubernetes, pkg/volume/util/operationexecutor/node_expander.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.api.storage import growth
from holdfast.api.times import format_time
from holdfast.client import Client
from holdfast.disks import Disk, mounting
from holdfast.node.pod import Pod

from . import Source

log = logging.getLogger(__name__)

Tell = Callable[[Manifest, str, str, str], None]
"""Records an event: about what, its type, reason and message."""


class Growth:
    """Of volumes with a size that are mounted on this node."""

    def __init__(self, client: Client, node_name: str, tell: Tell, now: Callable[[], datetime]) -> None:
        self._client = client
        self._node_name = node_name
        self._tell = tell
        self._now = now

    async def finish(self, pod: Pod, source: Source, disk: Disk, directory: Path) -> None:
        """Has the file system fill the volume and says so, where the claim waits for that; never in the way of a pod.

        Where this process may not have a mounted file system grow, the claim goes on waiting: for the next mount.
        """
        claim, volume = source.claim, source.persistent_volume
        if claim is None or volume is None or not growth.waits_for_node(claim):
            return
        name = source.spec_name
        try:
            is_whole = await asyncio.to_thread(mounting.grow, disk, directory)
        except OSError as error:
            message = f'MountVolume.NodeExpandVolume failed for volume "{name}" : {error.strerror or error}'
            self._tell_both(pod, claim, "Warning", "VolumeResizeFailed", message)
            at = format_time(self._now())
            if conditions := growth.with_error(claim, growth.NODE_ERROR, at, error.strerror or str(error)):
                await self._write(claim, {"conditions": conditions})
            return
        if is_whole and await self._write(claim, growth.finished(claim, growth.of_volume(volume))):
            message = f'MountVolume.NodeExpandVolume succeeded for volume "{name}" {self._node_name}'
            self._tell_both(pod, claim, "Normal", "FileSystemResizeSuccessful", message)

    async def _write(self, claim: Manifest, status: Manifest) -> bool:
        """On the very claim that was read: one that asks for even more meanwhile comes again."""
        metadata = claim["metadata"]
        lock = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        patch = {"metadata": lock, "status": status}
        try:
            await self._client.patch(
                PERSISTENT_VOLUME_CLAIMS, metadata["name"], patch, metadata["namespace"], subresource="status"
            )
        except ApiError as error:
            log.info("growth not written claim=%s/%s error=%s", metadata["namespace"], metadata["name"], error)
            return False
        return True

    def _tell_both(self, pod: Pod, claim: Manifest, kind: str, reason: str, message: str) -> None:
        for subject in (pod.manifest, claim):
            self._tell(subject, kind, reason, message)
