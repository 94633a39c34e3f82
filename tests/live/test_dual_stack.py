"""A real cluster of both families: pods, services and names over IPv6, and how a cluster comes to have it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys

import dnslib
import pytest

from holdfast.cluster.node_parts import has_ipv6

from .conftest import SEARCH, Cluster, purge
from .web import UDP, WEB, Web, ask_datagram, from_host, names, nft, pod, refuses, service

pytestmark = pytest.mark.skipif(not has_ipv6(), reason="IPv6 is switched off on this machine")

BOTH = ("--ip-families", "IPv4,IPv6")
OUTSIDE = "2001:db8:99::"
SERVE_OUTSIDE = """
import socket
with socket.create_server(("::", 9000), family=socket.AF_INET6) as listening:
    print(flush=True)
    while True:
        connection, client = listening.accept()
        with connection:
            connection.sendall(client[0].encode())
"""


class Dual(Web):
    """The same pods, asked over IPv6."""

    def start(self, *names, **spec):
        nodes = [each["metadata"]["name"] for each in self.cluster.get("nodes")["items"]]
        self.make(*(pod(name, nodeName=node) for name, node in zip(names, nodes, strict=False)))
        self.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{name}" for name in names))
        self.pods = {each["metadata"]["name"]: six_of(each) for each in self.cluster.get("pods")["items"]}

    def service(self, name, ports=WEB, **spec):
        """Its second address, once the kernel knows all of its endpoints."""
        spec = {"ipFamilyPolicy": "RequireDualStack", **spec}
        super().service(name, ports, **spec)
        return self.address_of(name)

    def address_of(self, name):
        found = [each for each in self.cluster.get("service", name)["spec"]["clusterIPs"] if ":" in each]
        return found[0] if found else ""

    def endpoints_of(self, name):
        rules, address = self.rules(), self.address_of(name)
        if not address:
            return set()
        chain = rules.partition(f"chain svc-default/{name}/")[2].partition("\n\t}")[0].replace("-", ":")
        shared = re.findall(rf"\b{re.escape(address)} \. [^\t]* : (\S+) \. \d+", rules)
        return {*shared, *(each for each in self.pods.values() if each in chain)}

    def rules(self):
        return nft("list", "table", "ip6", self.table)


def six_of(pod):
    (found,) = [each["ip"] for each in pod["status"]["podIPs"] if ":" in each["ip"]]
    return found


def in_brackets(address, port=80):
    return f"[{address}]:{port}"


def ip(*arguments):
    subprocess.run(["ip", *arguments], env={"PATH": SEARCH}, check=True, capture_output=True)


@pytest.fixture(scope="module")
def web(any_kubectl, tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("dual") / "h", any_kubectl)
    cluster.up("--nodes", "2", *BOTH)
    made = Dual(cluster)
    made.start("web-0", "web-1")
    yield made
    purge(cluster)


@pytest.fixture(scope="module")
def gateway(web):
    """An address of this machine's: the first node's own among its pods'."""
    (_, six) = web.cluster.get("nodes")["items"][0]["spec"]["podCIDRs"]
    return six.replace("::/64", "::1")


def test_d1_pods_have_an_address_of_each_family_that_pods_and_the_machine_reach(web):
    for node, name in zip(web.cluster.get("nodes")["items"], web.pods, strict=True):
        made = web.cluster.get("pod", name)["status"]
        assert made["podIPs"][0]["ip"] == made["podIP"]
        for range, address in zip(node["spec"]["podCIDRs"], made["podIPs"], strict=True):
            assert address["ip"].startswith(re.split(r"0/24|:/64", range)[0])
    first, second = web.pods.values()
    assert from_host(in_brackets(second, 8080))[0].startswith("web-1 ")
    assert web.from_pod("web-0", in_brackets(second, 8080)) == [f"web-1 {first}"]
    hosts = web.cluster.kubectl("exec", "web-0", "--", "cat", "/etc/hosts")
    assert f"{first}\tweb-0\n" in hosts


def test_d1_a_pod_is_told_its_addresses(web):
    fields = {"IPS": "status.podIPs", "IP": "status.podIP", "HOSTS": "status.hostIPs"}
    made = pod("told")
    (main,) = made["spec"]["containers"]
    main["env"] = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    web.make({**made, "metadata": {"name": "told"}})
    web.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/told")
    lines = web.cluster.kubectl("exec", "told", "--", "env").splitlines()
    told = dict(line.partition("=")[::2] for line in lines)
    status = web.cluster.get("pod", "told")["status"]
    assert told["IPS"] == ",".join(each["ip"] for each in status["podIPs"])
    assert told["IP"] == status["podIPs"][0]["ip"]
    assert told["HOSTS"] == ",".join(each["ip"] for each in status["hostIPs"])
    web.cluster.kubectl("delete", "pod", "told", "--now")


