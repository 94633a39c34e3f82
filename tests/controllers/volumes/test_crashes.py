"""The control plane is killed between every two steps of a volume's life: nothing is leaked, lost or bound twice.

A step is a write that was committed, or work on the disk that was done. The life is played once to count its steps,
then once for each of them, with the control plane killed right after it and started again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.snapshots import GROUP
from holdfast.api.snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from holdfast.api.snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS
from holdfast.controllers.volumes.effects import Backing, Cut, ShareWork
from holdfast.simulation.cluster import Cluster, simulate
from holdfast.simulation.faults import Faults
from holdfast.simulation.machines import Directories
from holdfast.simulation.observation import USER as USER_TASK

AWAY_S = 0.2
TAKES_S = 0.01
"""Whatever is done on a disk or asked of the server: long enough to be killed before."""
GI = 1 << 30
COUNTED = ("/persistentvolume", "/volumesnapshot", "/pods/")


class Disk(Directories):
    """Volumes with a size, each by its name and what is in it; every call tells that it was made."""

    def __init__(self, backing: str, stepped: Callable[[str], asyncio.Future[None] | None]) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}
        self.contents: dict[str, str] = {}
        self._is_sized = backing == "images"
        self._stepped = stepped

    async def _step(self, what: str) -> None:
        if death := self._stepped(what):
            await death

    async def backing(self, size_bytes: int) -> Backing:
        return Backing(self._is_sized)

    async def is_image(self, path: str) -> bool:
        await super().is_image(path)
        return path in self.sizes

    async def create(self, path: str) -> None:
        await asyncio.sleep(TAKES_S)
        await self._made(path)

    async def _made(self, path: str) -> None:
        """At one stroke: it is marked as being made before anything of it is there."""
        self.contents.setdefault(path, f"made for {path}")
        await super().create(path)
        await self._step(f"create {path}")

    async def create_sized(self, path: str, size_bytes: int) -> None:
        await asyncio.sleep(TAKES_S)
        self.sizes.setdefault(path, size_bytes)
        await self._made(path)

    async def fill(self, path: str, source: str, size_bytes: int) -> None:
        await asyncio.sleep(TAKES_S)
        self.contents.setdefault(path, self.contents[source])
        if source in self.sizes:
            self.sizes.setdefault(path, size_bytes)
        await self._made(path)

    async def cut(self, path: str, source: str, of_image: bool) -> Cut:
        await asyncio.sleep(TAKES_S)
        assert of_image == await self.is_image(source)
        self.contents.setdefault(path, self.contents[source])
        if of_image:
            self.sizes.setdefault(path, self.sizes[source])
        self.present.add(path)
        await self._step(f"cut {path}")
        return await self.look(path)

    async def look(self, path: str) -> Cut:
        await super().is_image(path)
        return Cut(self.sizes.get(path, 0), 1_767_323_045_000_000_000)

    async def grow(self, path: str, size_bytes: int) -> bool:
        await asyncio.sleep(TAKES_S)
        self.sizes[path] = max(self.sizes[path], size_bytes)
        await self._step(f"grow {path}")
        return True

    async def settle(self, path: str) -> None:
        await asyncio.sleep(TAKES_S)
        await super().settle(path)
        await self._step(f"settle {path}")

    async def discard(self, path: str) -> None:
        await asyncio.sleep(TAKES_S)
        self._forget(path)
        await super().discard(path)
        await self._step(f"discard {path}")

    async def remove(self, path: str) -> None:
        await asyncio.sleep(TAKES_S)
        self._forget(path)
        await super().remove(path)
        await self._step(f"remove {path}")

    async def on_share(self, work: ShareWork) -> Any:
        """A share is a place as any other."""
        if work.remains:
            self._making[work.settles] = work.remains
        await asyncio.sleep(TAKES_S)
        place, *more = work.arguments
        match work.operation:
            case "make":
                self.contents.setdefault(place, f"made for {place}")
            case "fill" | "restore":
                self.contents.setdefault(place, self.contents[more[1]])
            case "cut":
                self.contents.setdefault(place, self.contents[more[0]])
            case "remove":
                for path in [path for path in self.contents if path == place or path.startswith(f"{place}/")]:
                    del self.contents[path]
            case _:
                raise AssertionError(work.operation)
        await self._step(f"{work.operation} {place}")
        return {"size_bytes": 1, "created_ns": 1_767_323_045_000_000_000}

    def _forget(self, path: str) -> None:
        self.contents.pop(path, None)
        self.sizes.pop(path, None)


class Killer:
    """Counts steps, and kills the control plane after one of them."""

    def __init__(self, cluster: Cluster, after: int) -> None:
        self.steps: list[str] = []
        self.killed_at = 0
        self._cluster = cluster
        self._after = after
        self._crash: asyncio.Task[None] | None = None
        cluster.store.listen(self._on_changes)

    def _on_changes(self, changes: Any) -> None:
        for change in changes:
            task = asyncio.current_task()
            author = task.get_name() if task else ""
            if author != USER_TASK and any(kind in change.key for kind in COUNTED):
                self.stepped(f"{change.key.removeprefix('/registry/')} by {author}")

    def stepped(self, what: str) -> asyncio.Future[None] | None:
        """What never is, where this step is the last."""
        self.steps.append(what)
        if len(self.steps) != self._after:
            return None
        self._crash = asyncio.get_running_loop().create_task(self._kill(), name="crash")
        return asyncio.get_running_loop().create_future()

    async def _kill(self) -> None:
        await self._cluster.control_plane.kill()
        self.killed_at = len(self.steps)
        await asyncio.sleep(AWAY_S)
        await self._cluster.control_plane.start()


def claim(name: str, of_class: str, source: dict[str, Any] | None = None, size: str = "1Gi") -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": of_class,
    }
    if source:
        spec["dataSource"] = source
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def storage_class(name: str, mode: str, provisioner: str) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "parameters": {"server": "nas", "share": "/exports"},
        "volumeBindingMode": mode,
        "allowVolumeExpansion": True,
    }


USER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "user"},
    "spec": {
        "containers": [{"name": "main", "image": "host", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
        "terminationGracePeriodSeconds": 0,
    },
}


def snapshot_class(driver: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": "fast"},
        "driver": driver,
        "deletionPolicy": "Delete",
    }


SNAPSHOT = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "VolumeSnapshot",
    "metadata": {"name": "snap"},
    "spec": {"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "fast"},
}
FROM_SNAPSHOT = {"kind": "VolumeSnapshot", "name": "snap", "apiGroup": GROUP}
FROM_CLAIM = {"kind": "PersistentVolumeClaim", "name": "data"}


def live(cluster: Cluster, disk: Disk, backing: str) -> None:
    """From the first claim to the last, with what has to hold looked at on the way."""

    def bound(*names: str) -> bool:
        found = [cluster.get(PERSISTENT_VOLUME_CLAIMS, name) for name in names]
        return all(each and each["status"]["phase"] == "Bound" for each in found)

    def has(name: str, size: str) -> bool:
        found = cluster.get(PERSISTENT_VOLUME_CLAIMS, name)
        return found["status"].get("capacity") == {"storage": size} and not found["status"].get("conditions")

    is_shared = backing == "shares"
    provisioner = "nfs.csi.k8s.io" if is_shared else "holdfast.dev/local"
    cluster.apply(storage_class("s", "Immediate", provisioner))
    cluster.apply(storage_class("later", "WaitForFirstConsumer", provisioner))
    cluster.apply(snapshot_class(provisioner if is_shared else "local.holdfast.dev"))
    cluster.apply(claim("brief", "s"))  # gone before anybody could use it
    cluster.run_for(6 * TAKES_S)
    cluster.delete(PERSISTENT_VOLUME_CLAIMS, "brief")
    cluster.apply(claim("data", "later"), USER)
    cluster.run_until(lambda: bound("data") and cluster.get(PODS, "user")["status"]["phase"] == "Running", 120)
    cluster.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
    cluster.run_until(lambda: has("data", "2Gi"), 120)
    cluster.apply(SNAPSHOT, claim("restored", "s", FROM_SNAPSHOT, "3Gi"), claim("clone", "s", FROM_CLAIM, "2Gi"))
    cluster.run_until(lambda: bound("restored", "clone") and has("restored", "3Gi"), 120)
    check(cluster, disk, {"data", "restored", "clone"}, is_shared=is_shared)
    cluster.delete(VOLUME_SNAPSHOTS, "snap")
    cluster.run_until(lambda: not cluster.objects(VOLUME_SNAPSHOT_CONTENTS), 120)
    cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")
    cluster.delete(PODS, "user", grace_period_s=0)
    for name in ("restored", "clone"):
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, name)
    cluster.run_until(lambda: not cluster.objects(PERSISTENT_VOLUMES), 120)
    cluster.run_until_quiet()
    for kind in (PERSISTENT_VOLUME_CLAIMS, VOLUME_SNAPSHOTS, VOLUME_SNAPSHOT_CONTENTS):
        assert cluster.objects(kind) == []
    assert (disk.present, disk.contents, disk.sizes, disk.unsettled("/volumes")) == (set(), {}, {}, [])


def check(cluster: Cluster, disk: Disk, names: set[str], *, is_shared: bool) -> None:
    """Each claim has a volume of its own, each volume its claim and its data, and there is nothing else."""
    cluster.run_for(20)
    claims = {each["metadata"]["name"]: each for each in cluster.objects(PERSISTENT_VOLUME_CLAIMS)}
    volumes = {each["metadata"]["name"]: each for each in cluster.objects(PERSISTENT_VOLUMES)}
    assert claims.keys() == names
    assert {each["spec"]["volumeName"] for each in claims.values()} == volumes.keys()
    assert len(volumes) == len(names)
    for each in claims.values():
        of = volumes[each["spec"]["volumeName"]]
        assert of["spec"]["claimRef"]["uid"] == each["metadata"]["uid"]
        assert each["status"]["capacity"] == of["spec"]["capacity"]
    (content,) = cluster.objects(VOLUME_SNAPSHOT_CONTENTS)
    handle = content["status"]["snapshotHandle"]
    if is_shared:
        *_, name, of_volume = handle.split("#")
        assert disk.contents.keys() == {*volumes, f"{name}/{of_volume}.tar.gz"}
    else:
        assert disk.present == {f"/volumes/{name}" for name in volumes} | {f"/volumes/.snapshots/{handle}"}
    original = f"made for {'' if is_shared else '/volumes/'}{claims['data']['spec']['volumeName']}"
    assert set(disk.contents.values()) == {original}
    if disk.sizes:
        asked = {name: int(each["spec"]["resources"]["requests"]["storage"][0]) * GI for name, each in claims.items()}
        sizes = {name: disk.sizes[f"/volumes/{each['spec']['volumeName']}"] for name, each in claims.items()}
        assert sizes == asked


def play(backing: str, after: int = 0) -> Killer:
    with simulate(1, Faults(request_delay_s=2 * TAKES_S)) as cluster:
        killer = Killer(cluster, after)
        cluster.kill(cluster.control_plane)
        cluster.directories = Disk(backing, killer.stepped)
        cluster.start(cluster.control_plane)
        try:
            live(cluster, cluster.directories, backing)
        except Exception as error:
            error.add_note(
                f"killed after step {after}: {json.dumps(killer.steps[max(0, after - 5) : after], indent=1)}"
            )
            raise
        return killer


@pytest.mark.parametrize("backing", ["directories", "images", "shares"])
def test_v18_v27_v40_v97_v134_v135_killed_between_any_two_steps(backing: str) -> None:
    total = len(play(backing).steps)
    assert total > 50
    for after in range(1, total + 1):
        killed = play(backing, after)
        assert killed.killed_at == after, "a step was made between the one before and the kill"
