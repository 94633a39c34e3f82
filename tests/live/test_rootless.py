"""Real containers for an ordinary user, with and without ids of its own beside the one it has (R70-R76)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from ipaddress import ip_network
from pathlib import Path

import nfs_server
import pytest
from ordinary_user import COUNT, User, UsersCluster

from conftest import PATIENCE_S, SEARCH, Cluster, purge
from holdfast.cluster import address_ranges

sys.path.insert(0, str(Path(__file__).parents[1] / "node" / "images"))

from layers import docker_archive, file, tar

NODE_PORT, UDP_PORT, HOST_PORT = 30817, 30818, 18764


def cannot(user, attempt):
    """Why the user cannot do what the code `attempt` tries; empty if it can."""
    done = subprocess.run(user.command(user.python, "-c", attempt), capture_output=True, text=True)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason is given"])[-1]


ENTER = "from holdfast.world import user_namespace as u; u.enter(); assert u.ids() >= {count}, 'too few ids'"


@pytest.fixture(scope="module", params=["one user", "several users"])
def rootless(request, any_kubectl):
    has_many_ids = request.param == "several users"
    user = User(Path(tempfile.mkdtemp(prefix="hf-user-")), has_many_ids=has_many_ids)
    if reason := cannot(user, ENTER.format(count=COUNT if has_many_ids else 1)):
        shutil.rmtree(user.place)
        pytest.skip(f"user namespaces: {reason}")
    cluster = UsersCluster(user, any_kubectl)
    cluster.has_many_ids = has_many_ids
    cluster.said = cluster.up().stderr
    yield cluster
    cluster.purge()


SERVER = """
echo "$HOSTNAME" > /data/name
exec python3 -m http.server 8080 --directory /data
"""


@pytest.fixture(scope="module")
def web(rootless, statefulset):
    """Two pods behind services, ready."""
    headless, workload = statefulset("web", replicas=2, program=SERVER)["items"]
    container = workload["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"port": 8080}, "periodSeconds": 1}
    container["resources"] = {"limits": {"memory": "200Mi", "cpu": "1"}}
    port = {"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}
    front = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "front"},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [port]},
    }
    for manifest in (headless, front, workload):
        rootless.kubectl("apply", "-f", "-", manifest=manifest)
    rootless.until("web is ready", lambda: rootless.get("sts", "web")["status"].get("readyReplicas") == 2)
    return rootless


def started(cluster):
    """When the container of each pod was started, by the pod's name."""
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        for pod in cluster.get("pods", "-l", "app=web")["items"]
    }


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode().strip()


FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode().strip())"


def inside(cluster, pod, *command):
    return cluster.kubectl("exec", pod, "--", *command).strip()


def test_r71_the_programs_run_as_the_user(web):
    assert inside(web, "web-0", "id", "-u") == "0"
    status = web.user.processes()
    assert any("http.server 8080" in line.replace("\0", " ") for line in status)


CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 8080), timeout=2).close()
    print("reached")
except OSError:
    print("not reached")