def test_a_pod_is_ready_as_fast_as_with_one_family(web):
    """Nobody waits to see whether somebody else has the address."""
    shown = web.cluster.kubectl("exec", "web-0", "--", "cat", "/proc/net/if_inet6")
    (line,) = [line for line in shown.splitlines() if line.startswith("fd")]
    tentative, failed = 0x40, 0x08
    assert not int(line.split()[4], 16) & (tentative | failed)


@pytest.fixture
def outside():
    """A neighbour of this machine that knows no way to pods; it says who asks."""
    command = ["unshare", "--net", sys.executable, "-c", SERVE_OUTSIDE]
    neighbour = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        neighbour.stdout.readline()
        ip("link", "add", "hftest0", "type", "veth", "peer", "name", "up0", "netns", str(neighbour.pid))
        ip("address", "add", f"{OUTSIDE}1/64", "dev", "hftest0", "nodad")
        ip("link", "set", "hftest0", "up")
        there = ["nsenter", "--net", f"--target={neighbour.pid}"]
        inside = f"ip address add {OUTSIDE}2/64 dev up0 nodad && ip link set up0 up"
        subprocess.run([*there, "sh", "-c", inside], env={"PATH": SEARCH}, check=True)
        yield f"{OUTSIDE}2"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", "hftest0")
        neighbour.kill()
        neighbour.wait()
        neighbour.stdout.close()


def test_d3_what_leaves_the_cluster_is_masqueraded(web, outside):
    ask = f"import socket; print(socket.create_connection(('{outside}', 9000), timeout=20).recv(64).decode())"
    told = web.cluster.kubectl("exec", "web-0", "--", "/usr/bin/python3", "-c", ask)
    assert told.strip() == f"{OUTSIDE}1"


def test_an_address_that_no_pod_has_refuses_at_once(web):
    nobody = f"{web.pods['web-0'].rpartition(':')[0]}:7777"
    assert refuses(nobody)
    told = web.from_pod("web-0", in_brackets(nobody))[0]
    assert "refused" in told.lower(), "and not timed out"


def test_d40_d44_d47_a_cluster_address_leads_to_every_endpoint_from_the_host_and_from_pods(web):
    address = web.service("both")
    assert names(from_host(in_brackets(address), 24)) == {"web-0", "web-1"}
    answers = web.from_pod("web-0", in_brackets(address), 24)
    assert names(answers) == {"web-0", "web-1"}, "a pod reaches itself too (D44)"
    assert f"web-1 {web.pods['web-0']}" in answers, "and others see its own address (D43)"
    first = web.cluster.get("service", "both")["spec"]["clusterIP"]
    assert names(from_host(first, 24)) == {"web-0", "web-1"}


def test_d25_d30_slices_are_of_each_family_and_endpoints_of_the_first(web):
    web.service("slices", ipFamilies=["IPv6", "IPv4"])
    slices = web.cluster.get("endpointslices", "-l", "kubernetes.io/service-name=slices")["items"]
    found = {each["addressType"]: {ip for one in each["endpoints"] for ip in one["addresses"]} for each in slices}
    assert found.keys() == {"IPv4", "IPv6"}
    assert found["IPv6"] == set(web.pods.values())

    def listed():
        subsets = web.cluster.get("endpoints", "slices").get("subsets") or [{}]
        return {each["ip"] for each in subsets[0].get("addresses", ())}

    web.cluster.until("endpoints", lambda: listed() == set(web.pods.values()))


def test_d42_d74_what_has_no_endpoints_and_what_is_no_port_is_refused_at_once(web):
    address = web.service("nobody", selector={"app": "nobody"})
    web.cluster.until("rules", lambda: refuses(address))
    both = web.service("both")
    for where in (in_brackets(address), in_brackets(both, 81)):
        assert all("refused" in line for line in web.from_pod("web-0", where, 20)), "and not timed out"
    assert refuses(both, 81)


def test_d46_a_node_port_answers_on_every_address_of_the_machine_but_its_second_localhost(web, gateway):
    web.service("node-port", [{**WEB[0], "nodePort": 31787}], type="NodePort")
    assert names(from_host(in_brackets(gateway, 31787), 24)) == {"web-0", "web-1"}
    assert names(web.from_pod("web-0", in_brackets(gateway, 31787), 24)) == {"web-0", "web-1"}
    assert refuses("::1", 31787), "at once, so that whoever asks localhost tries the other one"
    assert names(from_host("localhost:31787", 24)) == {"web-0", "web-1"}


