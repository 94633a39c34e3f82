"""Snapshots, restores and clones of real volumes: V115-V124, of images and of plain directories."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import on_disk

from holdfast.disks.capability import find_out

API = "snapshot.storage.k8s.io/v1"
IDLE = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"


@pytest.fixture(scope="module", params=["images", "directories"])
def cluster(request, any_kubectl):
    """With volumes that have a size where the machine can, and always with plain directories."""
    from .conftest import Cluster, purge

    with tempfile.TemporaryDirectory(prefix="hf-test-") as directory:
        obstacle = find_out(Path(directory)).obstacle
    if request.param == "images" and obstacle:
        pytest.skip(f"volumes with a size: {obstacle}")
    made = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", any_kubectl)
    made.has_images = request.param == "images"
    made.up(*([] if made.has_images else ["--runtime", "process"]))
    yield made
    purge(made)


@pytest.fixture(autouse=True)
def namespace(cluster, request):
    """Each test in one of its own."""
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:60].strip("-")
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("config", "set-context", "--current", f"--namespace={name}")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def claim(name, size="20Mi", source=None):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if source:
        kind, of = source
        spec["dataSource"] = {"kind": kind, "name": of}
        if kind == "VolumeSnapshot":
            spec["dataSource"]["apiGroup"] = "snapshot.storage.k8s.io"
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def snapshot(name, of="data", **spec):
    source = {"persistentVolumeClaimName": of} if of else {}
    return {
        "apiVersion": API,
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {"source": source, **spec},
    }


def pod(name, of):
    container = {
        "name": "main",
        "image": "host",
        "command": ["sh", "-c", IDLE],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": of}}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def apply(cluster, *manifests):
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def run(cluster, name, of):
    apply(cluster, pod(name, of))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")


def place(cluster, name):
    """The claim's volume as this test can reach it: through the pod, or as a directory."""
    volume = cluster.get("pv", cluster.get("pvc", name)["spec"]["volumeName"])
    return None if cluster.has_images else Path(volume["spec"]["hostPath"]["path"])


def write(cluster, pod_name, of, text):
    if directory := place(cluster, of):
        (directory / "file").write_text(text)
    else:
        cluster.kubectl("exec", pod_name, "--", "sh", "-c", f"printf '{text}' > /data/file")


def read(cluster, pod_name, of):
    if directory := place(cluster, of):
        return (directory / "file").read_text()
    return cluster.kubectl("exec", pod_name, "--", "cat", "/data/file")


def is_ready(cluster, name):
    status = cluster.get("volumesnapshot", name).get("status", {})
    return status if status.get("readyToUse") else None


def phase(cluster, name):
    return cluster.get("pvc", name)["status"]["phase"]


def messages(cluster, reason):
    return [event["message"] for event in cluster.get("events")["items"] if event["reason"] == reason]


def snapshots_on_disk(cluster):
    return on_disk.names(cluster, ".snapshots")


