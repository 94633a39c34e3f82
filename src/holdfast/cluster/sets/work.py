"""Snapshots, restores and forks of StatefulSets, step by step through the API; each step may be the last.

What is waited for is looked at again every moment: these are commands, which end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.apps.stateful_set_marks import FORKED_FROM, RESTORING
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.errors import AlreadyExists, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.api.snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from holdfast.api.storage.binding import SELECTED_NODE
from holdfast.client import Client
from holdfast.world import Clock

from . import plan
from .plan import Refused

LOOK_EVERY_S = 0.1

Say = Callable[[str], None]
"""One line of progress."""


class Sets:
    """The sets of one namespace."""

    def __init__(self, client: Client, namespace: str, clock: Clock, say: Say, wait_s: float) -> None:
        """`wait_s` is for everything that is waited for, each by itself."""
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self._say = say
        self._wait_s = wait_s

    async def create(self, set_name: str, name: str) -> str:
        """Takes a snapshot of all the set's claims at one moment; its name. Raises Refused, ApiError, TimeoutError."""
        statefulset = await self._set(set_name)
        name = name or plan.default_name(set_name, self._clock.now())
        if await self.snapshots(set_name, name):
            raise Refused(f"sts/{set_name} has a snapshot {name} already: give another name with --name")
        await self._take(statefulset, name)
        return name

    async def _take(self, statefulset: Manifest, name: str) -> None:
        """Goes on with what was begun under that name."""
        claims = await self._claims(statefulset)
        names = [claim["spec"].get("volumeName") or "" for claim in claims]
        volumes = {each: await self._client.get(PERSISTENT_VOLUMES, each) for each in names if each}
        wanted = plan.snapshots_of(statefulset, name, claims, volumes)
        self._say(f"taking {len(wanted)} {'volume' if len(wanted) == 1 else 'volumes'} at one moment")
        for manifest in wanted:
            await self._make(VOLUME_SNAPSHOTS, manifest)
        await self._until_whole(statefulset["metadata"]["name"], name)

    async def snapshots(self, set_name: str, name: str = "") -> list[Manifest]:
        """The set's VolumeSnapshots, of one name or all."""
        found = (await self._client.list(VOLUME_SNAPSHOTS, self._namespace)).items
        labels = {plan.OF_SET: set_name, **({plan.SNAPSHOT: name} if name else {})}
        return [each for each in found if labels.items() <= (each["metadata"].get("labels") or {}).items()]

    async def delete(self, set_name: str, name: str) -> None:
        """Raises Refused, ApiError, TimeoutError."""
        for snapshot in await self._named(set_name, name):
            await self._remove(VOLUME_SNAPSHOTS, snapshot)

        async def are_gone() -> bool:
            return not await self.snapshots(set_name, name)

        await self._until(are_gone, f"snapshot {name} is not gone: is a claim waiting to be filled from it?")

    async def restore(self, set_name: str, name: str) -> None:
        """Puts the set's data back to the snapshot: its pods stop, its claims are made anew, its pods start.

        Raises Refused, ApiError, TimeoutError.
        """
        statefulset, snapshots = await self._set(set_name), await self._named(set_name, name)
        if not plan.is_whole(snapshots):
            raise Refused(f"snapshot {name} of sts/{set_name} is not whole: `kubectl get volumesnapshots` shows why")
        mark, replicas = self._begun(statefulset, name)
        annotations = {RESTORING: f"{mark} {replicas}"}
        await self._patch(set_name, {"metadata": {"annotations": annotations}, "spec": {"replicas": 0}})
        self._say("stopping the pods")
        await self._until(lambda: self._has_no_pods(statefulset), f"the pods of sts/{set_name} do not stop")
        self._say(f"making {len(snapshots)} claims anew")
        by_claim = {each["metadata"]["annotations"][plan.OF_CLAIM]: each for each in snapshots}
        for member in plan.members(statefulset, by_claim):
            claim_name = member.claim_name(set_name)
            marks = {plan.RESTORED_BY: mark}
            claim = plan.filled_claim(statefulset, member, claim_name, by_claim[claim_name], marks)
            await self._replace(claim, mark)
        self._say(f"starting {replicas} {'pod' if replicas == 1 else 'pods'}")
        await self._patch(set_name, {"metadata": {"annotations": {RESTORING: None}}, "spec": {"replicas": replicas}})
        await self._until_ready(set_name, replicas)

    async def fork(self, set_name: str, name: str) -> None:
        """A second set with a copy of the first one's data. Raises Refused, ApiError, TimeoutError."""
        statefulset = await self._set(set_name)
        services = (await self._client.list(SERVICES, self._namespace)).items
        own = [each for each in services if (each["metadata"].get("annotations") or {}).get(FORKED_FROM) is None]
        made, service = plan.forked_set(statefulset, name, own)
        taken = f"fork-{name}"
        snapshots = await self.snapshots(set_name, taken)
        if not snapshots and await self._find(STATEFUL_SETS, name) is not None:
            raise Refused(f"StatefulSet {name} exists already: choose another name")
        if not plan.is_whole(snapshots):
            await self._take(statefulset, taken)
            snapshots = await self.snapshots(set_name, taken)
        by_claim = {each["metadata"]["annotations"][plan.OF_CLAIM]: each for each in snapshots}
        idle = await self._marks_without_pod()
        for member in plan.members(statefulset, by_claim):
            snapshot = by_claim[member.claim_name(set_name)]
            marks = {FORKED_FROM: set_name, **({} if plan.has_pod(made, member.ordinal) else idle)}
            await self._make(
                PERSISTENT_VOLUME_CLAIMS, plan.filled_claim(made, member, member.claim_name(name), snapshot, marks)
            )
        if service is not None:
            await self._make(SERVICES, service)
        await self._make(STATEFUL_SETS, made)
        self._say(f"starting sts/{name}")
        await self._until_ready(name, made["spec"].get("replicas", 1))
        await self.delete(set_name, taken)

    # Steps

    async def _marks_without_pod(self) -> dict[str, str]:
        """For claims that no pod will use yet: as if one had been scheduled, for else they would not be filled."""
        names = sorted(node["metadata"]["name"] for node in (await self._client.list(NODES)).items)
        return {SELECTED_NODE: names[0]} if names else {}

    async def _set(self, name: str) -> Manifest:
        return await self._client.get(STATEFUL_SETS, name, self._namespace)

    async def _claims(self, statefulset: Manifest) -> list[Manifest]:
        found = (await self._client.list(PERSISTENT_VOLUME_CLAIMS, self._namespace)).items
        by_name = {each["metadata"]["name"]: each for each in found if not each["metadata"].get("deletionTimestamp")}
        set_name = statefulset["metadata"]["name"]
        return [by_name[member.claim_name(set_name)] for member in plan.members(statefulset, by_name)]

    async def _named(self, set_name: str, name: str) -> list[Manifest]:
        found = await self.snapshots(set_name, name)
        if not found:
            raise Refused(f"sts/{set_name} has no snapshot {name}: `holdfast snapshot list sts/{set_name}` shows them")
        return found

    def _begun(self, statefulset: Manifest, name: str) -> tuple[str, int]:
        """Which restore this is, and how many pods there were before; one that was interrupted goes on."""
        text = (statefulset["metadata"].get("annotations") or {}).get(RESTORING, "")
        mark, _, replicas = text.partition(" ")
        if mark.partition("@")[0] == name and replicas.isdecimal():
            return mark, int(replicas)
        if text:
            begun = mark.partition("@")[0]
            raise Refused(f"a restore of {begun} was interrupted: finish it first, with that snapshot")
        return f"{name}@{self._clock.now():%Y%m%dT%H%M%S.%f}", int(statefulset["spec"].get("replicas", 1))

    async def _has_no_pods(self, statefulset: Manifest) -> bool:
        uid = statefulset["metadata"]["uid"]
        pods = (await self._client.list(PODS, self._namespace)).items
        owners = [owner for pod in pods for owner in pod["metadata"].get("ownerReferences") or ()]
        return all(owner["uid"] != uid for owner in owners)

    async def _replace(self, claim: Manifest, mark: str) -> None:
        name = claim["metadata"]["name"]
        found = await self._find(PERSISTENT_VOLUME_CLAIMS, name)
        if found is not None and (found["metadata"].get("annotations") or {}).get(plan.RESTORED_BY) == mark:
            return
        if found is not None:
            await self._remove(PERSISTENT_VOLUME_CLAIMS, found)

            async def is_gone() -> bool:
                return await self._find(PERSISTENT_VOLUME_CLAIMS, name) is None

            await self._until(is_gone, f"claim {name} does not go: does a pod use it?")
        await self._make(PERSISTENT_VOLUME_CLAIMS, claim)

    async def _make(self, resource: Resource, manifest: Manifest) -> None:
        """What an interrupted call of the same has made is as good. Raises AlreadyExists for anything else."""
        try:
            await self._client.create(resource, manifest)
        except AlreadyExists:
            metadata = manifest["metadata"]
            found = await self._find(resource, metadata["name"])
            marks = metadata.get("annotations") or {}
            if found is None or not marks.items() <= (found["metadata"].get("annotations") or {}).items():
                raise

    async def _remove(self, resource: Resource, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        try:
            await self._client.delete(resource, metadata["name"], self._namespace, uid=metadata["uid"])
        except NotFound:
            return

    async def _find(self, resource: Resource, name: str) -> Manifest | None:
        try:
            return await self._client.get(resource, name, self._namespace)
        except NotFound:
            return None

    async def _patch(self, set_name: str, patch: Manifest) -> None:
        await self._client.patch(STATEFUL_SETS, set_name, patch, self._namespace)

    async def _until_whole(self, set_name: str, name: str) -> None:
        found: Sequence[Manifest] = ()

        async def is_whole() -> bool:
            nonlocal found
            found = await self.snapshots(set_name, name)
            return plan.is_whole(found)

        try:
            await self._until(is_whole, "")
        except TimeoutError:
            why = plan.obstacle(found) or "`kubectl get volumesnapshots` shows how far it is"
            raise TimeoutError(f"snapshot {name} was not ready within {self._wait_s:g} s: {why}") from None

    async def _until_ready(self, set_name: str, replicas: int) -> None:
        async def is_ready() -> bool:
            status = (await self._set(set_name)).get("status") or {}
            return int(status.get("readyReplicas") or 0) >= replicas

        await self._until(is_ready, f"sts/{set_name} has not {replicas} ready pods: `holdfast why sts/{set_name}`")

    async def _until(self, holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        end = self._clock.monotonic_s() + self._wait_s
        while not await holds():
            if self._clock.monotonic_s() > end:
                raise TimeoutError(f"{otherwise} (waited {self._wait_s:g} s)")
            await self._clock.sleep(LOOK_EVERY_S)


def rows(snapshots: Sequence[Manifest]) -> list[dict[str, object]]:
    """The snapshots of a set, newest first: name, volumes, whether it is ready, when it was taken."""
    by_name: dict[str, list[Manifest]] = {}
    for each in snapshots:
        by_name.setdefault(each["metadata"]["labels"][plan.SNAPSHOT], []).append(each)
    found: list[dict[str, object]] = [
        {
            "name": name,
            "volumes": len(group),
            "ready": plan.is_whole(group),
            "created": group[0]["metadata"].get("creationTimestamp", ""),
        }
        for name, group in by_name.items()
    ]
    return sorted(found, key=lambda row: (str(row["created"]), str(row["name"])), reverse=True)


def created(row: dict[str, object], now: datetime) -> str:
    """Its age, for people."""
    from holdfast.api.table import age

    return age(str(row["created"]), now)