"""


def test_network_policies_hold_and_the_machine_reaches_its_pods(web):
    address = web.get("pod", "web-0")["status"]["podIP"]

    def reached():
        return inside(web, "web-1", "python3", "-c", CONNECT, address)

    assert reached() == "reached"
    selected = {"matchLabels": {"statefulset.kubernetes.io/pod-name": "web-0"}}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}}
    web.kubectl("apply", "-f", "-", manifest={**policy, "spec": {"podSelector": selected}})
    web.until("isolated", lambda: reached() == "not reached")
    web.until(
        "both answer", lambda: {fetch(f"http://127.0.0.1:{NODE_PORT}/name") for _ in range(20)} == {"web-0", "web-1"}
    )
    web.kubectl("delete", "networkpolicy", "deny")
    web.until("not isolated any more", lambda: reached() == "reached")


def test_pods_find_one_another_by_name(web):
    address = web.get("pod", "web-1")["status"]["podIP"]
    assert inside(web, "web-0", "getent", "hosts", "web-1.web").split()[0] == address
    assert inside(web, "web-0", "python3", "-c", FETCH, "http://web-1.web:8080/name") == "web-1"
    assert inside(web, "web-0", "hostname", "-f") == "web-0.web.default.svc.cluster.local"
    assert address in web.holdfast("dns", "web-1.web").stdout


def test_services_lead_to_pods_from_pods_and_by_node_port_from_this_machine(web):
    assert inside(web, "web-0", "python3", "-c", FETCH, "http://front/name") in ("web-0", "web-1")
    url = f"http://127.0.0.1:{NODE_PORT}/name"
    assert web.until("the node port answers", lambda: quietly(fetch, url)) in ("web-0", "web-1")


def quietly(function, *arguments):
    with contextlib.suppress(OSError):
        return function(*arguments)
    return None


API = """
import ssl, urllib.request
place = "/var/run/secrets/kubernetes.io/serviceaccount"
context = ssl.create_default_context(cafile=f"{place}/ca.crt")
headers = {"Authorization": f"Bearer {open(f'{place}/token').read()}"}
asked = urllib.request.Request("https://kubernetes.default.svc/version", headers=headers)
print(urllib.request.urlopen(asked, context=context, timeout=60).status)
"""


def test_r73_pods_reach_the_api(web):
    assert inside(web, "web-0", "python3", "-c", API) == "200"


def test_logs_proxy_and_forwarded_ports(web):
    assert "GET /" in web.kubectl("logs", "web-0")
    assert web.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/web-1:8080/proxy/name").strip() == "web-1"
    command = web.command("port-forward", "web-1", ":8080")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        port = forwarding.stdout.readline().split(" -> ")[0].rpartition(":")[2]
        assert fetch(f"http://127.0.0.1:{port}/name") == "web-1"
        forwarding.kill()
    command = web.user.command(
        web.user.python, "-m", "holdfast.cli", "forward", "pod/web-0", ":8080", HOLDFAST_HOME=web.home
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        port = forwarding.stdout.readline().split(" -> ")[0].rpartition(":")[2]
        assert fetch(f"http://127.0.0.1:{port}/name") == "web-0"
        forwarding.kill()


def test_v75_v76_an_image_is_a_volume_and_a_mount_read_only_throughout(rootless):
    archive = docker_archive(rootless.user.home / "contents.tar", [tar(file("word", "kept"))], ["contents:one"])
    os.chown(archive, rootless.user.uid, rootless.user.uid)
    rootless.holdfast("image", "load", str(archive))
    mounts = [
        {"name": "contents", "mountPath": "/contents"},
        {"name": "work", "mountPath": "/work", "readOnly": True, "recursiveReadOnly": "Enabled"},
    ]
    look = "cat /contents/word; touch /contents/x /work/x || echo unchanged"
    container = {"name": "main", "image": "host", "command": ["sh", "-c", look], "volumeMounts": mounts}
    volumes = [{"name": "contents", "image": {"reference": "contents:one"}}, {"name": "work", "emptyDir": {}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shown"}, "spec": spec}
    rootless.kubectl("apply", "-f", "-", manifest=manifest)
    rootless.until("it ends", lambda: rootless.get("pod", "shown")["status"].get("phase") == "Succeeded")
    said = rootless.kubectl("logs", "shown")
    assert said.startswith("kept")
    assert said.count("Read-only file system") == 2
    assert "unchanged" in said


def test_usage_is_told_although_there_are_no_control_groups(web):
    def usage():
        found = json.loads(web.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"))
        return {each["metadata"]["name"] for each in found["items"]} >= {"web-0", "web-1"}

    web.until("the pods are measured", usage)


def test_what_does_not_hold_is_told_by_events_and_by_doctor(web):
    events = web.get("events")["items"]
    (unsupported,) = [e for e in events if e["reason"] == "Unsupported" and e["involvedObject"]["name"] == "web-0"]
    assert "resource limits are not enforced" in unsupported["message"]
    (rootless, *_) = [e for e in web.get("events", "-A")["items"] if e["reason"] == "Rootless"]
    assert "limits of CPU and memory do not hold" in rootless["message"]
    assert ("know one user only" in rootless["message"]) is not web.has_many_ids
    (size, *_) = [e for e in events if e["reason"] == "SizeNotEnforced"]
    assert size["message"].endswith("volumes with a size need root")
    assert "containers run without root: `holdfast doctor` says what that leaves out" in web.said
    found = json.loads(web.holdfast("doctor", "-o", "json").stdout)
    assert (found["runtime"], found["rootless"]) == ("oci", True)
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["subuid"]["ok"] is web.has_many_ids
    assert all(check["ok"] or check["cure"] for check in checks.values())


@pytest.mark.parametrize("victims", [("agents",), ("daemon",), ("agents", "daemon"), ("keeper", "agents", "daemon")])
def test_r71_containers_go_on_whoever_is_killed(web, victims):
    before = started(web)
    for victim in victims:
        if victim == "keeper":
            facts = json.loads((web.home / "run" / "namespaces.lock").read_text())
            os.kill(facts["pid"], 9)
        else:
            web.kill(victim)
    network = ip_network(json.loads((web.home / "cluster.json").read_text())["pod_cidr"])
    another = address_ranges.hold(address_ranges.PODS, network)  # another cluster that starts just now; if it can
    web.up()
    web.until("the agents answer", lambda: quietly_inside(web) == "web-1")
    if another:
        another.close()
    assert started(web) == before
    assert fetch_by_node_port(web) in ("web-0", "web-1")


def quietly_inside(cluster):
    done = cluster.kubectl("exec", "web-0", "--", "python3", "-c", FETCH, "http://web-1.web:8080/name", check=False)
    return done.stdout.strip()


def fetch_by_node_port(cluster):
    url = f"http://127.0.0.1:{NODE_PORT}/name"
    return cluster.until("the node port answers", lambda: quietly(fetch, url))


def pod(name, container, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "host", **container}],
            **spec,
        },
    }


def run_to_end(cluster, manifest):
    """What the pod has printed."""
    name = manifest["metadata"]["name"]
    cluster.kubectl("apply", "-f", "-", manifest=manifest)
    cluster.until(f"{name} has ended", lambda: cluster.get("pod", name)["status"]["phase"] in ("Succeeded", "Failed"))
    printed = cluster.kubectl("logs", name)
    cluster.kubectl("delete", "pod", name)
    return printed


def test_r72_a_pod_runs_as_whom_it_asks_for(rootless):
    script = (
        "id -u; id -g; touch /data/file; stat -c %u /data/file; echo x >> /tmp/x; cat /var/run/secrets/*/*/namespace"
    )
    manifest = pod(
        "other",
        {"command": ["sh", "-c", script], "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        securityContext={"runAsUser": 999, "runAsGroup": 998, "fsGroup": 997},
        volumes=[{"name": "data", "emptyDir": {}}],
        restartPolicy="Never",
    )
    assert run_to_end(rootless, manifest).split() == ["999", "998", "999", "default"]


@pytest.mark.parametrize(
    ("kind", "spec", "script", "printed"),
    [
        ("hostnet", {"hostNetwork": True}, "getent hosts localhost > /dev/null; echo on the node", "on the node"),
        ("hostpid", {"hostPID": True}, "test $(ls -d /proc/[0-9]* 2> /dev/null | wc -l) -gt 10 && echo many", "many"),
        ("hostipc", {"hostIPC": True}, "echo here", "here"),
        ("shared", {"shareProcessNamespace": True}, "cat /proc/1/comm", "pause"),
    ],
)
def test_pods_that_share_namespaces(rootless, kind, spec, script, printed):
    manifest = pod(kind, {"command": ["sh", "-c", script]}, restartPolicy="Never", **spec)
    assert run_to_end(rootless, manifest).strip() == printed


def test_r73_a_host_port_is_open_on_this_machine(rootless):
    command = ["python3", "-m", "http.server", "8000", "--directory", "/etc"]
    container = {"command": command, "ports": [{"containerPort": 8000, "hostPort": HOST_PORT}]}
    rootless.kubectl("apply", "-f", "-", manifest=pod("hostport", container))
    url = f"http://127.0.0.1:{HOST_PORT}/os-release"
    assert "NAME=" in rootless.until("the host port answers", lambda: quietly(fetch, url))
    rootless.kubectl("delete", "pod", "hostport", "--now")
    rootless.until("the host port is closed", lambda: quietly(fetch, url) is None)


ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 7000))
    while True:
        data, client = server.recvfrom(100)
        server.sendto(data.upper(), client)
"""