def test_v121_v123_a_snapshot_under_a_running_pod_is_restored_into_another_claim(cluster, namespace):
    apply(cluster, claim("data"))
    run(cluster, "writer", "data")
    write(cluster, "writer", "data", "before")
    apply(cluster, snapshot("snap"))
    status = cluster.until("ready", lambda: is_ready(cluster, "snap"))
    write(cluster, "writer", "data", "after")
    content = cluster.get("volumesnapshotcontent", status["boundVolumeSnapshotContentName"])
    uid = cluster.get("volumesnapshot", "snap")["metadata"]["uid"]
    assert content["metadata"]["name"] == f"snapcontent-{uid}"
    assert content["spec"]["volumeSnapshotRef"]["uid"] == uid
    assert (status["restoreSize"], content["status"]["restoreSize"]) == ("20Mi", 20 << 20)
    assert cluster.get("volumesnapshot", "snap")["spec"]["volumeSnapshotClassName"] == "standard"
    ready = {f"Snapshot {namespace}/snap is ready to use."}
    cluster.until("it is told", lambda: set(messages(cluster, "SnapshotReady")) == ready)
    apply(cluster, claim("restored", "40Mi", ("VolumeSnapshot", "snap")))
    run(cluster, "reader", "restored")
    assert read(cluster, "reader", "restored") == "before"
    assert read(cluster, "writer", "data") == "after"
    assert cluster.get("pvc", "restored")["status"]["capacity"] == {"storage": "40Mi"}  # V123
    if cluster.has_images:
        df = cluster.kubectl("exec", "reader", "--", "df", "-k", "/data").splitlines()[-1].split()
        assert int(df[1]) > 34 * 1024
    handle = content["status"]["snapshotHandle"]
    assert handle in snapshots_on_disk(cluster)
    cluster.kubectl("delete", "volumesnapshot", "snap")
    assert handle not in snapshots_on_disk(cluster)
    content_is_gone = ("get", "volumesnapshotcontent", content["metadata"]["name"])
    cluster.until("its content goes", lambda: cluster.kubectl(*content_is_gone, check=False).returncode)
    assert read(cluster, "reader", "restored") == "before"


def test_v122_a_clone_is_independent_of_its_source(cluster):
    apply(cluster, claim("data"))
    run(cluster, "writer", "data")
    write(cluster, "writer", "data", "before")
    apply(cluster, claim("copy", source=("PersistentVolumeClaim", "data")))
    run(cluster, "reader", "copy")
    write(cluster, "writer", "data", "after")
    assert read(cluster, "reader", "copy") == "before"
    write(cluster, "reader", "copy", "own")
    assert read(cluster, "writer", "data") == "after"
    cluster.until(
        "the source is free again",
        lambda: cluster.get("pvc", "data")["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"],
    )


