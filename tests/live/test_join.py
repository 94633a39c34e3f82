"""A further machine joins, works as the first does, comes back after kill -9, and leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from holdfast.cluster.certificates import pair, write_whole
from holdfast.cluster.home import Home
from holdfast.cluster.joining import requests
from holdfast.cluster.lifetimes import lifetime
from holdfast.cluster.signing import sign
from holdfast.controllers.certificates.plan import Order

from .conftest import Cluster, purge
from .other_machine import Link, OtherMachine, run
from .web import ASK, ECHO, PYTHON, WEB, from_host, service

ANTI = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
        ]
    }
}
CONTAINER = {
    "name": "main",
    "image": "host",
    "command": ["sh", "-c", f'echo $(hostname) began >> /data/visits; cat /data/visits; exec {PYTHON} -c "$ECHO"'],
    "env": [{"name": "ECHO", "value": ECHO}],
    "ports": [{"name": "web", "containerPort": 8080}],
    "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}
SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "serviceName": "peers",
        "podManagementPolicy": "Parallel",
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"terminationGracePeriodSeconds": 1, "affinity": ANTI, "containers": [CONTAINER]},
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
            }
        ],
    },
}
HEADLESS = service("peers", WEB, clusterIP="None")
SHARED = service("shared", WEB, type="NodePort")
API = """
import ssl, urllib.request
secrets = "/var/run/secrets/kubernetes.io/serviceaccount"
context = ssl.create_default_context(cafile=f"{secrets}/ca.crt")
request = urllib.request.Request("https://kubernetes.default.svc/api/v1/namespaces/default")
request.add_header("Authorization", "Bearer " + open(f"{secrets}/token").read())
try:
    print(urllib.request.urlopen(request, context=context, timeout=60).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


class Two:
    """The first machine, the other one, and a set with a pod on each."""

    def __init__(self, kubectl):
        self.link = Link()
        self.cluster = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", kubectl)
        self.cluster.up("--listen", self.link.first)
        self.other = OtherMachine(self.cluster, self.link)

    def start(self):
        self.other.join_with_token()
        items = [HEADLESS, SHARED, SET]
        self.cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": items})
        self.cluster.kubectl("rollout", "status", "sts/web", "--timeout=120s")
        pods = self.cluster.get("pods", "-l", "app=web")["items"]
        self.at = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in pods}
        self.address = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}
        self.far = self.at.pop("far")
        (self.near,) = self.at.values()

    def ask(self, pod, where, times=1):
        return self.cluster.kubectl("exec", pod, "--", PYTHON, "-c", ASK, where, str(times)).split("\n")[:-1]

    def volume(self, pod):
        claim = self.cluster.get("pvc", f"data-{pod}")
        return self.cluster.get("pv", claim["spec"]["volumeName"])

    def node(self):
        text = self.cluster.kubectl("get", "node", "far", "--ignore-not-found", "-o", "name")
        return self.cluster.get("node", "far") if text else None


@pytest.fixture(scope="module")
def two(any_kubectl):
    made = Two(any_kubectl)
    try:
        made.start()
        yield made
        made.other.purge()
    finally:
        shutil.rmtree(made.other.home.path.parent, ignore_errors=True)
        purge(made.cluster)
        made.link.remove()


def test_every_pod_reaches_the_other_machines_without_its_address_being_changed(two):
    for asker, asked in ((two.near, two.far), (two.far, two.near)):
        assert two.ask(asker, f"{two.address[asked]}:8080") == [f"{asked} {two.address[asker]}"]


def test_names_are_answered_on_both_machines_each_by_itself(two):
    for asker, asked in ((two.near, two.far), (two.far, two.near)):
        assert two.ask(asker, f"{asked}.peers:8080") == [f"{asked} {two.address[asker]}"]
        gateway = two.address[asker].rpartition(".")[0] + ".1"
        assert f"nameserver {gateway}" in two.cluster.kubectl("exec", asker, "--", "cat", "/etc/resolv.conf")


def test_a_cluster_address_leads_to_both_machines_from_both(two):
    for asker in (two.near, two.far):
        answers = two.ask(asker, "shared", 30)
        assert {answer.split()[0] for answer in answers} == {two.near, two.far}


def test_node_ports_answer_on_both_machines(two):
    port = two.cluster.get("service", "shared")["spec"]["ports"][0]["nodePort"]
    for host in (two.link.first, two.link.second):
        answers = from_host(f"{host}:{port}", 30)
        assert {answer.split()[0] for answer in answers} == {two.near, two.far}


