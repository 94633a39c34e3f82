"""A real cluster with real containers, driven by real kubectls. Needs root and the container tools."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import debian_registry
from tests.clients.kubectls import old_and_new

from holdfast.cluster.home import Home
from holdfast.cluster.node_parts import control_group
from holdfast.network.pods.masquerade import table_name

TOOLS = ("crun", "conmon", "nft")
SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
CACHE = Path(__file__).parents[2] / ".cache"
IMAGES = Path(__file__).parents[2] / "images"
PATIENCE_S = 120
"""For what takes seconds: a machine that others keep busy needs many times that."""
LONGEST = (
    "test_kubectl_stateful_sets.py",
    "test_rootless.py",
    "test_kubectl_describe.py",
    "test_kubectl_workloads.py",
    "test_lessons.py",
    "test_real_data.py",
    "test_patroni.py",
    "test_snapshots.py",
    "test_storage_faults.py",
    "test_nfs_tutorial.py",
    "test_nfs.py",
    "test_tutorials.py",
    "test_sized_volumes.py",
    "test_dual_stack.py",
    "test_recovery.py",
    "test_set_snapshots.py",
)
"""Files that take minutes: they begin first, so that no worker is still at one when the others have nothing left."""


def missing():
    """Why containers cannot be run here; empty if they can."""
    if os.geteuid() != 0:
        return "containers need root"
    absent = [tool for tool in TOOLS if shutil.which(tool, path=SEARCH) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def pytest_collection_modifyitems(items):
    reason = missing()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.live)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


class Cluster:
    """One data directory and what runs on it."""

    def __init__(self, home, kubectl):
        self.home = home
        self._kubectl = kubectl

    def holdfast(self, *arguments, check=True, within_s=300):
        environment = {**os.environ, "HOLDFAST_HOME": str(self.home)}
        command = [sys.executable, "-m", "holdfast.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=within_s)
        assert not check or done.returncode == 0, f"holdfast {arguments}: {done.stdout}{done.stderr}"
        return done

    def up(self, *arguments):
        return self.holdfast("up", "--port", "0", "--no-merge", *arguments)

    def command(self, *arguments, kubectl=None):
        return [str(kubectl or self._kubectl), "--kubeconfig", str(self.home / "kubeconfig"), *arguments]

    def kubectl(self, *arguments, kubectl=None, manifest=None, check=True):
        """Output of a kubectl command; `manifest` is given on standard input."""
        text = None if manifest is None else manifest if isinstance(manifest, str) else json.dumps(manifest)
        environment = {**os.environ, "KUBECACHEDIR": str(self.home) + "-cache", "HOME": str(self.home) + "-cache"}
        done = subprocess.run(
            self.command(*arguments, kubectl=kubectl),
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not check or done.returncode == 0, f"kubectl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout if check else done

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def status(self):
        return json.loads(self.holdfast("status", "-o", "json").stdout)

    def kill(self, process):
        """kill -9 of the `daemon` or the `agents`; returns when it is gone."""
        pid = self.status()["daemon"]["pid" if process == "daemon" else "agents_pid"]
        descriptor = os.pidfd_open(pid)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        ended, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        os.close(descriptor)
        assert ended, f"{process} {pid} is still there"

    def until(self, what, holds, within_s=PATIENCE_S):
        deadline = time.monotonic() + within_s
        while not (found := holds()):
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}\n{self.picture()}"
            time.sleep(0.1)
        return found

    def picture(self):
        """What there is, for a failed assertion."""
        return self.kubectl("get", "pods,sts,pvc,events", "-A", check=False).stdout


def purge(cluster):
    """Removes a cluster, and makes sure that nothing of it is left on the machine."""
    networks = json.loads((cluster.home / "cluster.json").read_text())["pod_cidr"].split(",")
    cluster.holdfast("down", "--purge")
    shutil.rmtree(cluster.home.parent, ignore_errors=True)
    deadline = time.monotonic() + GONE_WITHIN_S
    while left := left_behind(cluster.home, networks):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


GONE_WITHIN_S = 20
"""The kernel lets go of some things a moment after who had them is gone."""


def left_behind(home, networks):
    """Mounts, loop devices, processes, routes, addresses, tables and groups of a cluster that should be gone."""
    others = ranges_of_others(home)
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(home) in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(home).encode() in path.read_bytes():
                found.append(path.read_bytes().decode())
        except OSError:
            continue
    listed = [f" {line}" for command in ROUTED for line in run(*command)]
    others |= ranges_of_others(home)
    beginnings = [f" {each.removesuffix('0.0/16').removesuffix(':/56')}" for each in networks if each not in others]
    found += [line for line in listed if any(each in line for each in beginnings)]
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # another cluster's, which goes
            found += [line for line in path.read_text().splitlines() if str(home) in line]
    found += [line for line in run("nft", "list", "tables") if table_name(str(home)) in line]
    return found + glob.glob(f"/sys/fs/cgroup/**/{control_group(Home(home), 0)}", recursive=True)


ROUTED = (("ip", "route"), ("ip", "-6", "route"), ("ip", "-o", "address"))


def ranges_of_others(home):
    """Ranges of pods that clusters of other tests have, who may have taken one as soon as it was given up.

    Those that are held, and those that rules are for: the processes of a cluster may have been killed.
    """
    held = re.findall(r"@holdfast-pods-(\S+)", Path("/proc/net/unix").read_text())
    tables = [re.fullmatch(r"table (ip6?) (holdfast-[0-9a-f]{8})", line) for line in run("nft", "list", "tables")]
    others = [table.groups() for table in tables if table and table[2] != table_name(str(home))]
    rules = "\n".join(line for table in others for line in run("nft", "list", "table", *table))
    return {*held, *re.findall(r"ip6? saddr (\S+) .* masquerade", rules)}


def hear_interrupts():
    """For a child, before it begins: tests that a shell runs in the background ignore Control-C, and so would it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(*command):
    """The lines that it prints."""
    return subprocess.run(command, env={"PATH": SEARCH}, capture_output=True, text=True).stdout.splitlines()