def test_d17_a_load_balancer_is_given_what_the_machine_has(web):
    web.service("balanced", [{**WEB[0], "port": 31789}], type="LoadBalancer")

    def ingress():
        return web.cluster.get("service", "balanced")["status"]["loadBalancer"].get("ingress")

    given = [each["ip"] for each in web.cluster.until("addresses", ingress)]
    node = web.cluster.get("nodes")["items"][0]["status"]["addresses"]
    assert given == [each["address"] for each in node if each["type"] == "InternalIP"]
    for address in given:
        where = in_brackets(address, 31789) if ":" in address else f"{address}:31789"
        web.cluster.until("rules", lambda address=address: not refuses(address, 31789))
        assert names(from_host(where, 24)) == {"web-0", "web-1"}


def test_d45_with_affinity_a_client_stays_with_its_endpoint(web):
    address = web.service("affine", sessionAffinity="ClientIP")
    assert len(names(from_host(in_brackets(address), 16))) == 1
    assert len(names(web.from_pod("web-1", in_brackets(address), 16))) == 1


def test_d48_a_flow_of_datagrams_leaves_an_endpoint_that_is_gone(web):
    address = web.service("datagrams", UDP)
    answerer, port = ask_datagram(address, 53)
    other = ({"web-0", "web-1"} - {answerer}).pop()
    web.cluster.kubectl("label", "pod", answerer, "app=other", "--overwrite")
    try:
        web.cluster.until("the flow moves", lambda: ask_datagram(address, 53, port)[0] == other)
    finally:
        web.cluster.kubectl("label", "pod", answerer, "app=web", "--overwrite")
    web.cluster.until("rules", lambda: web.is_routed("datagrams"))


def test_d49_under_local_a_pod_keeps_to_its_node(web):
    address = web.service("local", internalTrafficPolicy="Local")
    for name in web.pods:
        assert names(web.from_pod(name, in_brackets(address), 8)) == {name}


def test_d13_a_service_gains_and_loses_its_second_address(web):
    web.make(service("later", WEB))
    assert web.address_of("later") == ""
    policy = ("patch", "service", "later", "--type=merge", "-p")
    web.cluster.kubectl(*policy, json.dumps({"spec": {"ipFamilyPolicy": "PreferDualStack"}}))
    address = web.address_of("later")
    web.cluster.until("rules", lambda: web.is_routed("later"))
    assert names(from_host(in_brackets(address), 24)) == {"web-0", "web-1"}
    web.cluster.kubectl(*policy, json.dumps({"spec": {"ipFamilyPolicy": "SingleStack"}}))
    web.cluster.until("nothing answers", lambda: address not in web.rules())
    slices = ("endpointslices", "-l", "kubernetes.io/service-name=later")
    web.cluster.until(
        "its slices go", lambda: [s["addressType"] for s in web.cluster.get(*slices)["items"]] == ["IPv4"]
    )


def ask(server, name, type):
    query = dnslib.DNSRecord.question(name, type)
    reply = dnslib.DNSRecord.parse(query.send(server, 53, timeout=10, ipv6=":" in server))
    return sorted(str(record.rdata) for record in reply.rr)


def test_d52_d53_d54_d56_names_have_addresses_of_both_families_and_are_told_over_both(web, gateway):
    address = web.service("named")
    web.make({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "heads"}, "spec": headless()})
    addresses = sorted(web.pods.values())
    for server in (web.cluster.get("nodes")["items"][0]["spec"]["podCIDR"].replace("0/24", "1"), gateway):
        web.cluster.until(
            "the service", lambda server=server: ask(server, "named.default.svc.cluster.local", "AAAA") == [address]
        )
        web.cluster.until("a name", lambda server=server: ask(server, HEADS, "AAAA") == addresses)
        web.cluster.until("the other family", lambda server=server: len(ask(server, HEADS, "A")) == 2)
        label = addresses[0].replace(":", "-")
        assert ask(server, f"{label}.{HEADS}", "AAAA") == [addresses[0]]
        assert ask(server, reverse(address), "PTR") == ["named.default.svc.cluster.local."]
    own = web.cluster.get("service", "kube-dns", "-n", "kube-system")["spec"]
    assert own["ipFamilyPolicy"] == "PreferDualStack"
    for server in own["clusterIPs"]:
        assert ask(server, "named.default.svc.cluster.local", "AAAA") == [address]
    found = web.cluster.kubectl("exec", "web-0", "--", "getent", "ahostsv6", "named")
    assert found.split()[0] == address


HEADS = "heads.default.svc.cluster.local"


def headless():
    return {"clusterIP": "None", "ipFamilyPolicy": "PreferDualStack", "selector": {"app": "web"}, "ports": WEB}


