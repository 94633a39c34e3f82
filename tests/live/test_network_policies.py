"""NetworkPolicies on a real cluster: pods that reach one another, or cannot."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from holdfast.network.pods.masquerade import table_name

from .conftest import Cluster, purge
from .other_machine import Link, OtherMachine
from .web import PYTHON, nft, refuses

PROGRAM = """
import socket, sys, threading

def answer(client):
    with client:
        while data := client.recv(100):
            client.sendall(data)

def serve(port):
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        while True:
            threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

threading.Thread(target=serve, args=(8081,), daemon=True).start()
threading.Thread(target=serve, args=(8080,), daemon=True).start()
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(("::", 5353))
while True:
    data, client = udp.recvfrom(512)
    udp.sendto(data, client)
"""
REACH = """
import concurrent.futures, socket, sys

def reached(where):
    kind, host, port = where.split(",")
    try:
        if kind == "name":
            return bool(socket.getaddrinfo(host, int(port)))
        sort = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, sort) as client:
            client.settimeout(1)
            client.connect(socket.getaddrinfo(host, int(port))[0][4])
            client.send(b"?")
            return kind == "open" or bool(client.recv(1))
    except OSError:
        return False

with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(*[int(each) for each in pool.map(reached, sys.argv[1:])])
"""
HOLD = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 8080), timeout=30) as client:
    while True:
        client.sendall(b"?")
        print(len(client.recv(1)), flush=True)
        time.sleep(0.1)
"""
AT_ONCE = """
import socket, sys, time
until = time.monotonic() + 2
while time.monotonic() < until:
    try:
        socket.create_connection((sys.argv[1], 8080), timeout=0.2).close()
        print("reached", flush=True)
    except OSError:
        pass
print("done", flush=True)
"""


def server(name, namespace="default", **spec):
    container = {
        "name": "main",
        "image": "host",
        "command": [PYTHON, "-c", PROGRAM],
        "ports": [{"name": "web", "containerPort": 8080}, {"name": "talk", "containerPort": 5353, "protocol": "UDP"}],
        "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def only(app):
    return {"podSelector": {"matchLabels": {"app": app}}}


def policy(name, app=None, **spec):
    selected = only(app) if app else {"podSelector": {}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**selected, **spec},
    }


class Pods:
    """Three pods that answer, two of a namespace and one of another, and what reaches what."""

    def __init__(self, kubectl):
        self.link = Link()
        self.cluster = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", kubectl)
        self.cluster.up("--listen", self.link.first, "--ip-families", "IPv4,IPv6")
        self.table = f"{table_name(str(self.cluster.home))}-policies"
        self.four, self.six = {}, {}

    def start(self):
        services = [service("a", 31795), service("b", 31796)]
        other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
        self.make(other, server("a"), server("b"), server("c", "other"), *services)
        for name, namespace in (("a", "default"), ("b", "default"), ("c", "other")):
            self.await_ready(name, namespace)

    def await_ready(self, name, namespace="default"):
        self.cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "--timeout=120s", f"pod/{name}")
        self.four[name], *six = [
            each["ip"] for each in self.cluster.get("pod", "-n", namespace, name)["status"]["podIPs"]
        ]
        self.six[name] = six[0] if six else ""

    def make(self, *items):
        self.cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [*items]})

    def service_of(self, name, namespace="default"):
        return self.cluster.get("service", "-n", namespace, name)["spec"]["clusterIP"]

    def reached(self, name, *where, namespace="default"):
        command = ("exec", "-n", namespace, name, "--", PYTHON, "-c", REACH, *where)
        return [each == "1" for each in self.cluster.kubectl(*command).split()]

    def until_reached(self, name, wanted, namespace="default"):
        """`wanted` says of each place whether it is reached; what changed a moment ago may take one."""
        where, expected, found = list(wanted), list(wanted.values()), []

        def holds():
            found[:] = self.reached(name, *where, namespace=namespace)
            return found == expected

        with contextlib.suppress(AssertionError):
            self.cluster.until("policies", holds, within_s=20)
        assert dict(zip(where, found, strict=True)) == wanted, nft("list", "table", "ip", self.table)

    def is_ready(self, name):
        conditions = self.cluster.get("pod", name)["status"]["conditions"]
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def from_outside(self, host, port):
        done = subprocess.run(
            self.link.inside(PYTHON, "-c", REACH, f"tcp,{host},{port}"), capture_output=True, text=True, check=True
        )
        return done.stdout.strip() == "1"


def service(name, node_port):
    ports = [{"name": "web", "port": 80, "targetPort": "web", "nodePort": node_port}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "NodePort", "selector": {"app": name}, "ports": ports},
    }