def test_v43_v121_what_cannot_be_restored_is_told_and_waits(cluster):
    apply(cluster, claim("data"), claim("early", source=("VolumeSnapshot", "snap")), pod("reader", "early"))
    run(cluster, "writer", "data")
    missing = (
        'failed to provision volume with StorageClass "standard": error getting handle for DataSource Type '
        "VolumeSnapshot by Name snap: error getting snapshot snap from api server: "
        'volumesnapshots.snapshot.storage.k8s.io "snap" not found'
    )
    cluster.until("told", lambda: missing in messages(cluster, "ProvisioningFailed"))
    write(cluster, "writer", "data", "data")
    apply(cluster, snapshot("snap"), claim("small", "10Mi", ("VolumeSnapshot", "snap")), pod("other", "small"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=120s")
    assert read(cluster, "reader", "early") == "data"
    cluster.until(
        "told", lambda: [text for text in messages(cluster, "ProvisioningFailed") if "is less than the size" in text]
    )
    assert phase(cluster, "small") == "Pending"  # V43


def test_retained_data_outlives_the_snapshot_and_is_bound_again(cluster, namespace):
    name = f"retain-{'images' if cluster.has_images else 'directories'}"
    apply(
        cluster,
        {
            "apiVersion": API,
            "kind": "VolumeSnapshotClass",
            "metadata": {"name": name},
            "driver": "local.holdfast.dev",
            "deletionPolicy": "Retain",
        },
        claim("data"),
    )
    run(cluster, "writer", "data")
    write(cluster, "writer", "data", "kept")
    apply(cluster, snapshot("snap", volumeSnapshotClassName=name))
    status = cluster.until("ready", lambda: is_ready(cluster, "snap"))
    content = cluster.get("volumesnapshotcontent", status["boundVolumeSnapshotContentName"])
    handle = content["status"]["snapshotHandle"]
    cluster.kubectl("delete", "volumesnapshot", "snap")
    cluster.kubectl("delete", "volumesnapshotcontent", content["metadata"]["name"])
    assert handle in snapshots_on_disk(cluster)
    given = {
        "apiVersion": API,
        "kind": "VolumeSnapshotContent",
        "metadata": {"name": f"{namespace[:30]}-{name}"},
        "spec": {
            "deletionPolicy": "Delete",
            "driver": "local.holdfast.dev",
            "source": {"snapshotHandle": handle},
            "volumeSnapshotRef": {"name": "again", "namespace": namespace},
        },
    }
    again = snapshot("again", "")
    again["spec"]["source"] = {"volumeSnapshotContentName": given["metadata"]["name"]}
    apply(cluster, given, again, claim("restored", source=("VolumeSnapshot", "again")))
    cluster.until("ready", lambda: is_ready(cluster, "again"))
    run(cluster, "reader", "restored")
    assert read(cluster, "reader", "restored") == "kept"
    cluster.kubectl("delete", "volumesnapshot", "again")
    assert handle not in snapshots_on_disk(cluster)


def test_v120_kubectl_shows_upstreams_columns(cluster):
    apply(cluster, claim("data"))
    run(cluster, "writer", "data")
    apply(cluster, snapshot("snap"))
    cluster.until("ready", lambda: is_ready(cluster, "snap"))
    header, row = cluster.kubectl("get", "vs").splitlines()
    names = ["READYTOUSE", "SOURCEPVC", "SOURCESNAPSHOTCONTENT", "RESTORESIZE", "SNAPSHOTCLASS", "SNAPSHOTCONTENT"]
    assert header.split() == ["NAME", *names, "CREATIONTIME", "AGE"]
    assert row.split()[:4] == ["snap", "true", "data", "20Mi"]
    header = cluster.kubectl("get", "vsc").splitlines()[0].split()
    names = ["READYTOUSE", "RESTORESIZE", "DELETIONPOLICY", "DRIVER", "VOLUMESNAPSHOTCLASS", "VOLUMESNAPSHOT"]
    assert header == ["NAME", *names, "VOLUMESNAPSHOTNAMESPACE", "AGE"]
    rows = [line.split()[:3] for line in cluster.kubectl("get", "vsclass").splitlines()]
    assert rows[0] == ["NAME", "DRIVER", "DELETIONPOLICY"]
    assert ["standard", "local.holdfast.dev", "Delete"] in rows
    assert "persistentVolumeClaimName" in cluster.kubectl("explain", "volumesnapshot.spec.source")


def restart(cluster, namespace):
    cluster.kill("daemon")
    cluster.up()
    cluster.kubectl("config", "set-context", "--current", f"--namespace={namespace}")


def test_the_daemon_may_be_killed_at_any_moment_of_taking_and_restoring(cluster, namespace):
    apply(cluster, claim("data"))
    run(cluster, "writer", "data")
    for number in range(4):
        name, restored = f"snap-{number}", f"restored-{number}"
        write(cluster, "writer", "data", f"version {number}")
        apply(cluster, snapshot(name))
        restart(cluster, namespace)
        cluster.until("ready", lambda name=name: is_ready(cluster, name))
        apply(cluster, claim(restored, source=("VolumeSnapshot", name)), pod(f"reader-{number}", restored))
        restart(cluster, namespace)
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/reader-{number}", "--timeout=120s")
        assert read(cluster, f"reader-{number}", restored) == f"version {number}"
        write(cluster, "writer", "data", "it goes on")
    cluster.kubectl("delete", "volumesnapshot", "--all", "--wait=false")
    restart(cluster, namespace)
    cluster.until("all are gone", lambda: not cluster.get("volumesnapshots")["items"])

    def handles():
        contents = cluster.get("volumesnapshotcontents")["items"]
        return {each.get("status", {}).get("snapshotHandle") for each in contents}

    # Those of other tests' namespaces may be on their way.
    cluster.until("none is left over", lambda: set(snapshots_on_disk(cluster)) == handles())
    cluster.until("nothing is half made", lambda: not os.listdir(cluster.home / "volumes" / ".making"))
