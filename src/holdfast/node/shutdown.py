"""Stopping every pod of a node while their objects stay: what happens before the machine, or the cluster, goes down.

A later agent finds the pods in the API and starts them again, on the same volumes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .pod import Pod
from .worker import PodWorker


def order(pods: Iterable[Pod]) -> list[list[Pod]]:
    """Pods of one owner one after the other, the highest ordinal first, as a set scales in; owners side by side."""
    by_owner: dict[str, list[Pod]] = {}
    for pod in pods:
        by_owner.setdefault(_owner(pod) or pod.uid, []).append(pod)
    return [sorted(group, key=_ordinal, reverse=True) for group in by_owner.values()]


async def stop_all(workers: Iterable[PodWorker]) -> None:
    """Each within its own grace period; then everything of theirs is taken down but their volumes' data."""
    by_uid = {worker.pod.uid: worker for worker in workers}
    groups = order(worker.pod for worker in by_uid.values())
    await asyncio.gather(*(_stop_in_turn([by_uid[pod.uid] for pod in group]) for group in groups))
    await asyncio.gather(*(worker.finished.wait() for worker in by_uid.values()))


async def _stop_in_turn(workers: list[PodWorker]) -> None:
    for worker in workers:
        worker.shut_down()
        await worker.stopped.wait()


def _owner(pod: Pod) -> str:
    """The uid of a StatefulSet; pods of other owners have no order among themselves."""
    for reference in pod.manifest["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference["kind"] == "StatefulSet":
            return str(reference["uid"])
    return ""


def _ordinal(pod: Pod) -> int:
    number = pod.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
