"""Stopping every pod of a node: what happens before the machine, or the cluster, goes down.

A later agent finds the pods in the API and starts them again, on the same volumes; unless the node was told how long a
shutdown may take: then they have failed, as upstream's do (N192), and those who own them make others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from holdfast.world import Clock

from .observed import Verdict
from .pod import Pod
from .worker import PodWorker


def order(pods: Iterable[Pod]) -> list[list[Pod]]:
    """Pods of one owner one after the other, the highest ordinal first, as a set scales in; owners side by side."""
    by_owner: dict[str, list[Pod]] = {}
    for pod in pods:
        by_owner.setdefault(_owner(pod) or pod.uid, []).append(pod)
    return [sorted(group, key=_ordinal, reverse=True) for group in by_owner.values()]


VERDICT = Verdict("Terminated", "Pod was terminated in response to imminent node shutdown.", is_disruption=True)


async def stop_all(workers: Iterable[PodWorker], clock: Clock, within_s: float) -> None:
    """Each within its own grace period; then everything of theirs is taken down but their volumes' data.

    All together `within_s`, unless that is 0: then nobody hurries, and no pod has failed.
    """
    by_uid = {worker.pod.uid: worker for worker in workers}
    groups = order(worker.pod for worker in by_uid.values())
    deadline_s = clock.monotonic_s() + within_s if within_s else None
    await asyncio.gather(*(_stop_in_turn([by_uid[pod.uid] for pod in group], clock, deadline_s) for group in groups))
    await asyncio.gather(*(worker.finished.wait() for worker in by_uid.values()))


async def _stop_in_turn(workers: list[PodWorker], clock: Clock, deadline_s: float | None) -> None:
    for worker in workers:
        if deadline_s is None:
            worker.shut_down()
        else:
            worker.fail_at_shutdown(VERDICT, max(0, int(deadline_s - clock.monotonic_s())))
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
