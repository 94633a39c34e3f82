"""Volumes: claims bound, snapshots and forks of 1 GiB, and what a volume with a size costs beside a plain directory.

Needs root and the container tools; fio for the last part (scripts/test-programs installs it).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any

from .cluster import Cluster, cluster

CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
PODS = "/api/v1/namespaces/default/pods"
SNAPSHOTS = "/apis/snapshot.storage.k8s.io/v1/namespaces/default/volumesnapshots"
DIRECTORY_SIZE = "1Pi"
"""What the disk cannot hold becomes a plain directory."""
SIZES = {"directory": DIRECTORY_SIZE, "sized": "1Gi"}
ONE_BY_ONE, AT_ONCE, COPIES = 10, 100, 5
WRITTEN_MIB = 900
TIMEOUT_S = 120.0
GOAL_COPY_MS = 100.0

FIO = {
    "sequential_write": ["--rw=write", "--bs=1M", "--size=512M", "--end_fsync=1"],
    "random_write_fdatasync": ["--rw=randwrite", "--bs=8k", "--size=64M", "--fdatasync=1", "--runtime=5"],
    "random_read": ["--rw=randread", "--bs=8k", "--size=64M", "--direct=1", "--runtime=5"],
}
"""The second is what a database's commits are."""
ROUNDS = 2


def measure() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {"skipped": "needs root"}
    with cluster() as made:
        made.up()
        made.call("POST", "/apis/storage.k8s.io/v1/storageclasses", _immediate())
        return {
            "pool": _first_volume(made),
            "create_to_bound": {backing: _bound(made, backing, size) for backing, size in SIZES.items()},
            **_copies(made),
            "sized_beside_directory": _beside(made),
        }


def _immediate() -> dict[str, Any]:
    """A class whose volumes are made without a pod."""
    metadata = {"name": "at-once"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": metadata,
        "provisioner": "holdfast.dev/local",
    }


def _claim(name: str, size: str, source: dict[str, Any] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "at-once",
        "resources": {"requests": {"storage": size}},
    }
    if source:
        spec["dataSource"] = source
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _until(made: Cluster, path: str, names: set[str], holds: Callable[[dict[str, Any]], bool]) -> float:
    """When the last of them was seen to hold, by the monotonic clock."""
    left = set(names)
    for event in made.watch(path, TIMEOUT_S):
        name = event["object"]["metadata"]["name"]
        if name in left and holds(event["object"]):
            left.discard(name)
            if not left:
                return time.monotonic()
    raise RuntimeError(f"not within {TIMEOUT_S:g} s: {sorted(left)}")


def _is_bound(claim: dict[str, Any]) -> bool:
    return claim.get("status", {}).get("phase") == "Bound"


def _is_ready(thing: dict[str, Any]) -> bool:
    status = thing.get("status", {})
    conditions = status.get("conditions") or ()
    return bool(status.get("readyToUse")) or any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


# Claims


def _first_volume(made: Cluster) -> dict[str, Any]:
    """The first volume with a size finds out what the machine can do, and makes the pool."""
    begin = time.monotonic()
    made.call("POST", CLAIMS, _claim("first", SIZES["sized"]))
    bound = _until(made, CLAIMS, {"first"}, _is_bound)
    is_there = (made.home / "volumes" / ".pool" / "image").exists()
    return {"is_there": is_there, "first_claim_ms": round(1e3 * (bound - begin), 1)}


def _bound(made: Cluster, backing: str, size: str) -> dict[str, float]:
    """Create to Bound as a client sees it: one at a time (median), and a hundred at once, the last of them."""
    alone = []
    for number in range(ONE_BY_ONE):
        name = f"{backing}-{number}"
        begin = time.monotonic()
        made.call("POST", CLAIMS, _claim(name, size))
        alone.append(_until(made, CLAIMS, {name}, _is_bound) - begin)
    names = {f"{backing}-many-{number}" for number in range(AT_ONCE)}
    begin = time.monotonic()
    for name in names:
        made.call("POST", CLAIMS, _claim(name, size))
    all_s = _until(made, CLAIMS, names, _is_bound) - begin
    return {"one_ms": round(1e3 * statistics.median(alone), 1), f"{AT_ONCE}_s": round(all_s, 2)}


# Copies


def _pod(name: str, claim: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "host",
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _run(made: Cluster, claim: str, size: str) -> None:
    """A pod that uses a new claim, both of that name; ready."""
    made.call("POST", CLAIMS, _claim(claim, size))
    made.call("POST", PODS, _pod(claim, claim))
    _until(made, PODS, {claim}, _is_ready)


def _copies(made: Cluster) -> dict[str, Any]:
    """Of a volume of 1 GiB, nearly full and in use: medians, of the snapshot and of a claim that is filled from it."""
    _run(made, "full", "1Gi")
    fill = f"dd if=/dev/urandom of=/data/file bs=1M count={WRITTEN_MIB} conv=fsync 2>&1"
    made.command("kubectl", "exec", "full", "--", "sh", "-c", fill)
    taken, forked = [], []
    for number in range(COPIES):
        name = f"taken-{number}"
        source = {"persistentVolumeClaimName": "full"}
        begin = time.monotonic()
        made.call("POST", SNAPSHOTS, _snapshot(name, source))
        taken.append(_until(made, SNAPSHOTS, {name}, _is_ready) - begin)
        origin = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name}
        begin = time.monotonic()
        made.call("POST", CLAIMS, _claim(f"forked-{number}", "1Gi", origin))
        forked.append(_until(made, CLAIMS, {f"forked-{number}"}, _is_bound) - begin)
    snapshot_ms, fork_ms = (1e3 * statistics.median(seconds) for seconds in (taken, forked))
    return {
        "snapshot_1GiB_ms": round(snapshot_ms, 1),
        "fork_1GiB_ms": round(fork_ms, 1),
        "goal_ms": GOAL_COPY_MS,
        "met": max(snapshot_ms, fork_ms) <= GOAL_COPY_MS,
    }


def _snapshot(name: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {"source": source},
    }


# What a size costs


def _beside(made: Cluster) -> dict[str, Any]:
    """In turns, from inside a pod: bandwidth of either, medians, and the directory's as a multiple of the sized."""
    if shutil.which("fio") is None:
        return {"skipped": "fio is not installed"}
    for backing, size in SIZES.items():
        _run(made, f"fio-{backing}", size)
    found: dict[str, dict[str, list[float]]] = {job: {backing: [] for backing in SIZES} for job in FIO}
    for _ in range(ROUNDS):
        for job in FIO:
            for backing in SIZES:
                found[job][backing].append(_fio(made, f"fio-{backing}", job))
    return {job: _compared(each) for job, each in found.items()}


def _fio(made: Cluster, pod: str, job: str) -> float:
    """MiB/s."""
    command = ["fio", f"--name={job}", "--directory=/data", "--output-format=json", "--ioengine=psync", *FIO[job]]
    words = made.command("kubectl", "exec", pod, "--", *command)
    (result,) = json.loads(words[words.index("{") :])["jobs"]
    made.command("kubectl", "exec", pod, "--", "sh", "-c", f"rm -f /data/{job}*")
    return float(max(result["read"]["bw"], result["write"]["bw"])) / 1024


def _compared(measured: dict[str, list[float]]) -> dict[str, float]:
    directory, sized = (statistics.median(measured[backing]) for backing in ("directory", "sized"))
    return {
        "directory_mib_s": round(directory, 1),
        "sized_mib_s": round(sized, 1),
        "overhead": round(directory / sized, 2),
    }
