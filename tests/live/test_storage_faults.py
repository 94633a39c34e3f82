"""What becomes of a database, and of the cluster, when a volume or the disk is full, or an NFS server dies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import ledger
import nfs_server
from bank import Bank

from holdfast.disks import Disk, images, mounting
from holdfast.disks.capability import find_out
from holdfast.world import linux

GI = 1 << 30
ANSWERED_WITHIN_S = 20.0
"""By the API, kubectl's own start included, on a busy machine: nothing waits for the disk, or for a server."""


@pytest.fixture
def sized():
    with tempfile.TemporaryDirectory(prefix="hf-test-") as directory:
        if obstacle := find_out(Path(directory)).obstacle:
            pytest.skip(f"volumes with a size: {obstacle}")


class Asking:
    """Asks the API the whole time; every answer has to come, and soon."""

    def __init__(self, cluster) -> None:
        self._cluster = cluster
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.waits: list[float] = []
        self.failures: list[str] = []

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert not self.failures
        assert len(self.waits) > 3
        assert max(self.waits) < ANSWERED_WITHIN_S, self.waits

    def _ask(self) -> None:
        number = 0
        while not self._over.wait(0.2):
            number += 1
            name = f"asked-{number}"
            for words in (("get", "pods"), ("create", "configmap", name), ("delete", "configmap", name)):
                before = time.monotonic()
                done = self._cluster.kubectl(*words, check=False)
                self.waits.append(time.monotonic() - before)
                if done.returncode:
                    self.failures.append(done.stderr)


def test_a_database_on_a_full_volume_is_told_so_and_goes_on_once_it_has_grown(sized, new_cluster, load_images):
    cluster = new_cluster()
    load_images(cluster, "postgres")
    bank = Bank(cluster, "sized")
    bank.open("256Mi")
    fill = "dd if=/dev/zero of=/var/lib/postgresql/data/filler bs=1M 2>&1; sync; true"
    assert "No space left on device" in ledger.ask(cluster, "bank-0", fill)
    with Asking(cluster):
        cluster.until("postgres is told", lambda: "No space left on device" in logs(cluster))
        assert cluster.get("pod", "bank-0")["status"]["phase"] == "Running"
    patch = {"spec": {"resources": {"requests": {"storage": "512Mi"}}}}
    cluster.kubectl("patch", "pvc", "data-bank-0", "-p", json.dumps(patch))
    cluster.until(
        "the image has grown", lambda: cluster.get("pv")["items"][0]["spec"]["capacity"] == {"storage": "512Mi"}
    )
    cluster.kubectl("delete", "pod", "bank-0")  # where a mounted file system may not grow, it does with the next mount
    bank.until_ready()
    bank.until_written()
    assert ledger.check(cluster, bank.ledger) > 0


def logs(cluster) -> str:
    """Of the server, also of the run before."""
    found = [cluster.kubectl("logs", "bank-0", *flag, check=False).stdout for flag in ((), ("--previous",))]
    return "".join(found)


@pytest.fixture
def small_disk(sized):
    """A disk of 4 GiB, of which as good as nothing is taken before it is written to."""
    directory = Path(tempfile.mkdtemp(prefix="hf-disk-"))
    disk = Disk(directory / "disk")
    images.make(disk, 4 * GI)
    mounting.mount(disk, directory / "mounted")
    yield directory / "mounted"
    mounting.unmount(directory / "mounted")
    shutil.rmtree(directory)


def fill(path: Path) -> None:
    """Takes all that is left of the disk."""
    status = os.statvfs(path.parent)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        at = (status.f_bavail - 256) * status.f_frsize
        os.posix_fallocate(descriptor, 0, at)
        with contextlib.suppress(OSError):
            while True:
                at += os.pwrite(descriptor, bytes(4096), at)
    finally:
        os.close(descriptor)


def test_on_a_full_disk_the_api_answers_and_what_was_promised_is_there_afterwards(
    small_disk, any_kubectl, load_images, tmp_path
):
    """Its pods are evicted, as anywhere in Kubernetes; the volumes stay."""
    from .conftest import Cluster, purge

    cluster = Cluster(small_disk / "run" / "h", any_kubectl)
    cluster.up()
    try:
        load_images(cluster, "postgres")
        bank = Bank(cluster, "sized", tmp_path)
        bank.open("256Mi")
        ledger.ask(cluster, "bank-0", "sync")  # the image's own start script syncs nothing, and promises nothing
        fill(small_disk / "filler")
        with Asking(cluster):
            cluster.until("the node is short of disk", lambda: has_disk_pressure(cluster))
            time.sleep(3)
        immediate = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "immediate"}}
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
        bank.apply(
            {**immediate, "provisioner": "holdfast.dev/local"},
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "late"},
                "spec": {**claim, "storageClassName": "immediate"},
            },
        )
        cluster.until("who wants a volume is told", lambda: "ResourceExhausted" in told(cluster, "late"))
        (small_disk / "filler").unlink()
        cluster.kill("agents")  # new ones do not wait for five minutes until they believe that there is room
        bank.until_ready()
        assert ledger.check(cluster, bank.ledger) > 0
        cluster.until("it is made", lambda: cluster.get("pvc", "late")["status"]["phase"] == "Bound")
    finally:
        (small_disk / "filler").unlink(missing_ok=True)
        purge(cluster)


