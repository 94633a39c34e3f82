"""NFS volumes with a real server: sharing, read-only, failures and what becomes of them (V90-V96, V144, N135)."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nfs_server import NfsServer, claim, missing, volume

from holdfast.cluster.home import Home
from holdfast.cluster.node_parts import host_address
from holdfast.node.volumes.nfs import kernel

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing())]
BY_KERNEL = kernel.knows_nfs() and bool(kernel.helper())
"""The kernel's client, as on an emulated machine (scripts/emulated.py)."""
LET_GO_S = 60 if BY_KERNEL else 20
"""Far less than for ever. The kernel's unmount asks the server first (V94)."""
in_user_space = pytest.mark.skipif(BY_KERNEL, reason="the kernel mounts NFS here")


@pytest.fixture(scope="module")
def server():
    directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    server = NfsServer(directory, "one", "two", "three")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def healthy(server):
    """The server, made to run again however the test leaves it."""
    yield server
    server.stop()
    server.start()


def pod(name, script, *, claim_name="", mount=None, source=None, security=None, **spec):
    reference = source or {"persistentVolumeClaim": {"claimName": claim_name}}
    container = {
        "name": "main",
        "image": "host",
        "command": ["/bin/sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data", **(mount or {})}],
    }
    if security:
        container["securityContext"] = security
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "data", **reference}],
            **spec,
        },
    }


@pytest.fixture(scope="module")
def shared(cluster, server):
    """A volume of the server's for each export, bound to a claim of its name."""
    for name in ("one", "two", "three"):
        share = {"server": server.host, "path": f"/exports/{name}", "readOnly": name == "two"}  # not consulted (V91)
        cluster.kubectl("apply", "-f", "-", manifest=volume(f"nfs-{name}", server, name, nfs=share))
        cluster.kubectl("apply", "-f", "-", manifest=claim(name, f"nfs-{name}"))
    return cluster


@pytest.fixture
def run(shared):
    """Creates pods and waits for them; they are gone afterwards."""
    made = []

    def create(manifest, *, ready=True):
        name = manifest["metadata"]["name"]
        shared.kubectl("apply", "-f", "-", manifest=manifest)
        made.append(name)
        if ready:
            shared.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")
        return lambda *words: shared.kubectl("exec", name, "--", *words)

    yield create
    for name in made:
        shared.kubectl("delete", "pod", name, "--ignore-not-found", "--force", "--grace-period=0", check=False)
    shared.until("every mount is gone", lambda: not mounts_of(shared))


SLEEP = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"


def agents(cluster):
    return cluster.status()["daemon"]["agents_pid"]


def mounts_of(cluster):
    """NFS mounts of the cluster in its agents' mount namespace."""
    table = Path(f"/proc/{agents(cluster)}/mountinfo").read_text()
    return [line for line in table.splitlines() if str(cluster.home) in line and "nfs" in line.partition(" - ")[2]]


