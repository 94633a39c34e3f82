"""PostgreSQL under pgbench on every sort of volume: what was acknowledged is there, whatever becomes of the pod.

Volumes of this machine are reached by all of its nodes, as those of a server are: a pod may move.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import ledger
import nfs_server
from bank import ENOUGH, Bank

from holdfast.disks.capability import find_out

API = "snapshot.storage.k8s.io/v1"
BACKINGS = ["directory", "sized", "nfs"]


@pytest.fixture(scope="module")
def cluster(any_kubectl, load_images):
    from .conftest import Cluster, purge

    made = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", any_kubectl)
    made.up("--nodes", "2")
    load_images(made, "postgres")
    yield made
    purge(made)


@pytest.fixture(scope="module")
def server():
    if obstacle := nfs_server.missing():
        pytest.skip(obstacle)
    directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    made = nfs_server.NfsServer(directory, "bank")
    made.start()
    yield made
    made.stop()
    shutil.rmtree(directory)


@pytest.fixture(params=BACKINGS)
def bank(request, cluster):
    backing = request.param
    with tempfile.TemporaryDirectory(prefix="hf-test-") as directory:
        obstacle = find_out(Path(directory)).obstacle
    if backing == "sized" and obstacle:
        pytest.skip(f"volumes with a size: {obstacle}")
    cluster.kubectl("create", "namespace", backing)
    cluster.kubectl("config", "set-context", "--current", f"--namespace={backing}")
    made = Bank(cluster, backing)
    if backing == "nfs":
        server = request.getfixturevalue("server")
        made.apply(nfs_server.volume("nfs-bank", server, "bank", persistentVolumeReclaimPolicy="Retain"))
        made.open("1Gi", storageClassName="", accessModes=["ReadWriteMany"])
    else:
        made.open("512Mi" if backing == "sized" else "1Pi")  # of what the disk cannot hold there is no image
    yield made
    made.close()
    cluster.kubectl("delete", "namespace", backing, "--wait=false")
    cluster.kubectl("uncordon", *(node["metadata"]["name"] for node in cluster.get("nodes")["items"]))


def test_a_database_keeps_what_it_has_promised(bank):
    is_sized = "csi" in volume_of(bank)["spec"]
    assert is_sized == (bank.backing == "sized")
    bank.scale(0)
    bank.scale(1)
    bank.until_written()
    assert ledger.check(bank.cluster, bank.ledger) > 2 * ENOUGH
    move(bank)
    bank.until_written()
    assert ledger.check(bank.cluster, bank.ledger) > 3 * ENOUGH
    {"sized": copied_under_load, "directory": copied_at_rest, "nfs": not_copied}[bank.backing](bank)
    bank.until_written()
    assert ledger.check(bank.cluster, bank.ledger) > 4 * ENOUGH


def volume_of(bank, claim: str = "data-bank-0") -> dict:
    return bank.cluster.get("pv", bank.cluster.get("pvc", claim)["spec"]["volumeName"])


def move(bank) -> None:
    """As a drain does it, while the customer writes."""
    before = bank.node()
    bank.cluster.kubectl("cordon", before)
    bank.cluster.kubectl("delete", "pod", "bank-0")
    bank.until_ready()
    assert bank.node() != before


def copied_under_load(bank) -> None:
    began = time.time()
    bank.apply(snapshot("moment"))
    wait_for_snapshot(bank)
    ready = time.time()
    bank.until_written()
    bank.until_written_down()
    restored(bank)
    bank.held_at("restored-0", began, ready)
    began = time.time()
    bank.cluster.holdfast("fork", "-n", bank.backing, "sts/bank", "copy")
    ready = time.time()
    bank.until_written_down()
    bank.held_at("copy-0", began, ready)


def copied_at_rest(bank) -> None:
    """A snapshot of a plain directory is of no one moment (docs/volumes.md): databases are stopped for it."""
    bank.scale(0)
    stopped = time.time()
    bank.apply(snapshot("moment"))
    wait_for_snapshot(bank)
    bank.cluster.holdfast("fork", "-n", bank.backing, "sts/bank", "copy")
    bank.cluster.kubectl("scale", "sts/copy", "--replicas=1")
    bank.scale(1)
    bank.until_ready("copy")
    bank.until_written()
    bank.until_written_down()
    restored(bank)
    for pod in ("restored-0", "copy-0"):
        bank.held_at(pod, stopped, stopped)


def not_copied(bank) -> None:
    """Upstream's words: the server's own means are for that."""
    bank.apply(snapshot("moment"))
    error = bank.cluster.until(
        "it is refused",
        lambda: (bank.cluster.get("volumesnapshot", "moment").get("status") or {}).get("error", {}).get("message"),
    )
    assert "cannot find CSI PersistentVolumeSource for volume nfs-bank" in error


def snapshot(name: str) -> dict:
    source = {"persistentVolumeClaimName": "data-bank-0"}
    return {"apiVersion": API, "kind": "VolumeSnapshot", "metadata": {"name": name}, "spec": {"source": source}}


def wait_for_snapshot(bank) -> None:
    bank.cluster.until(
        "the snapshot is ready",
        lambda: (bank.cluster.get("volumesnapshot", "moment").get("status") or {}).get("readyToUse"),
    )


def restored(bank) -> None:
    """Another database, on a claim that is filled from the snapshot."""
    size = bank.cluster.get("pvc", "data-bank-0")["spec"]["resources"]["requests"]["storage"]
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "moment"}
    made = next(one for one in ledger.manifests(bank.ledger) if one["kind"] == "StatefulSet")
    made["metadata"]["name"] = "restored"
    labels = {"app": "restored"}
    made["spec"]["selector"]["matchLabels"] = made["spec"]["template"]["metadata"]["labels"] = labels
    (template,) = made["spec"]["volumeClaimTemplates"]
    template["spec"] |= {"resources": {"requests": {"storage": size}}, "dataSource": source}
    bank.apply(made)
    bank.until_ready("restored")