@pytest.fixture
def tiny_disk():
    """A disk of 32 MiB in memory, and a function that leaves so many KiB of it free."""
    directory = Path(tempfile.mkdtemp(prefix="hf-disk-"))
    linux.mount("tmpfs", str(directory), "tmpfs", options="size=32m")
    filler = directory / "filler"

    def leave(kib: int | None) -> None:
        filler.unlink(missing_ok=True)
        while kib is not None:
            status = os.statvfs(directory)
            with contextlib.suppress(OSError), filler.open("wb") as file:  # a cluster may write at the same time
                os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - (kib << 10))
                return

    yield directory, leave
    linux.unmount(str(directory))
    directory.rmdir()


def test_a_start_on_a_full_disk_says_so_and_succeeds_once_there_is_room(tiny_disk, any_kubectl):
    """However far it gets: not to the settings, the keys, the database, the first objects."""
    from .conftest import Cluster, purge

    disk, leave = tiny_disk
    cluster = Cluster(disk / "run" / "h", any_kubectl)
    try:
        for free_kib in (0, 8, 80):
            leave(free_kib)
            done = cluster.holdfast("up", "--port", "0", "--no-merge", check=False)
            assert done.returncode == 1
            line = done.stderr.splitlines()[-1]
            assert line.startswith("holdfast: the disk ")
            assert line.endswith("delete something on it, then run the same command again")
        leave(180)
        done = cluster.holdfast("up", "--no-merge", "--wait", "20", check=False)
        told = r"is full \(\d+ KiB are free\): delete something on it; waiting for room"
        assert re.search(told, done.stdout + done.stderr)
        assert "not ready after 20 s: the disk of " in done.stderr
        leave(None)
        cluster.until("it goes on", lambda: cluster.holdfast("up", "--no-merge", check=False).returncode == 0)
        cluster.until(
            "its node is ready", lambda: '"reason": "KubeletReady"' in cluster.kubectl("get", "nodes", "-o", "json")
        )
    finally:
        leave(None)
        purge(cluster)


@pytest.mark.alone  # while it is down, others might take its range of addresses: the next one would have to be noted
def test_a_cluster_whose_daemon_died_or_was_stopped_comes_up_on_a_full_disk(tiny_disk, any_kubectl):
    """Whoever is to make room does it by deleting what is in the cluster."""
    from .conftest import Cluster, purge

    disk, leave = tiny_disk
    cluster = Cluster(disk / "run" / "h", any_kubectl)
    try:
        cluster.up()
        leave(0)
        cluster.kill("daemon")
        cluster.holdfast("up", "--no-merge")
        cluster.kubectl("create", "configmap", "written")
        cluster.holdfast("down")
        leave(0)
        cluster.holdfast("up", "--no-merge")
        cluster.kubectl("delete", "configmap", "written")
    finally:
        leave(None)
        purge(cluster)


def told(cluster, name: str) -> str:
    events = cluster.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return "".join(event["message"] for event in events)


def has_disk_pressure(cluster) -> bool:
    (node,) = cluster.get("nodes")["items"]
    return any(one["type"] == "DiskPressure" and one["status"] == "True" for one in node["status"]["conditions"])


@pytest.mark.alone  # it says how soon
@pytest.mark.skipif(bool(nfs_server.missing()), reason=nfs_server.missing() or "there is one")
def test_a_database_on_a_server_that_dies_can_be_deleted_and_is_whole_when_it_is_back(new_cluster, load_images):
    directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    server = nfs_server.NfsServer(directory, "bank")
    server.start()
    cluster = new_cluster()
    try:
        load_images(cluster, "postgres")
        bank = Bank(cluster, "nfs")
        bank.apply(nfs_server.volume("nfs-bank", server, "bank", persistentVolumeReclaimPolicy="Retain"))
        bank.open("1Gi", grace_s=1, storageClassName="", accessModes=["ReadWriteMany"])
        server.kill()
        with Asking(cluster):
            time.sleep(2)
            uid = cluster.get("pod", "bank-0")["metadata"]["uid"]
            agents = cluster.status()["daemon"]["agents_pid"]
            before = time.monotonic()
            cluster.kubectl("delete", "pod", "bank-0", "--force", "--grace-period=0")
            cluster.until("nothing of the pod is left", lambda: not traces(agents, uid))
            assert time.monotonic() - before < 20  # of which one second is the pod's own, also when it is forced
            time.sleep(2)
        server.start()
        bank.until_ready()
        bank.until_written()
        assert ledger.check(cluster, bank.ledger) > 0
        cluster.kubectl("delete", "sts,pod", "--all")
    finally:
        server.stop()
        shutil.rmtree(directory)


def traces(pid: int, uid: str) -> list[str]:
    """Mounts of that pod, in the agents' view."""
    return [line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if uid in line]