def clients(cluster):
    """Pids of the processes that serve mounts."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"holdfast.nfs.mount" in words and str(cluster.home).encode() in words:
            found.append(int(path.parent.name))
    return found


def end(pid):
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    assert select.select([descriptor], [], [], 60)[0]
    os.close(descriptor)


def events(cluster, name):
    listed = cluster.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [(event["type"], event["reason"], event["message"]) for event in listed]


def test_v90_v96_pods_share_a_volume_with_each_other_and_with_the_server(run, server):
    first = run(pod("first", SLEEP, claim_name="one"))
    second = run(pod("second", SLEEP, claim_name="one"))
    first("sh", "-c", "echo written > /data/file")
    assert (server.export("one") / "file").read_text() == "written\n"
    assert second("cat", "/data/file") == "written\n"
    second("sh", "-c", "echo more >> /data/file && mkdir /data/below && ln -s file /data/below/../link")
    assert first("cat", "/data/link") == "written\nmore\n"
    (server.export("one") / "file").write_text("changed on the server\n")
    assert first("cat", "/data/file") == "changed on the server\n"
    kind = first("stat", "-f", "-c", "%T", "/data").strip()
    assert kind in ("nfs", "fuseblk")
    assert f"{server.host}:/exports/one" in first("cat", "/proc/mounts")


def test_v144_one_pods_end_leaves_the_mount_to_the_other_and_the_last_takes_it_away(shared, run, server):
    run(pod("leaver", SLEEP, claim_name="one"))
    stayer = run(pod("stayer", SLEEP, claim_name="one"))
    shared.kubectl("delete", "pod", "leaver")
    stayer("sh", "-c", "echo still > /data/still")
    assert (server.export("one") / "still").read_text() == "still\n"
    shared.kubectl("delete", "pod", "stayer")
    assert mounts_of(shared) == []
    shared.until("its client ends", lambda: not clients(shared))


def test_v76_v91_who_may_only_read(run, server):
    """The container's mount, the claim reference, or an inline volume; not the PersistentVolume's own readOnly."""
    (server.export("two") / "text").write_text("read me\n")
    inline = {"nfs": {"server": server.host, "path": "/exports/two", "readOnly": True}}
    by_mount = pod("by-mount", SLEEP, claim_name="two", mount={"readOnly": True})
    by_claim = pod("by-claim", SLEEP, source={"persistentVolumeClaim": {"claimName": "two", "readOnly": True}})
    writer = run(pod("writer", SLEEP, claim_name="two"))
    for manifest in (by_mount, by_claim, pod("inline", SLEEP, source=inline)):
        reader = run(manifest)
        assert reader("cat", "/data/text") == "read me\n"
        assert "Read-only file system" in reader("sh", "-c", "(echo no > /data/no) 2>&1; true")
    writer("sh", "-c", "echo yes > /data/yes")
    assert (server.export("two") / "yes").read_text() == "yes\n"


def test_v93_the_server_decides_who_may_write_and_fs_group_changes_nothing(run, server):
    (server.export("three") / "private").mkdir()
    os.chmod(server.export("three") / "private", 0o700)
    before = os.stat(server.export("three"))
    security = {"runAsUser": 1027, "runAsGroup": 1028}
    user = run(pod("user", SLEEP, claim_name="three", security=security, securityContext={"fsGroup": 4000}))
    user("sh", "-c", "echo mine > /data/mine")
    found = os.stat(server.export("three") / "mine")
    assert (found.st_uid, found.st_gid) == (1027, 1028)
    assert "Permission denied" in user("sh", "-c", "(echo no > /data/private/no) 2>&1; true")
    after = os.stat(server.export("three"))
    assert (before.st_mode, before.st_gid) == (after.st_mode, after.st_gid)


def test_v106_a_subpath_is_made_on_the_server(run, server):
    below = run(pod("below", SLEEP, claim_name="two", mount={"subPath": "made/here"}))
    below("sh", "-c", "echo deep > /data/deep")
    assert (server.export("two") / "made" / "here" / "deep").read_text() == "deep\n"


def test_a_database_of_sqlite_lives_on_it(run, server):
    code = (
        "import sqlite3\n"
        "for mode in ('delete', 'wal'):\n"
        "    with sqlite3.connect(f'/data/{mode}.db') as db:\n"
        "        db.execute(f'pragma journal_mode={mode}'); db.execute('create table t(a)')\n"
        "        for n in range(50): db.execute('insert into t values (?)', (n,)); db.commit()\n"
        "        print(*db.execute('select count(*) from t'), *db.execute('pragma integrity_check'))\n"
    )
    python = run(pod("python", SLEEP, claim_name="one"))
    assert python("python3", "-c", code).splitlines() == ["(50,) ('ok',)"] * 2


def test_v80_a_server_that_is_not_there_is_told_of_and_the_pod_starts_when_it_appears(shared, run, healthy):
    healthy.stop()
    run(pod("early", SLEEP, claim_name="one"), ready=False)
    run(pod("other", SLEEP, source={"emptyDir": {}}))
    failed = shared.until(
        "the failure is told", lambda: [event for event in events(shared, "early") if event[1] == "FailedMount"]
    )
    kind, _, message = failed[0]
    assert kind == "Warning"
    assert message.startswith('MountVolume.SetUp failed for volume "nfs-one" : mount failed: exit status 32\n')
    assert "\nMounting command: mount\nMounting arguments: -t nfs -o port=" in message
    assert message.rstrip().endswith("Connection refused")
    shared.until("its status says so", lambda: "ContainerCreating" in shared.kubectl("get", "pod", "early"))
    assert mounts_of(shared) == []
    healthy.start()
    shared.kubectl("wait", "pod/early", "--for=condition=Ready", "--timeout=120s")


def test_v95_a_server_behind_a_service_is_found_through_the_clusters_dns(shared, run):
    directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    machine = NfsServer(directory, "named", port=0, host=host_address())
    machine.start()
    service = {"spec": {"clusterIP": "None", "ports": [{"name": "nfs", "port": machine.port}]}}
    endpoints = {"subsets": [{"addresses": [{"ip": machine.host}], "ports": [{"name": "nfs", "port": machine.port}]}]}
    for kind, body in (("Service", service), ("Endpoints", endpoints)):
        manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "nas"}, **body}
        shared.kubectl("apply", "-f", "-", manifest=manifest)
    share = {"server": "nas.default.svc.cluster.local", "path": "/exports/named"}
    shared.kubectl("apply", "-f", "-", manifest=volume("nfs-named", machine, "named", nfs=share))
    shared.kubectl("apply", "-f", "-", manifest=claim("named", "nfs-named"))
    try:
        named = run(pod("named", SLEEP, claim_name="named"))
        named("sh", "-c", "echo found > /data/found")
        assert (machine.export("named") / "found").read_text() == "found\n"
        source = machine.host if BY_KERNEL else "nas.default.svc.cluster.local"  # mount.nfs does not know the name
        assert f"{source}:/exports/named" in named("cat", "/proc/mounts")
    finally:
        shared.kubectl("delete", "pod/named", "pvc/named", "pv/nfs-named", "service/nas", "--ignore-not-found")
        machine.stop()
        shutil.rmtree(directory)


def test_v90_an_option_that_does_not_exist_fails_the_mount(shared, run, server):
    shared.kubectl("apply", "-f", "-", manifest=volume("nfs-odd", server, "one", mountOptions=["frobnicate"]))
    shared.kubectl("apply", "-f", "-", manifest=claim("odd", "nfs-odd"))
    run(pod("odd", SLEEP, claim_name="odd"), ready=False)
    message = shared.until(
        "the failure is told", lambda: [e[2] for e in events(shared, "odd") if e[1] == "FailedMount"]
    )[0]
    assert "an incorrect mount option was specified" in message
    shared.kubectl("delete", "pod", "odd", "--force", "--grace-period=0")
    shared.kubectl("delete", "pvc/odd", "pv/nfs-odd")


def test_a_path_that_is_not_exported_fails_the_mount(shared, run, server):
    shared.kubectl("apply", "-f", "-", manifest=volume("nfs-none", server, "none"))
    shared.kubectl("apply", "-f", "-", manifest=claim("none", "nfs-none"))
    run(pod("none", SLEEP, claim_name="none"), ready=False)
    message = shared.until(
        "the failure is told", lambda: [e[2] for e in events(shared, "none") if e[1] == "FailedMount"]
    )[0]
    assert "failed, reason given by server: No such file or directory" in message
    shared.kubectl("delete", "pod", "none", "--force", "--grace-period=0")
    shared.kubectl("delete", "pvc/none", "pv/nfs-none")


WRITER = """
import hashlib, os, sys, time
sum, file = hashlib.sha256(), open('/data/load', 'wb', 0)
print('writing', flush=True)
worst, until = 0, time.monotonic() + {for_s}
while time.monotonic() < until and worst < 2:
    data = os.urandom(65536); sum.update(data); before = time.monotonic(); file.write(data)
    worst = max(worst, time.monotonic() - before); time.sleep(0.01)