def test_pods_of_the_other_machine_reach_the_api(two):
    assert two.cluster.kubectl("exec", two.far, "--", PYTHON, "-c", API).strip() in ("200", "403")


def test_logs_exec_and_forwarded_ports_reach_the_other_machine(two):
    assert two.cluster.kubectl("logs", two.far).startswith(f"{two.far} began\n")
    assert two.cluster.kubectl("exec", two.far, "--", "hostname").strip() == two.far
    answer = two.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/default/pods/{two.far}:8080/proxy/")
    assert answer.split()[0] == two.far
    metrics = two.cluster.kubectl("get", "--raw", "/api/v1/nodes/far/proxy/metrics/resource")
    assert f'pod="{two.far}"' in metrics


def test_claims_get_volumes_on_the_machine_of_their_pod_and_say_so(two):
    far, near = two.volume(two.far), two.volume(two.near)
    assert any(two.other.home.volumes.iterdir()), "it, or the pool where it is"
    assert two.cluster.kubectl("exec", two.far, "--", "cat", "/data/visits") == f"{two.far} began\n"
    (term,) = far["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["far"]}]
    (term,) = near["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "holdfast.dev/machine", "operator": "DoesNotExist"}]


def test_its_pods_have_what_they_draw_on_and_it_sees_nothing_else(two):
    for name in ("word", "other"):
        two.cluster.kubectl("create", "secret", "generic", name, f"--from-literal=said={name}")
        two.cluster.kubectl("create", "configmap", name, f"--from-literal=shown={name}")
    container = {
        "name": "main",
        "image": "host",
        "command": ["/bin/sh", "-c", "echo $SAID $SHOWN; cat /word/said /word/shown"],
        "env": [
            {"name": "SAID", "valueFrom": {"secretKeyRef": {"name": "word", "key": "said"}}},
            {"name": "SHOWN", "valueFrom": {"configMapKeyRef": {"name": "word", "key": "shown"}}},
        ],
        "volumeMounts": [{"name": "word", "mountPath": "/word"}],
    }
    spec = {
        "nodeName": "far",
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {
                "name": "word",
                "projected": {"sources": [{"secret": {"name": "word"}}, {"configMap": {"name": "word"}}]},
            }
        ],
    }
    two.cluster.kubectl(
        "apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "drawing"}, "spec": spec}
    )
    two.cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s", "pod/drawing")
    assert two.cluster.kubectl("logs", "drawing") == "word word\nwordword"
    as_far = ("--as=system:node:far", "--as-group=system:nodes")
    for kind in ("secret", "configmap"):
        may = two.cluster.kubectl("auth", "can-i", "get", f"{kind}/word", *as_far, check=False).stdout.strip()
        may_not = two.cluster.kubectl("auth", "can-i", "get", f"{kind}/other", *as_far, check=False).stdout.strip()
        assert (may, may_not) == ("yes", "no")
    two.cluster.kubectl(
        "delete", "pod/drawing", *(f"{kind}/{name}" for kind in ("secret", "cm") for name in ("word", "other"))
    )


def test_a_volume_grows_on_the_machine_where_it_is(two):
    if "csi" not in two.volume(two.far)["spec"]:
        pytest.skip("volumes have no size on this machine")
    claim = f"data-{two.far}"
    allowed = {"allowVolumeExpansion": True}
    two.cluster.kubectl("patch", "storageclass", "standard", "-p", json.dumps(allowed))
    two.cluster.kubectl(
        "patch", "pvc", claim, "-p", json.dumps({"spec": {"resources": {"requests": {"storage": "48Mi"}}}})
    )
    two.cluster.until("it has grown", lambda: two.volume(two.far)["spec"]["capacity"]["storage"] == "48Mi")


def test_a_route_that_somebody_removes_is_put_back(two):
    slice = two.cluster.get("node", "far")["spec"]["podCIDR"]
    run("ip", "route", "delete", slice, "via", two.link.second)
    two.cluster.until("the route", lambda: f"{slice} via {two.link.second}" in run("ip", "route").stdout, within_s=20)


def test_status_shows_both(two):
    shown = two.cluster.holdfast("status").stdout
    assert "node far  Ready" in shown
    assert "far" in two.cluster.holdfast("node", "list").stdout


def test_killed_it_is_found_again_with_everything_that_runs(two):
    before = two.cluster.get("pod", two.far)
    pid = two.other.agents_pid()
    os.kill(pid, signal.SIGKILL)
    assert two.ask(two.near, f"{two.address[two.far]}:8080") == [f"{two.far} {two.address[two.near]}"]
    two.other.join()
    assert two.other.agents_pid() != pid
    after = two.cluster.get("pod", two.far)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    assert two.cluster.kubectl("exec", two.far, "--", "hostname").strip() == two.far


USAGES = {"node-far": ("digital signature", "client auth"), "node-far-serving": ("digital signature", "server auth")}


def aged(two, file, now):
    """A pair of that name with 72 seconds left, of 160: `node --join` does not mind for another 18."""
    wanted = requests.Wanted("far", file, "", USAGES[file], names=("far",) if "serving" in file else ())
    key = ec.generate_private_key(ec.SECP256R1())
    since = now - timedelta(seconds=88)
    order = Order(requests._request(key, wanted), USAGES[file], since, since + timedelta(seconds=160))
    encoded = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(two.other.home, file, sign(Home(two.cluster.home), order).encode(), encoded)


def test_its_certificates_are_renewed_while_it_runs(two):
    home = two.other.home
    os.kill(two.other.agents_pid(), signal.SIGKILL)
    for file in USAGES:
        aged(two, file, datetime.now(UTC))
    before = {file: pair(home, file).texts() for file in USAGES}
    two.other.join()
    pid, pod = two.other.agents_pid(), two.cluster.get("pod", two.far)
    assert {file: pair(home, file).texts() for file in USAGES} == before, "that is the agent's business"
    host, _, port = two.node()["metadata"]["annotations"].get("holdfast.dev/agent-address", "").rpartition(":")
    address = (host or two.link.second, int(port or 10250))
    assert ssl.get_server_certificate(address).strip() == before["node-far-serving"][0].strip()
    for file, (certificate, key) in before.items():
        two.cluster.until(file, lambda file=file, old=certificate: pair(home, file).texts()[0] != old, within_s=70)
        assert pair(home, file).texts()[1] != key
        assert lifetime(pair(home, file).certificate.read_bytes()).until > datetime.now(UTC) + timedelta(days=300)
    shown = pair(home, "node-far-serving").texts()[0].strip()
    two.cluster.until("shown", lambda: ssl.get_server_certificate(address).strip() == shown, within_s=5)
    assert two.cluster.kubectl("exec", two.far, "--", "hostname").strip() == two.far
    heard = two.cluster.get("lease", "far", "-n", "kube-node-lease")["spec"]["renewTime"]
    two.cluster.until(
        "its heartbeat",
        lambda: two.cluster.get("lease", "far", "-n", "kube-node-lease")["spec"]["renewTime"] != heard,
        within_s=30,
    )
    assert two.other.agents_pid() == pid
    assert two.cluster.get("pod", two.far)["status"]["containerStatuses"] == pod["status"]["containerStatuses"]


def test_it_leaves_its_pods_go_and_its_volumes_wait_for_it(two):
    slice = two.node()["spec"]["podCIDR"]
    told = two.other.holdfast("down").stdout
    assert "far has left" in told
    assert two.node() is None
    two.cluster.until("the route", lambda: slice not in run("ip", "route").stdout)
    assert slice.rpartition(".")[0] not in two.other.routes()
    (refused,) = two.ask(two.near, f"{two.address[two.far]}:8080")
    assert "Connection refused" in refused, "where nobody is, nobody is waited for"
    two.other.join()
    two.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", f"pod/{two.far}")
    assert two.cluster.get("pod", two.far)["spec"]["nodeName"] == "far", "its volume is there"
    assert two.cluster.kubectl("logs", two.far).startswith(f"{two.far} began\n" * 2)
    if "csi" in two.volume(two.far)["spec"]:
        size = two.cluster.kubectl("exec", two.far, "--", "df", "--output=size", "-m", "/data").split()[-1]
        assert 24 < int(size) <= 48, "what it grew by, it has by now"


def test_its_volumes_are_reclaimed_there(two):
    name = two.volume(two.far)["metadata"]["name"]
    two.cluster.kubectl("delete", "sts/web")
    two.cluster.until("the volume", lambda: name not in two.cluster.kubectl("get", "pv", "-o", "name"))