@pytest.fixture(scope="module")
def pods(any_kubectl):
    made = Pods(any_kubectl)
    try:
        made.start()
        yield made
    finally:
        purge(made.cluster)
        made.link.remove()


@pytest.fixture(autouse=True)
def no_policies(pods):
    yield
    pods.cluster.kubectl("delete", "networkpolicies", "--all")
    tables = [f"table {family} {pods.table}" for family in ("ip", "ip6")]
    pods.cluster.until("no table", lambda: not any(each in nft("list", "tables") for each in tables))


def tcp(host, port=8080):
    return f"tcp,{host},{port}"


def test_a_pod_that_nobody_may_reach_is_reached_by_the_machine_alone_and_stays_ready(pods):
    a = pods.four["a"]
    pods.until_reached("b", {tcp(a): True, tcp(pods.six["a"]): True, f"udp,{a},5353": True})
    pods.make(policy("deny", "a"))
    ways = (tcp(a), tcp(pods.six["a"]), f"udp,{a},5353", tcp(pods.service_of("a"), 80))
    pods.until_reached("b", dict.fromkeys(ways, False))
    pods.until_reached("c", dict.fromkeys(ways, False), namespace="other")
    pods.until_reached("a", {tcp(pods.four["b"]): True, tcp(pods.six["b"]): True})
    for where, port in ((a, 8080), (pods.six["a"], 8080), ("127.0.0.1", 31795)):
        assert not refuses(where, port), "the machine"
    assert pods.is_ready("a")


def test_peers_and_ports_are_allowed_by_labels_namespaces_and_names(pods):
    from_c = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}, **only("c")}
    pods.make(
        policy("web", "a", ingress=[{"from": [only("b")], "ports": [{"port": "web"}]}]),
        policy("talk", "a", ingress=[{"from": [from_c], "ports": [{"protocol": "UDP", "port": 5353}]}]),
    )
    a, six = pods.four["a"], pods.six["a"]
    ways = (tcp(a), tcp(six), tcp(a, 8081), f"udp,{a},5353", f"udp,{six},5353", tcp(pods.service_of("a"), 80))
    pods.until_reached("b", dict(zip(ways, (True, True, False, False, False, True), strict=True)))
    pods.until_reached("c", dict(zip(ways, (False, False, False, True, True, False), strict=True)), namespace="other")
    pods.cluster.kubectl("label", "pod", "b", "app=x", "--overwrite")
    pods.until_reached("b", dict.fromkeys(ways, False))
    pods.cluster.kubectl("label", "pod", "b", "app=b", "--overwrite")
    pods.until_reached("b", {tcp(a): True})


def test_an_isolated_pod_reaches_names_and_what_it_may_and_nothing_else(pods):
    kubernetes, dns = pods.service_of("kubernetes"), pods.service_of("kube-dns", "kube-system")
    gateway = f"{pods.four['a'].rpartition('.')[0]}.1"
    name = "name,b.default.svc.cluster.local,80"
    ways = {
        name: True,
        tcp(pods.four["b"]): True,
        tcp(pods.service_of("b"), 80): True,
        f"open,{dns},53": True,
        tcp(pods.four["c"]): False,
        f"open,{kubernetes},443": False,
    }
    pods.until_reached("a", dict.fromkeys(ways, True))
    with socket.create_server(("::", 0), family=socket.AF_INET6) as listening:
        on_link = f"open,fe80::1%eth0,{listening.getsockname()[1]}"
        pods.until_reached("a", {on_link: True})
        pods.make(policy("deny", "a", policyTypes=["Egress"]))
        pods.until_reached("a", dict.fromkeys((on_link, *(each for each in ways if each != name)), False))
    to_dns = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }
    pods.make(policy("allow", "a", policyTypes=["Egress"], egress=[to_dns, {"to": [only("b")]}]))
    pods.until_reached("a", {**ways, f"open,{gateway},53": True})
    pods.until_reached("b", {tcp(pods.four["a"]): True, tcp(pods.six["a"]): True})
    port = int(pods.cluster.get("endpoints", "kubernetes")["subsets"][0]["ports"][0]["port"])
    pods.make(policy("api", "a", policyTypes=["Egress"], egress=[{"ports": [{"port": port}]}]))
    pods.until_reached("a", {f"open,{kubernetes},443": True})