before = time.monotonic(); os.fsync(file.fileno()); worst = max(worst, time.monotonic() - before); file.close()
print('waited', round(worst, 1), sum.hexdigest(), flush=True)
time.sleep(3600)
"""


def test_a_server_killed_under_load_and_back_costs_no_byte(shared, run, healthy):
    """R141: a hard mount."""
    import hashlib

    writer = WRITER.format(for_s=10 if BY_KERNEL else 90)  # until it has been held up
    run(pod("loader", f'exec python3 -c "{writer}"', claim_name="one"))
    shared.until("it writes", lambda: "writing" in shared.kubectl("logs", "loader"))
    time.sleep(2)
    healthy.kill()
    time.sleep(3)
    healthy.start()
    said = shared.until("all is written", lambda: "waited" in (log := shared.kubectl("logs", "loader")) and log)
    waited, digest = said.split()[-2:]
    assert BY_KERNEL or float(waited) > 2  # the kernel takes writes into memory meanwhile
    assert hashlib.sha256((healthy.export("one") / "load").read_bytes()).hexdigest() == digest


def forced_within(cluster, name, seconds):
    """Deletes the pod by force; its processes and mounts must be gone in time."""
    uid = cluster.get("pod", name)["metadata"]["uid"]
    before = time.monotonic()
    cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0")
    cluster.until(f"{name} is gone", lambda: uid not in str(mounts_of(cluster)), within_s=seconds + 10)
    took = time.monotonic() - before
    print(f"{name} took {took:.1f} s")
    assert took < seconds, f"{took:.1f} s"


WRITE = "exec dd if=/dev/zero of=/data/zeros bs=64k"
READ = "touch /data/zeros; while :; do cat /data/zeros; done"


@pytest.mark.alone  # it says how soon
@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_v94_a_dead_server_keeps_neither_the_pod_nor_the_agent(shared, run, healthy, fault):
    run(pod("stuck", READ if BY_KERNEL else WRITE, claim_name="two"))
    shared.until("it writes", lambda: (healthy.export("two") / "zeros").exists())
    if fault == "killed":
        healthy.kill()
    else:
        healthy.signal(signal.SIGSTOP)
    time.sleep(1.5)
    beside = run(pod("beside", SLEEP, source={"emptyDir": {}}))
    assert beside("echo", "alive") == "alive\n"
    shared.kubectl("get", "--raw", f"/api/v1/nodes/{node(shared)}/proxy/stats/summary")
    forced_within(shared, "stuck", LET_GO_S)  # of which one second is the pod's own grace
    shared.until("its client is gone", lambda: not clients(shared))
    assert beside("echo", "alive") == "alive\n"


@in_user_space
@pytest.mark.alone
def test_v94_a_new_container_on_a_dead_server_is_told_of_and_the_pod_can_go(shared, run, healthy):
    run(pod("again", "sleep 2; exit 1", claim_name="two"))
    healthy.signal(signal.SIGSTOP)
    shared.until(
        "the restart is told to fail",
        lambda: any("does not answer" in message for _, _, message in events(shared, "again")),
    )
    forced_within(shared, "again", LET_GO_S)


def node(cluster):
    return cluster.get("nodes")["items"][0]["metadata"]["name"]


def test_an_agent_killed_and_started_again_adopts_the_mount(shared, run, server):
    keeper = run(pod("keeper", SLEEP, claim_name="one"))
    before, old = (mounts_of(shared), clients(shared)), agents(shared)
    shared.kill("agents")
    shared.until("the agents are back", lambda: agents(shared) not in (None, old))
    shared.until("exec works", lambda: shared.kubectl("exec", "keeper", "--", "true", check=False).returncode == 0)
    keeper("sh", "-c", "echo kept > /data/kept")
    assert (server.export("one") / "kept").read_text() == "kept\n"
    assert (mounts_of(shared), clients(shared)) == before
    shared.kubectl("delete", "pod", "keeper")
    shared.until("all is gone", lambda: (mounts_of(shared), clients(shared)) == ([], []))


@in_user_space
def test_r142_a_client_that_dies_is_replaced_and_a_restarted_container_works(shared, run, server):
    script = "trap 'exit 0' TERM; while sleep 0.2; do echo beat >> /data/beat || exit 1; done"
    run(pod("beating", script, claim_name="three", restartPolicy="Always"))
    shared.until("it writes", lambda: (server.export("three") / "beat").exists())
    (pid,) = shared.until("one client", lambda: len(found := clients(shared)) == 1 and found)
    end(pid)
    shared.until("another client serves", lambda: clients(shared) not in ([], [pid]))
    shared.until(
        "the container runs again",
        lambda: (
            shared.get("pod", "beating")["status"]["containerStatuses"][0]["restartCount"] > 0
            and shared.get("pod", "beating")["status"]["containerStatuses"][0]["ready"]
        ),
    )
    beats = len((server.export("three") / "beat").read_text())
    shared.until("it writes", lambda: len((server.export("three") / "beat").read_text()) > beats)


@in_user_space
def test_a_client_started_for_nobody_is_ended_by_the_next_agent(shared, run, server):
    run(pod("holder", SLEEP, claim_name="one"))
    uid = shared.get("pod", "holder")["metadata"]["uid"]
    shared.kubectl("delete", "pod", "holder", "--wait=false")
    shared.kill("agents")
    shared.until("the mounts are gone", lambda: agents(shared) and not mounts_of(shared))
    shared.until("its files are gone", lambda: not (Home(shared.home).node(0) / "pods" / uid).exists())
    shared.until("its client is gone", lambda: not clients(shared))


def test_down_takes_everything_away_although_the_agents_were_killed(new_cluster, server):
    """Where no namespace goes with them, mounts of dead agents would keep the data directory from being removed."""
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=volume("nfs-one", server, "one"))
    cluster.kubectl("apply", "-f", "-", manifest=claim("one", "nfs-one"))
    cluster.kubectl("apply", "-f", "-", manifest=pod("left", SLEEP, claim_name="one"))
    cluster.kubectl("wait", "pod/left", "--for=condition=Ready", "--timeout=120s")
    assert mounts_of(cluster)
    pids = [cluster.status()["daemon"]["pid"], agents(cluster)]
    for pid in pids:  # the daemon first: it would start the agents again
        end(pid)
    cluster.holdfast("down")
    assert clients(cluster) == []
    assert str(cluster.home) not in "".join(Path("/proc/self/mountinfo").read_text().split())


@pytest.mark.parametrize("after_s", [0.1, 0.4, 0.8])
def test_agents_killed_while_mounts_are_made_leave_one_client_for_each_export(shared, run, server, after_s):
    names = [f"crowd-{number}" for number in range(6)]
    exports = ("one", "two", "three")
    for number, name in enumerate(names):
        run(pod(name, SLEEP, claim_name=exports[number % 3]), ready=False)
    time.sleep(after_s)
    old = agents(shared)
    shared.kill("agents")
    shared.until("new agents", lambda: agents(shared) not in (None, old))
    shared.kubectl("wait", *(f"pod/{name}" for name in names), "--for=condition=Ready", "--timeout=120s")
    if not BY_KERNEL:
        shared.until("a client for each export", lambda: len(clients(shared)) == 3)
        assert len(mounts_of(shared)) >= 9  # three shared ones, six of pods; containers' own are elsewhere
    shared.kubectl("delete", *(f"pod/{name}" for name in names))
    shared.until("all is gone", lambda: (mounts_of(shared), clients(shared)) == ([], []))