def test_r73_a_node_port_may_be_for_datagrams(rootless):
    port = {"port": 7000, "protocol": "UDP", "nodePort": UDP_PORT}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "echo"},
        "spec": {"type": "NodePort", "selector": {"app": "echo"}, "ports": [port]},
    }
    server = pod("echo", {"command": ["python3", "-c", ECHO]})
    server["metadata"]["labels"] = {"app": "echo"}
    for manifest in (service, server):
        rootless.kubectl("apply", "-f", "-", manifest=manifest)

    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.sendto(b"hello", ("127.0.0.1", UDP_PORT))
            return client.recv(100)

    assert rootless.until("the pod answers", lambda: quietly(ask)) == b"HELLO"
    rootless.kubectl("delete", "service/echo", "pod/echo", "--now")


def test_etc_of_the_image_host_can_be_changed(rootless):
    script = "echo ordinary:x:500:500::/:/bin/sh >> /etc/passwd && tail -1 /etc/passwd; cat /etc/shadow"
    printed = run_to_end(rootless, pod("etc", {"command": ["sh", "-c", script]}, restartPolicy="Never"))
    assert printed.splitlines()[0] == "ordinary:x:500:500::/:/bin/sh"
    assert "No such file" in printed


def test_r72_postgresql_runs_as_a_user_of_its_own(rootless, build_images):
    (archive,) = build_images("postgres")
    copy = shutil.copy(archive, rootless.user.home / "postgres.tar")
    os.chmod(copy, 0o644)
    rootless.holdfast("image", "load", copy)
    os.unlink(copy)
    container = {
        "image": "postgres",
        "env": [{"name": "POSTGRES_PASSWORD", "value": "x"}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-U", "postgres", "-h", "127.0.0.1"]},
            "periodSeconds": 1,
        },
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql/data"}],
    }
    spec = {"volumes": [{"name": "data", "emptyDir": {}}]}
    if not rootless.has_many_ids:  # then nobody can become another inside: the pod has to begin as the right one
        spec["securityContext"] = {"runAsUser": 999, "runAsGroup": 999}
    rootless.kubectl("apply", "-f", "-", manifest=pod("postgres", container, **spec))
    rootless.until("postgres is ready", lambda: is_ready(rootless, "postgres"), within_s=2 * PATIENCE_S)
    asked = ("psql", "-U", "postgres", "-h", "127.0.0.1", "-Atc", "select 6 * 7")
    assert inside(rootless, "postgres", "env", "PGPASSWORD=x", *asked) == "42"
    owner = (data_of(rootless, "postgres") / "PG_VERSION").stat().st_uid
    assert rootless.user.has(owner) if rootless.has_many_ids else owner == rootless.user.uid
    rootless.kubectl("delete", "pod", "postgres", "--now")