def test_both_ends_have_to_allow_it_and_a_pod_reaches_itself_always(pods):
    pods.make(policy("deny", policyTypes=["Ingress", "Egress"]))
    own = {tcp(pods.four["a"]): True, tcp(pods.six["a"]): True, tcp(pods.service_of("a"), 80): True}
    b = tcp(pods.four["b"])
    pods.until_reached("a", {**own, b: False})
    pods.make(policy("out", "a", policyTypes=["Egress"], egress=[{"to": [only("b")]}]))
    pods.until_reached("a", {**own, b: False})
    pods.make(policy("in", "b", ingress=[{"from": [only("a")]}]))
    pods.until_reached("a", {**own, b: True})
    pods.until_reached("b", {tcp(pods.four["a"]): False})


def test_who_comes_by_a_node_port_is_judged_by_its_own_address(pods):
    def outside():
        return pods.from_outside(pods.link.first, 31795)

    pods.cluster.until("the node port", outside)
    pods.make(policy("deny", "a"))
    pods.cluster.until("nobody", lambda: not outside())
    block = {"cidr": pods.link.network, "except": [f"{pods.link.first}/32"]}
    pods.make(policy("link", "a", ingress=[{"from": [{"ipBlock": block}]}]))
    pods.cluster.until("those of the link", outside)
    block = {"cidr": "0.0.0.0/0", "except": [f"{pods.link.second}/32"]}
    pods.make(policy("link", "a", ingress=[{"from": [{"ipBlock": block}]}]))
    pods.cluster.until("everybody but that one", lambda: not outside())
    pods.until_reached("b", {tcp(pods.four["a"]): True})


def test_connections_that_are_there_go_on(pods):
    a = pods.four["a"]
    command = pods.cluster.command("exec", "b", "--", PYTHON, "-c", HOLD, a)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as held:
        try:
            assert held.stdout.readline() == "1\n"
            pods.make(policy("deny", policyTypes=["Ingress", "Egress"]))
            pods.until_reached("b", {tcp(a): False})
            assert [held.stdout.readline() for _ in range(20)] == ["1\n"] * 20
        finally:
            held.terminate()


def test_a_new_pod_is_isolated_before_its_program_starts(pods):
    pods.make(policy("deny", "late", policyTypes=["Ingress", "Egress"]))
    late = server("late", restartPolicy="Never")
    (container,) = late["spec"]["containers"]
    del container["readinessProbe"]
    container["command"] = [PYTHON, "-c", AT_ONCE, pods.four["b"]]
    pods.make(late)
    pods.cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s", "pod/late")
    assert pods.cluster.kubectl("logs", "late") == "done\n"
    pods.cluster.kubectl("delete", "pod", "late", "--now")


def test_rules_outlive_the_agents_and_are_put_back_when_somebody_removes_them(pods):
    a = tcp(pods.four["a"])
    pods.make(policy("deny", "a"))
    pods.until_reached("b", {a: False})
    handle = nft("-a", "list", "table", "ip", pods.table).splitlines()[0]
    nft("delete", "table", "ip", pods.table)
    pods.cluster.until("rules", lambda: handle_of(pods) not in ("", handle))
    pods.until_reached("b", {a: False})
    handle = handle_of(pods)
    pods.cluster.kill("agents")
    assert handle_of(pods) == handle
    pods.cluster.until("the next agents", lambda: handle_of(pods) not in ("", handle))
    pods.cluster.until("a pod that answers", lambda: pods.cluster.kubectl("exec", "b", "--", "true", check=False))
    pods.until_reached("b", {a: False})
    pods.make(policy("deny", "a", ingress=[{"from": [only("b")]}]))
    pods.until_reached("b", {a: True})


def handle_of(pods):
    return next(iter(nft("-a", "list", "table", "ip", pods.table).splitlines()), "")


def test_a_machine_that_has_joined_judges_for_its_own_pods(pods):
    other = OtherMachine(pods.cluster, pods.link)
    try:
        other.join_with_token()
        pods.make(server("far", nodeName="far"))
        pods.await_ready("far")
        here, there = tcp(pods.four["a"]), tcp(pods.four["far"])
        pods.cluster.until("routes", lambda: pods.reached("a", there) == [True])
        pods.make(policy("far", "far", ingress=[{"from": [only("b")]}], egress=[{"to": [only("b")]}]))
        pods.until_reached("b", {there: True})
        pods.until_reached("a", {there: False})
        pods.until_reached("far", {tcp(pods.four["b"]): True, here: False})
        table = f"{table_name(str(other.home.path))}-policies"
        inside = subprocess.run(other.link.inside("nft", "list", "tables"), capture_output=True, text=True)
        assert table in inside.stdout
        assert json.loads(pods.cluster.kubectl("get", "pod", "far", "-o", "json"))["spec"]["nodeName"] == "far"
        pods.cluster.kubectl("delete", "pod", "far", "--now")
        other.purge()
    finally:
        shutil.rmtree(other.home.path.parent, ignore_errors=True)