@contextlib.contextmanager
def fetching():
    """One worker at a time asks apt, whatever for: it refuses a second one."""
    with (CACHE / "apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def debian_kubectl():
    """Debian's kubectl (1.20 on bookworm), unpacked beside whatever kubectl the machine has."""
    program = CACHE / "kubectl-debian" / "usr" / "bin" / "kubectl"
    program.parents[2].mkdir(parents=True, exist_ok=True)
    with fetching():
        if not program.exists():
            fetch = (
                "apt-get update -qq && apt-get download -qq kubernetes-client && dpkg-deb -x kubernetes-client*.deb ."
            )
            done = subprocess.run(fetch, shell=True, cwd=program.parents[2], capture_output=True, text=True)
            if not program.exists():
                pytest.skip(f"Debian's kubernetes-client cannot be had: {done.stderr[-200:]}")
    return program


@pytest.fixture(scope="session")
def any_kubectl(request):
    """The machine's kubectl, else Debian's."""
    return Path(shutil.which("kubectl") or request.getfixturevalue("debian_kubectl"))


@pytest.fixture(scope="session")
def kubectls(request):
    """Name to program: one that is old, one that is new."""
    found = {parameter.id: parameter.values[0] for parameter in old_and_new()}
    return {name: request.getfixturevalue(each) if isinstance(each, str) else each for name, each in found.items()}


@pytest.fixture
def new_cluster(any_kubectl):
    """Makes clusters; every one is purged, and must leave nothing behind."""
    made = []

    def make(*arguments):
        cluster = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", any_kubectl)
        made.append(cluster)
        cluster.up(*arguments)
        return cluster

    yield make
    for cluster in made:
        purge(cluster)


@pytest.fixture(scope="module")
def cluster(any_kubectl):
    """One cluster for a file's tests, which use namespaces of their own."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", any_kubectl)
    cluster.up()
    yield cluster
    purge(cluster)


@pytest.fixture(scope="session")
def build_images(tmp_path_factory):
    """A function that builds images from Debian's packages, once in a run, and tells where their archives are."""
    own = tmp_path_factory.getbasetemp()
    built = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "images"
    built.mkdir(exist_ok=True)

    def build(*names):
        with (built / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one worker builds, the others wait
            return build_missing(*names)

    def build_missing(*names):
        missing = [name for name in names if not (built / name).exists()]
        if missing:
            command = [sys.executable, str(IMAGES / "build.py"), *missing, "--output", str(CACHE / "images")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if done.returncode == 1 and "apt-get" in done.stderr:
                pytest.skip(f"Debian's packages cannot be had: {done.stderr[-500:]}")
            assert done.returncode == 0, done.stdout + done.stderr
            for name, archive in zip(missing, done.stdout.split(), strict=True):
                (built / name).symlink_to(archive)
        return [(built / name).resolve() for name in names]

    return build


@pytest.fixture(scope="session")
def load_images(build_images):
    """A function that loads images into a cluster."""

    def load(cluster, *names):
        return cluster.holdfast("image", "load", *map(str, build_images(*names))).stdout

    return load


PROGRAM = """
trap 'exit 0' TERM
echo visit >> /data/visits
echo "$(hostname) visit $(wc -l < /data/visits)"
while :; do sleep 3600 & wait $!; done
"""


@pytest.fixture(scope="session")
def statefulset():
    """Makes manifests; `statefulset.program` is what the pods run unless told otherwise."""
    make_set.program = PROGRAM
    return make_set


def make_set(name, replicas=3, program=PROGRAM, **spec):
    """A set of the `host` image, each pod with a claim, and its headless service."""
    container = {
        "name": "main",
        "image": "host",
        "command": ["/bin/sh", "-c", program],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": [{"name": "web", "port": 80}]},
    }
    workload = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
            **spec,
        },
    }
    return {"apiVersion": "v1", "kind": "List", "items": [service, workload]}


@pytest.fixture(scope="session")
def registry_program():
    """Debian's docker-registry."""
    CACHE.mkdir(exist_ok=True)
    with fetching():
        try:
            return debian_registry.program(CACHE)
        except OSError as error:
            pytest.skip(str(error))
