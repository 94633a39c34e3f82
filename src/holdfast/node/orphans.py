"""What earlier agents left of pods that the API does not know (N139, N198)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container

from .runtime import ContainerState, RuntimeFailure
from .shared import Shared

log = logging.getLogger(__name__)

ORPHAN_GRACE_S = 1.0


async def remove_orphans(shared: Shared, known: Container[str]) -> None:
    """Containers, volumes and files of all pods whose uid is not `known`."""
    in_runtime = {sandbox.pod_uid for sandbox in shared.runtime.sandboxes()}
    in_runtime |= {record.pod_uid for record in shared.runtime.containers()}
    for pod_uid in in_runtime | shared.files.known():
        if pod_uid in known:
            continue
        log.info("removing an orphan pod_uid=%s", pod_uid)
        try:
            await _remove_orphan(shared, pod_uid)
        except (OSError, RuntimeFailure) as error:
            log.warning("orphan not removed pod_uid=%s error=%s", pod_uid, error)
    try:
        await shared.volumes.sweep()
    except OSError as error:
        log.warning("volumes not swept error=%s", error)


async def _remove_orphan(shared: Shared, pod_uid: str) -> None:
    await asyncio.gather(
        *(
            shared.runtime.stop_container(record.id, ORPHAN_GRACE_S)
            for record in shared.runtime.containers(pod_uid)
            if record.state is ContainerState.RUNNING
        )
    )
    await shared.runtime.remove_sandbox(pod_uid)
    await shared.volumes.unmount(pod_uid)
    shared.files.remove(pod_uid)
