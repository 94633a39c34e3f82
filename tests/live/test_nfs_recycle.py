"""What becomes of released NFS volumes on a real server (V53-V58, X3.8, X3.9)."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nfs_server import NfsServer, claim, missing
from nfs_server import volume as nfs_volume

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture
def serve():
    """Makes servers."""
    made = []

    def make(*names, **options):
        directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
        server = NfsServer(directory, *names, port=0, **options)
        made.append((server, directory))
        server.start()
        return server

    yield make
    for server, directory in made:
        server.stop()
        shutil.rmtree(directory)


def volume(name, server, export, persistentVolumeReclaimPolicy="Recycle", **spec):  # noqa: N803 - as the API has it
    return nfs_volume(name, server, export, persistentVolumeReclaimPolicy=persistentVolumeReclaimPolicy, **spec)


@pytest.fixture
def release(cluster):
    """Makes a volume, binds it to a claim and deletes the claim."""
    made = []

    def bind_and_release(manifest):
        name = manifest["metadata"]["name"]
        made.append(name)
        cluster.kubectl("apply", "-f", "-", manifest=manifest)
        cluster.kubectl("apply", "-f", "-", manifest=claim(name, name))
        cluster.until("it is bound", lambda: status(cluster, name)["phase"] == "Bound")
        cluster.kubectl("delete", "pvc", name)

    yield bind_and_release
    for name in made:
        cluster.kubectl("delete", "pv", name, "--ignore-not-found")


def status(cluster, name):
    return cluster.get("pv", name)["status"]


def events(cluster, name):
    listed = cluster.get("events", "-A", "--field-selector", f"involvedObject.name={name}")["items"]
    return [(event["type"], event["reason"], event["message"]) for event in listed]


def test_v55_everything_goes_but_the_root(cluster, serve, release):
    server = serve("full")
    top = server.export("full")
    os.chmod(top, 0o2770)
    os.chown(top, 1234, 5678)
    for path in ("plain", ".hidden", "a/b/c/deep", "a/.also hidden", "with\nnewline", "ünïcode"):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text("x")
    for number in range(300):
        (top / "a" / f"many-{number}").touch()
    outside = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    (outside / "kept").write_text("kept")
    (top / "link").symlink_to(outside)
    (top / "a" / "fifo-less").symlink_to("nowhere")
    before = os.stat(top)
    release(volume("full", server, "full"))
    cluster.until("it is available", lambda: status(cluster, "full")["phase"] == "Available")
    assert list(top.iterdir()) == []
    after = os.stat(top)
    assert (before.st_ino, before.st_mode, before.st_uid, before.st_gid) == (
        after.st_ino,
        after.st_mode,
        after.st_uid,
        after.st_gid,
    )
    assert (outside / "kept").read_text() == "kept"
    shutil.rmtree(outside)
    recycled = ("Normal", "VolumeRecycled", "Volume recycled")
    cluster.until("its event", lambda: recycled in events(cluster, "full"))


def test_x3_9_root_squash_fails_the_volume_until_an_admin_helps(cluster, serve, release):
    server = serve("squashed", squash="Root_squash")
    top = server.export("squashed")
    (top / "data").write_text("untouched")
    os.chmod(top, 0o755)
    release(volume("squashed", server, "squashed"))
    cluster.until("it has failed", lambda: status(cluster, "squashed")["phase"] == "Failed")
    assert status(cluster, "squashed")["message"] == "Recycle failed: Permission denied"
    failed = ("Warning", "VolumeFailedRecycle", "Recycle failed: Permission denied")
    cluster.until("its event", lambda: failed in events(cluster, "squashed"))
    assert (top / "data").read_text() == "untouched"
    os.chmod(top, 0o777)
    cluster.until("it is available", lambda: status(cluster, "squashed")["phase"] == "Available")
    assert "message" not in status(cluster, "squashed")
    assert list(top.iterdir()) == []


def test_a_server_that_is_away_fails_the_volume_and_is_asked_again(cluster, serve, release):
    server = serve("away")
    (server.export("away") / "data").write_text("x")
    server.kill()
    release(volume("away", server, "away"))
    cluster.until("it has failed", lambda: status(cluster, "away")["phase"] == "Failed")
    assert status(cluster, "away")["message"] == "Recycle failed: Connection refused"
    server.start()
    cluster.until("it is available", lambda: status(cluster, "away")["phase"] == "Available")
    assert list(server.export("away").iterdir()) == []


def recyclers(server):
    return [
        path.parent
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"holdfast.nfs.scrub" in (words := read(path)) and str(server.port).encode() in words
    ]


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_recycler_ends_with_the_daemon_and_the_next_one_begins_anew(cluster, serve, release):
    """Were it to go on alone, it would delete what the volume's next user writes."""
    server = serve("slow")
    (server.export("slow") / "data").write_text("x")
    server.signal(signal.SIGSTOP)
    release(volume("slow", server, "slow"))
    cluster.until("a recycler waits for the server", lambda: recyclers(server))
    assert status(cluster, "slow")["phase"] == "Released"
    cluster.kill("daemon")
    cluster.until("it is gone", lambda: not recyclers(server))
    cluster.up()
    server.signal(signal.SIGCONT)
    cluster.until("it is available", lambda: status(cluster, "slow")["phase"] == "Available")
    assert list(server.export("slow").iterdir()) == []


def test_v54_v58_policy_delete_has_no_deleter_and_a_changed_policy_counts_at_release(cluster, serve, release):
    server = serve("kept")
    (server.export("kept") / "data").write_text("kept")
    release(volume("kept", server, "kept", persistentVolumeReclaimPolicy="Delete"))
    cluster.until("it has failed", lambda: status(cluster, "kept")["phase"] == "Failed")
    assert "no deletable volume plugin matched" in status(cluster, "kept")["message"]
    assert (server.export("kept") / "data").read_text() == "kept"
    cluster.kubectl("patch", "pv", "kept", "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}')
    release(volume("retained", server, "kept", persistentVolumeReclaimPolicy="Retain"))
    cluster.until("it is released", lambda: status(cluster, "retained")["phase"] == "Released")
    assert (server.export("kept") / "data").read_text() == "kept"
