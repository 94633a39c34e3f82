"""A class that makes directories of an NFS share, as csi-driver-nfs does, against a real server: V97."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nfs_server import NfsServer, missing

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing())]

DRIVER = "nfs.csi.k8s.io"
GROUP = "snapshot.storage.k8s.io"


@pytest.fixture(scope="module")
def server():
    directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    made = NfsServer(directory, "a", "b", port=0)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(directory)


def storage_class(name, server, export="a", mode="Immediate", **parameters):
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": DRIVER,
        "parameters": {"server": server.host, "share": f"/exports/{export}", **parameters},
        "mountOptions": [f"port={server.port}"],
        "volumeBindingMode": mode,
        "allowVolumeExpansion": True,
    }


def claim(name, of_class, size="1Gi", source=None):
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}}
    spec["storageClassName"] = of_class
    if source:
        spec["dataSource"] = source
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def pod(name, claim_name, **spec):
    mounts = [{"name": "data", "mountPath": "/data"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [{"name": "main", "image": "host", "command": ["sleep", "1000"], "volumeMounts": mounts}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}],
            "terminationGracePeriodSeconds": 1,
            **spec,
        },
    }


def apply(cluster, *manifests):
    for manifest in manifests:
        cluster.kubectl("apply", "-f", "-", manifest=manifest)


def bound(cluster, name):
    """The volume's name, once it has one."""
    cluster.until(f"{name} is bound", lambda: cluster.get("pvc", name)["status"]["phase"] == "Bound")
    return cluster.get("pvc", name)["spec"]["volumeName"]


def running(cluster, name):
    cluster.until(f"{name} runs", lambda: cluster.get("pod", name)["status"]["phase"] == "Running")


def events(cluster, name, reason):
    listed = cluster.get("events", "--field-selector", f"involvedObject.name={name},reason={reason}")["items"]
    return [event["message"] for event in listed]


def gone(cluster, kind, name):
    cluster.until(f"{name} is gone", lambda: cluster.kubectl("get", kind, name, "--ignore-not-found") == "")


def test_v97_a_claim_gets_a_directory_which_grows_and_goes_with_it(cluster, server):
    apply(cluster, storage_class("plain", server), claim("first", "plain"))
    volume = bound(cluster, "first")
    made = cluster.get("pv", volume)["spec"]
    assert made["csi"]["driver"] == DRIVER
    assert made["csi"]["volumeHandle"] == f"{server.host}#exports/a#{volume}##"
    assert made["csi"]["volumeAttributes"] == {"server": server.host, "share": "/exports/a", "subDir": volume}
    top = server.export("a") / volume
    assert top.is_dir()
    apply(cluster, pod("writer", "first"), pod("reader", "first"))
    running(cluster, "writer")
    running(cluster, "reader")
    cluster.kubectl("exec", "writer", "--", "sh", "-c", "echo hello > /data/file; sync")
    assert cluster.kubectl("exec", "reader", "--", "cat", "/data/file") == "hello\n"
    assert (top / "file").read_text() == "hello\n"

    grown = '{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}'
    cluster.kubectl("patch", "pvc", "first", "-p", grown)
    cluster.until("it has grown", lambda: cluster.get("pvc", "first")["status"]["capacity"]["storage"] == "3Gi")
    assert cluster.get("pv", volume)["spec"]["capacity"]["storage"] == "3Gi"

    cluster.kubectl("delete", "pod", "writer", "reader")
    cluster.kubectl("delete", "pvc", "first")
    gone(cluster, "pv", volume)
    assert list(server.export("a").iterdir()) == []


def test_v97_sub_directories_by_template_archived_or_kept(cluster, server):
    sub_dir = "${pvc.metadata.namespace}/${pvc.metadata.name}"
    kept = storage_class("kept", server, "b", subDir=sub_dir, onDelete="retain", mountPermissions="0750")
    archived = storage_class("archived", server, "b", subDir="old-${pvc.metadata.name}", onDelete="archive")
    apply(cluster, kept, archived, claim("keep", "kept"), claim("pack", "archived"))
    volumes = [bound(cluster, "keep"), bound(cluster, "pack")]
    handle = cluster.get("pv", volumes[0])["spec"]["csi"]["volumeHandle"]
    assert handle == f"{server.host}#exports/b#default/keep#{volumes[0]}#retain"
    top = server.export("b")
    assert (top / "default/keep").stat().st_mode & 0o777 == 0o750
    (top / "default/keep/file").write_text("kept")
    (top / "old-pack/file").write_text("packed")
    cluster.kubectl("delete", "pvc", "keep", "pack")
    for volume in volumes:
        gone(cluster, "pv", volume)
    assert (top / "default/keep/file").read_text() == "kept"
    assert (top / "archived-old-pack/file").read_text() == "packed"
    assert not (top / "old-pack").exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"quota": "1"}, 'rpc error: code = InvalidArgument desc = invalid parameter "quota" in storage class'),
        ({"share": ""}, "rpc error: code = InvalidArgument desc = share is a required parameter"),
        ({"share": "/nowhere"}, "rpc error: code = Internal desc = mounting"),
    ],
)
def test_v97_what_cannot_be_had_is_told_on_the_claim(cluster, server, parameters, message):
    name = f"wrong-{len(message)}"
    apply(cluster, storage_class(name, server, **parameters), claim(name, name))
    cluster.until("it is told", lambda: events(cluster, name, "ProvisioningFailed"))
    assert events(cluster, name, "ProvisioningFailed")[0].startswith(
        f'failed to provision volume with StorageClass "{name}": {message}'
    )
    cluster.kubectl("delete", "pvc", name)