def reverse(address):
    digits = socket.inet_pton(socket.AF_INET6, address).hex()
    return ".".join([*reversed(digits), "ip6", "arpa"])


def test_d4_a_host_port_is_to_be_had_at_both(web, gateway):
    made = pod("ported")
    made["spec"]["containers"][0]["ports"][0]["hostPort"] = 31791
    web.make({**made, "metadata": {"name": "ported"}})
    for address in (gateway, "127.0.0.1"):
        web.cluster.until(f"an answer at {address}", lambda address=address: not refuses(address, 31791))
    web.cluster.kubectl("delete", "pod", "ported", "--now")
    web.cluster.until("nothing answers", lambda: refuses(gateway, 31791))


def test_d2_d51_addresses_and_rules_outlive_the_agents(web):
    address = web.service("both")
    before = [web.cluster.get("pod", name)["status"]["podIPs"] for name in web.pods]
    web.cluster.kill("agents")
    assert names(from_host(in_brackets(address), 24)) == {"web-0", "web-1"}
    web.cluster.until("agents", lambda: web.cluster.status()["daemon"].get("agents_pid"))
    nft("delete", "table", "ip6", web.table)
    web.cluster.until("rules", lambda: web.is_routed("both"))
    assert names(from_host(in_brackets(address), 24)) == {"web-0", "web-1"}
    assert [web.cluster.get("pod", name)["status"]["podIPs"] for name in web.pods] == before


def test_a_cluster_of_one_family_gains_the_second_and_goes_on_with_one_if_told_to(new_cluster):
    cluster = new_cluster()
    settings = cluster.home / "cluster.json"
    Web(cluster).start("web-0")
    spec = {"ipFamilyPolicy": "PreferDualStack", "selector": {"app": "web"}, "ports": WEB}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", manifest=made)

    def addresses():
        """Of the service, and how many the pod has."""
        found = cluster.get("service", "web")["spec"]["clusterIPs"]
        return len(found), len(cluster.get("pod", "web-0")["status"].get("podIPs", ()))

    assert addresses() == (1, 1)
    cluster.holdfast("down")
    old = json.loads(settings.read_text())
    del old["ip_families"]  # as it was before there was a choice
    settings.write_text(json.dumps(old))
    cluster.up()
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/web-0")
    cluster.until("one address", lambda: addresses() == (1, 1))
    cluster.holdfast("down")
    cluster.up(*BOTH)
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/web-0")
    cluster.until("two addresses", lambda: addresses() == (1, 2))
    families = {"spec": {"ipFamilies": ["IPv4", "IPv6"]}}
    cluster.kubectl("patch", "service", "web", "--type=merge", "-p", json.dumps(families))
    assert addresses() == (2, 2)
    first, second = cluster.get("service", "web")["spec"]["clusterIPs"]
    for where in (first, in_brackets(second)):
        cluster.until("rules", lambda where=where: answers(where))
    cluster.holdfast("down")
    cluster.up("--ip-families", "IPv4")
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/web-0")
    cluster.until("one address", lambda: addresses() == (2, 1))
    cluster.until("rules", lambda: answers(first))
    cluster.holdfast("down")
    cluster.up(*BOTH)
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/web-0")
    cluster.until("two addresses again", lambda: addresses() == (2, 2))
    cluster.until("rules", lambda: answers(in_brackets(second)))


def answers(where):
    with contextlib.suppress(OSError):
        return names(from_host(where)) == {"web-0"}


def test_d47_of_two_clusters_at_once_the_machine_reaches_the_services_of_each(new_cluster):
    clusters = [new_cluster(*BOTH), new_cluster(*BOTH)]
    found = []
    for number, cluster in enumerate(clusters):
        made = Web(cluster)
        made.make(pod(f"web-{number}"))
        spec = {"ipFamilyPolicy": "RequireDualStack", "clusterIP": "", "selector": {"app": "web"}, "ports": WEB}
        made.make({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
        cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", f"pod/web-{number}")
        found.append(cluster.get("service", "web")["spec"]["clusterIPs"])
    ranges = [json.loads((cluster.home / "cluster.json").read_text())["service_cidr"] for cluster in clusters]
    assert not set(ranges[0].split(",")) & set(ranges[1].split(","))
    for number, (first, second) in enumerate(found):
        for where in (first, in_brackets(second)):
            clusters[number].until("rules", lambda where=where: responds(where))
            assert names(from_host(where, 8)) == {f"web-{number}"}
    for cluster in clusters:
        api = cluster.get("service", "kubernetes")["spec"]["clusterIP"]
        cluster.until("its own way to its API", lambda api=api: not refuses(api, 443))


def responds(where):
    with contextlib.suppress(OSError):
        return bool(from_host(where))
