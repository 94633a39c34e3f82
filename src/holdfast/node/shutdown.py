"""Stopping every pod of a node while their objects stay: what happens before the machine, or the cluster, goes down.

A later agent finds the pods in the API and starts them again, on the same volumes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from .pod import Pod
from .runtime import RuntimeFailure
from .shared import Shared
from .termination import Stopper

log = logging.getLogger(__name__)


def order(pods: Iterable[Pod]) -> list[list[Pod]]:
    """Pods of one owner one after the other, the highest ordinal first, as a set scales in; owners side by side."""
    by_owner: dict[str, list[Pod]] = {}
    for pod in pods:
        by_owner.setdefault(_owner(pod) or pod.uid, []).append(pod)
    return [sorted(group, key=_ordinal, reverse=True) for group in by_owner.values()]


async def stop_all(shared: Shared, pods: Iterable[Pod]) -> None:
    """Each within its own grace period; then everything of theirs is taken down but their volumes' data."""
    await asyncio.gather(*(_stop_in_turn(shared, group) for group in order(pods)))


async def _stop_in_turn(shared: Shared, pods: list[Pod]) -> None:
    for pod in pods:
        try:
            await _stop(shared, pod)
        except (OSError, RuntimeFailure) as error:
            log.warning("pod not stopped pod=%s error=%s", pod.key, error)


async def _stop(shared: Shared, pod: Pod) -> None:
    ips = tuple(ip for sandbox in shared.runtime.sandboxes() if sandbox.pod_uid == pod.uid for ip in sandbox.ips)
    await Stopper(shared).stop_all(pod, ips, pod.grace_period_s)
    await shared.runtime.remove_sandbox(pod.uid)
    await shared.volumes.unmount(pod.uid)


def _owner(pod: Pod) -> str:
    """The uid of a StatefulSet; pods of other owners have no order among themselves."""
    for reference in pod.manifest["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference["kind"] == "StatefulSet":
            return str(reference["uid"])
    return ""


def _ordinal(pod: Pod) -> int:
    number = pod.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