def test_v97_clones_and_snapshots_have_what_there_was(cluster, server):
    snapshots = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": "packed"},
        "driver": DRIVER,
        "deletionPolicy": "Delete",
    }
    snapshot = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": "then"},
        "spec": {"volumeSnapshotClassName": "packed", "source": {"persistentVolumeClaimName": "origin"}},
    }
    apply(cluster, storage_class("copied", server), snapshots, claim("origin", "copied"))
    volume = bound(cluster, "origin")
    top = server.export("a")
    (top / volume / "sub").mkdir()
    (top / volume / "sub" / "file").write_text("then")
    os.chown(top / volume / "sub" / "file", 123, 456)
    (top / volume / "link").symlink_to("sub/file")
    apply(cluster, snapshot)
    cluster.until("it is taken", lambda: (cluster.get("volumesnapshot", "then").get("status") or {}).get("readyToUse"))
    content = cluster.get("volumesnapshotcontent")["items"][0]
    assert content["spec"]["driver"] == DRIVER
    name = f"snapshot-{cluster.get('volumesnapshot', 'then')['metadata']['uid']}"
    assert content["status"]["snapshotHandle"] == f"{server.host}#exports/a#{name}#{name}#{volume}"
    assert (top / name / f"{volume}.tar.gz").stat().st_size == content["status"]["restoreSize"]

    (top / volume / "sub" / "file").write_text("now")
    from_snapshot = {"kind": "VolumeSnapshot", "name": "then", "apiGroup": GROUP}
    from_claim = {"kind": "PersistentVolumeClaim", "name": "origin"}
    apply(cluster, claim("restored", "copied", source=from_snapshot), claim("clone", "copied", source=from_claim))
    for copy, text in (("restored", "then"), ("clone", "now")):
        made = top / bound(cluster, copy)
        assert (made / "sub" / "file").read_text() == text
        assert (made / "link").readlink() == Path("sub/file")
        status = (made / "sub" / "file").stat()
        assert (status.st_uid, status.st_gid) == (123, 456)
    cluster.kubectl("delete", "volumesnapshot", "then")
    cluster.kubectl("delete", "pvc", "origin", "restored", "clone")
    cluster.until("all is gone", lambda: list(top.iterdir()) == [])


def test_v97_the_pods_group_may_write(cluster, server):
    apply(cluster, storage_class("grouped", server, mode="WaitForFirstConsumer"), claim("shared", "grouped"))
    context = {"runAsUser": 1234, "fsGroup": 4321}
    apply(cluster, pod("member", "shared", securityContext=context))
    running(cluster, "member")
    cluster.kubectl("exec", "member", "--", "sh", "-c", "echo mine > /data/file")
    top = server.export("a") / bound(cluster, "shared")
    assert top.stat().st_gid == 4321
    assert (top / "file").stat().st_uid == 1234
    cluster.kubectl("delete", "pod", "member")
    cluster.kubectl("delete", "pvc", "shared")
    cluster.until("it is gone", lambda: not top.exists())


def workers(server):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"holdfast.nfs.share" in words and str(server.port).encode() in words:
            found.append(path.parent)
    return found


def test_v97_v40_a_claim_deleted_while_the_daemon_was_dead_leaves_no_directory(cluster, server):
    """The server answers late: the directory is made when nobody is there any more to tell of it."""
    apply(cluster, storage_class("late", server))
    server.signal(signal.SIGSTOP)
    apply(cluster, claim("brief", "late"))
    cluster.until("somebody waits for the server", lambda: workers(server))
    # As if it had been made in the moment of the death.
    uid = cluster.get("pvc", "brief")["metadata"]["uid"]
    (server.export("a") / f"pvc-{uid}").mkdir()
    cluster.kill("daemon")
    cluster.until("it has ended", lambda: not workers(server))
    server.signal(signal.SIGCONT)
    cluster.up()
    cluster.kubectl("delete", "pvc", "brief")
    cluster.until("nothing is left", lambda: list(server.export("a").iterdir()) == [])
    cluster.until("no volume is left", lambda: not cluster.get("pv")["items"])