def is_ready(cluster, name):
    statuses = cluster.get("pod", name)["status"].get("containerStatuses") or [{}]
    return statuses[0].get("ready")


def data_of(cluster, name):
    uid = cluster.get("pod", name)["metadata"]["uid"]
    return next(cluster.home.glob(f"nodes/0/pods/{uid}/**/data"))


def test_volumes_with_files_of_other_users_are_copied_and_removed(rootless):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "first"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    source = {"dataSource": {"kind": "PersistentVolumeClaim", "name": "first"}}
    copy = {**claim, "metadata": {"name": "second"}, "spec": {**claim["spec"], **source}}
    owner = "999" if rootless.has_many_ids else "0"
    write = f"mkdir -m 700 /data/d; echo x > /data/d/f; chown -R {owner} /data/d"
    for manifest, name, script in ((claim, "first", write), (copy, "second", "stat -c %u /data/d /data/d/f")):
        rootless.kubectl("apply", "-f", "-", manifest=manifest)
        mounts = [{"name": "data", "mountPath": "/data"}]
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
        container = {"command": ["sh", "-c", script], "volumeMounts": mounts}
        printed = run_to_end(rootless, pod(f"pod-{name}", container, volumes=volumes, restartPolicy="Never"))
    assert printed.split() == [owner, owner]
    kept = set(rootless.home.glob("volumes/pvc-*"))
    made = {rootless.get("pvc", name)["spec"]["volumeName"] for name in ("first", "second")}
    assert made <= {path.name for path in kept}
    rootless.kubectl("delete", "pvc", "first", "second")
    rootless.until("they are gone", lambda: not {p.name for p in rootless.home.glob("volumes/pvc-*")} & made)


def test_volumes_keep_what_was_written_when_all_is_stopped(web):
    web.holdfast("down")
    assert [line for line in web.user.processes() if "holdfast" in line or "conmon" in line or "sleep" in line] == []
    web.up()
    web.until("web is ready again", lambda: web.get("sts", "web")["status"].get("readyReplicas") == 2)
    assert inside(web, "web-1", "cat", "/data/name") == "web-1"


# The way out


@pytest.fixture
def with_a_way_out(any_kubectl):
    user = User(Path(tempfile.mkdtemp(prefix="hf-user-")), has_many_ids=False, devices=["tun"])
    reason = cannot(user, ENTER.format(count=1)) or cannot(user, "open('/dev/net/tun', 'r+b', buffering=0)")
    if shutil.which("slirp4netns", path=SEARCH) is None:
        reason = "slirp4netns is not installed"
    if reason:
        shutil.rmtree(user.place)
        pytest.skip(reason)
    cluster = UsersCluster(user, any_kubectl)
    cluster.up()
    yield cluster
    cluster.purge()


def own_address():
    """Of this machine, on the link by which it reaches others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return probe.getsockname()[0]


def test_r74_pods_reach_others_where_the_device_can_be_opened(with_a_way_out):
    cluster, address = with_a_way_out, own_address()
    script = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 60) as connection:
    print(connection.recv(100).decode())
"""
    with socket.create_server((address, 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"out here")

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        command = ["python3", "-c", script, address, str(server.getsockname()[1])]
        assert run_to_end(cluster, pod("out", {"command": command}, restartPolicy="Never")).strip() == "out here"
        answering.join(60)
    (told, *_) = [e for e in cluster.get("events", "-A")["items"] if e["reason"] == "Rootless"]
    assert "beyond the cluster" not in told["message"]


# NFS


@pytest.fixture
def with_fuse(any_kubectl):
    if reason := nfs_server.missing():
        pytest.skip(reason)
    user = User(Path(tempfile.mkdtemp(prefix="hf-user-")), has_many_ids=False, devices=["fuse"])
    if reason := cannot(user, ENTER.format(count=1)):
        shutil.rmtree(user.place)
        pytest.skip(f"user namespaces: {reason}")
    cluster = UsersCluster(user, any_kubectl)
    cluster.up()
    yield cluster
    cluster.purge()


@pytest.fixture
def export():
    """A server outside of the cluster, and the directory that it exports as /exports/data."""
    place = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    server = nfs_server.NfsServer(place, "data")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(place)


def test_r74_nfs_volumes_work_where_fuse_can_be_opened(with_fuse, export):
    volume = {"name": "data", "nfs": {"server": export.host, "path": "/exports/data"}}
    container = {
        "command": ["sh", "-c", "echo written > /data/file && cat /data/file"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    manifest = pod("nfs", container, volumes=[volume], restartPolicy="Never")
    assert run_to_end(with_fuse, manifest).strip() == "written"
    assert (export.export("data") / "file").read_text() == "written\n"


# Root in name only

LESS = ["setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-all"]


class LessThanRoot(Cluster):
    """Of somebody with the id of root, and less than root's rights."""

    def holdfast(self, *arguments, check=True, within_s=300):
        environment = {**os.environ, "HOLDFAST_HOME": str(self.home)}
        command = [*LESS, sys.executable, "-m", "holdfast.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=within_s)
        assert not check or done.returncode == 0, f"holdfast {arguments}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture
def less_than_root(any_kubectl):
    attempt = subprocess.run([*LESS, "unshare", "-Ur", "true"], capture_output=True, text=True)
    if attempt.returncode:
        pytest.skip(f"user namespaces: {attempt.stderr.strip()}")
    cluster = LessThanRoot(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", any_kubectl)
    cluster.up()
    yield cluster
    purge(cluster)


def test_r70_it_is_the_rights_that_count_and_not_the_user(less_than_root):
    assert json.loads((less_than_root.home / "cluster.json").read_text())["is_rootless"]
    manifest = pod("other", {"command": ["id", "-u"]}, securityContext={"runAsUser": 999}, restartPolicy="Never")
    assert run_to_end(less_than_root, manifest).strip() == "999"


# Nothing at all

SANDBOX = """
echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


@pytest.fixture
def sandboxed(any_kubectl):
    """A cluster of a user who is given nothing: neither rights nor namespaces."""
    before = ["unshare", "-Ur", "sh", "-c", SANDBOX, "sh"]
    user = User(Path(tempfile.mkdtemp(prefix="hf-user-")), has_many_ids=False, before=before)
    if reason := cannot(user, "pass"):
        shutil.rmtree(user.place)
        pytest.skip(f"no such sandbox: {reason}")
    cluster = UsersCluster(user, any_kubectl)
    cluster.said = cluster.up().stderr
    yield cluster
    cluster.purge()


def test_r76_where_nothing_is_given_pods_are_plain_processes(sandboxed):
    sandboxed.kubectl(
        "apply", "-f", "-", manifest=pod("plain", {"command": ["sh", "-c", "echo here; exec sleep 1000"]})
    )
    sandboxed.until("it runs", lambda: sandboxed.get("pod", "plain")["status"]["phase"] == "Running")
    sandboxed.until("it has spoken", lambda: sandboxed.kubectl("logs", "plain").strip() == "here")
    (node,) = sandboxed.get("nodes")["items"]
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("process://")
    assert "pods are plain processes: `holdfast doctor` says what is missing" in sandboxed.said
    told = sandboxed.holdfast("doctor", check=False)
    assert told.returncode == 1
    assert "`holdfast up` falls back to plain processes" in told.stdout
    assert "user.max_user_namespaces" in told.stdout
    assert "Traceback" not in told.stdout + told.stderr


def test_who_insists_on_containers_is_told_what_is_missing(sandboxed):
    sandboxed.holdfast("down")
    refused = sandboxed.holdfast("up", "--port", "0", "--no-merge", "--runtime", "oci", check=False)
    assert refused.returncode == 1
    assert "real containers cannot run here: namespaces (" in refused.stderr
    assert "Traceback" not in refused.stderr
