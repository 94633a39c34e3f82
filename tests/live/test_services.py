"""Services on a real cluster: what reaches what, from pods and from the machine (D40-D48, R91)."""

from __future__ import annotations

import json
import socket
import statistics
import time
import urllib.error
from pathlib import Path

import dnslib
import pytest

from .web import PYTHON, UDP, WEB, Web, ask_datagram, ask_or_not, from_host, names, nft, pod, refuses, service


@pytest.fixture(scope="module")
def web(cluster):
    made = Web(cluster)
    made.start("web-0", "web-1")
    return made


def refusal_s(address, port=80, times=20):
    """How long it takes to be refused, most of the time; always, and not until one gives up."""
    waits = []
    for _ in range(times):
        begin = time.monotonic()
        with pytest.raises(ConnectionRefusedError), socket.create_connection((address, port), timeout=20):
            pass
        waits.append(time.monotonic() - begin)
    return statistics.median(waits)


def test_d40_d47_a_cluster_address_leads_to_every_endpoint_from_the_host_and_from_pods(web):
    address = web.service("both")
    assert names(from_host(f"{address}:80", 24)) == {"web-0", "web-1"}
    answers = web.from_pod("web-0", f"{address}:80", 24)
    assert names(answers) == {"web-0", "web-1"}, "a pod reaches itself too (D44)"
    assert f"web-1 {web.pods['web-0']}" in answers, "and others see its own address (D43)"


def test_d42_d74_what_has_no_endpoints_and_what_is_no_port_is_refused_at_once(web):
    address = web.service("nobody", selector={"app": "nobody"})
    both = web.service("both")
    web.cluster.until("rules", lambda: refuses(address))
    assert refusal_s(address) < 1
    assert refusal_s(both, 81) < 1
    for where in (f"{address}:80", f"{both}:81"):
        assert all("refused" in line for line in web.from_pod("web-0", where, 20)), "and not timed out"


def test_d46_a_node_port_answers_on_the_machines_address_and_on_localhost(web):
    web.service("node-port", [{**WEB[0], "nodePort": 31777}], type="NodePort")
    node = web.cluster.get("nodes")["items"][0]
    address = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    for where in (address, "127.0.0.1"):
        assert names(from_host(f"{where}:31777", 24)) == {"web-0", "web-1"}
    assert names(web.from_pod("web-0", f"{address}:31777", 24)) == {"web-0", "web-1"}
    assert "refused" in web.from_pod("web-0", "127.0.0.1:31777")[0], "a pod's localhost is its own"


def test_d4_a_host_port_leads_to_its_pod_and_goes_with_it(web):
    program = "import http.server; http.server.test(HandlerClass=http.server.SimpleHTTPRequestHandler, port=8000)"
    container = {
        "name": "main",
        "image": "host",
        "command": ["/usr/bin/python3", "-c", program],
        "ports": [{"containerPort": 8000, "hostPort": 31790}],
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    web.make({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ported"}, "spec": spec})
    node = web.cluster.get("nodes")["items"][0]
    address = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    for where in (address, "127.0.0.1"):
        web.cluster.until(f"an answer at {where}", lambda where=where: not refuses(where, 31790))
    web.cluster.kubectl("delete", "pod", "ported")
    web.cluster.until("nothing answers", lambda: refuses(address, 31790))


def test_d49_under_local_a_node_port_still_answers_the_machine_and_its_pods(web):
    ports = [{**WEB[0], "nodePort": 31778}]
    web.service("local", ports, type="NodePort", externalTrafficPolicy="Local", internalTrafficPolicy="Local")
    assert names(from_host("127.0.0.1:31778", 24)) == {"web-0", "web-1"}
    assert names(from_host(f"{web.cluster.get('service', 'local')['spec']['clusterIP']}:80", 24)) == {"web-0", "web-1"}


def test_d17_a_load_balancer_gets_the_machines_address_unless_the_port_is_in_use(web):
    with socket.create_server(("", 0)) as busy:
        taken = busy.getsockname()[1]
        web.make(service("balanced", [{**WEB[0], "port": 31779}], type="LoadBalancer"))
        web.make(service("pending", [{**WEB[0], "port": taken}], type="LoadBalancer"))
        ingress = web.cluster.until("an address", lambda: ingress_of(web, "balanced"))
        web.cluster.until("a warning", lambda: "in use by a program" in web.cluster.kubectl("get", "events"))
        assert ingress_of(web, "pending") == []
    web.cluster.until("rules", lambda: not refuses(ingress[0]["ip"], 31779))
    assert names(from_host(f"{ingress[0]['ip']}:31779", 24)) == {"web-0", "web-1"}
    web.cluster.kubectl("delete", "service", "balanced", "pending")
    web.cluster.until("nothing answers", lambda: refuses(ingress[0]["ip"], 31779))


def ingress_of(web, name):
    return web.cluster.get("service", name)["status"]["loadBalancer"].get("ingress", [])


def test_d45_with_affinity_a_client_stays_with_its_endpoint(web):
    address = web.service("affine", sessionAffinity="ClientIP")
    assert len(names(from_host(f"{address}:80", 16))) == 1
    assert len(names(web.from_pod("web-1", f"{address}:80", 16))) == 1


def test_clients_keep_their_endpoint_when_the_agents_are_killed(web):
    address = web.service("affine", sessionAffinity="ClientIP")
    before = names(from_host(f"{address}:80"))
    web.cluster.kill("agents")
    handle = nft("-a", "list", "table", "ip", web.table).splitlines()[0]
    web.cluster.until("new rules", lambda: nft("-a", "list", "table", "ip", web.table).splitlines()[:1] != [handle])
    web.cluster.until("rules", lambda: web.is_routed("affine"))
    answers = []

    def all_answer():
        try:
            answers[:] = from_host(f"{address}:80", 16)
        except urllib.error.URLError:  # seen once in many runs, for a moment, and not explained yet (docs/status.md)
            return False
        return True

    web.cluster.until("answers", all_answer)
    assert names(answers) == before


def test_d48_a_flow_of_datagrams_leaves_an_endpoint_that_is_gone(web):
    web.start("gone-0")
    address = web.service("datagrams", UDP)
    assert {ask_datagram(address, 53)[0] for _ in range(40)} == {"gone-0", "web-0", "web-1"}
    source_ports = [port for name, port in (ask_datagram(address, 53) for _ in range(40)) if name == "gone-0"]
    web.cluster.kubectl("delete", "pod", "gone-0")
    del web.pods["gone-0"]
    others = {"web-0", "web-1"}
    for port in source_ports:
        web.cluster.until("rules", lambda port=port: ask_or_not(address, 53, port) in others)


def test_d51_rules_that_somebody_removed_are_put_back_by_the_next_agents(web):
    address = web.service("both")
    web.cluster.kill("agents")
    assert names(from_host(f"{address}:80", 24)) == {"web-0", "web-1"}, "rules outlive the agents"
    nft("delete", "table", "ip", web.table)
    web.cluster.until("rules", lambda: web.is_routed("both"))
    assert names(from_host(f"{address}:80", 24)) == {"web-0", "web-1"}


def test_pods_cannot_reach_what_listens_on_the_machines_localhost(web):
    links = [path for path in Path("/proc/sys/net/ipv4/conf").glob("hf*") if (path / "route_localnet").exists()]
    assert links
    assert 'iifname "hf*" ip daddr 127.0.0.0/8 drop' in nft("list", "table", "ip", web.table.removesuffix("-services"))
    assert Path("/proc/sys/net/ipv4/conf/all/route_localnet").read_text().strip() == "0"


def test_d31_a_service_without_selector_leads_to_the_addresses_that_somebody_wrote(web):
    made = service("by-hand", [{"port": 80}])
    del made["spec"]["selector"]
    web.make(made)
    ready, not_ready = ([{"ip": web.pods[name]}] for name in ("web-0", "web-1"))
    subset = {"addresses": ready, "notReadyAddresses": not_ready, "ports": [{"port": 8080}]}
    web.make({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "by-hand"}, "subsets": [subset]})
    address = web.cluster.get("service", "by-hand")["spec"]["clusterIP"]
    web.cluster.until("rules", lambda: web.endpoints_of("by-hand") == {web.pods["web-0"]})
    assert names(from_host(address, times=5)) == {"web-0"}


def test_d68_names_are_looked_up_from_the_machine_as_a_pod_would(web):
    address = web.service("named")
    web.cluster.until("its name", lambda: web.cluster.holdfast("dns", "named", check=False).returncode == 0)
    found = json.loads(web.cluster.holdfast("dns", "named", "-o", "json").stdout)
    assert [(each["name"], each["data"]) for each in found] == [("named.default.svc.cluster.local", address)]
    server = json.loads(web.cluster.holdfast("dns", "-o", "json").stdout)["address"]
    assert f"dig @{server}" in web.cluster.holdfast("dns").stdout
    missing = web.cluster.holdfast("dns", "absent", check=False)
    assert missing.returncode == 1
    assert missing.stderr == "holdfast: no A record for absent, as seen from a pod in namespace default\n"


LOCALHOST = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/', timeout=60).read().decode())"
API = """
import ssl, urllib.request
context = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
print(urllib.request.urlopen("https://kubernetes.default/version", context=context, timeout=60).status)
"""


def test_d1_every_pod_is_reached_at_its_address_from_pods_and_the_machine_and_sees_itself_there(web):
    where = f"{web.pods['web-1']}:8080"
    assert names(from_host(where)) == names(web.from_pod("web-0", where)) == {"web-1"}
    (seen,) = web.from_pod("web-1", f"{web.pods['web-1']}:8080")
    assert seen.split()[1] == web.pods["web-1"]
    (seen,) = web.from_pod("web-0", where)
    assert seen.split()[1] == web.pods["web-0"], "no translation on the way"


def test_d1_containers_of_a_pod_share_localhost(web):
    second = {"name": "second", "image": "host", "command": ["sleep", "1000"]}
    made = pod("shared")
    made["metadata"]["labels"] = {}
    made["spec"]["containers"].append(second)
    web.make(made)
    web.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/shared")
    output = web.cluster.kubectl("exec", "shared", "-c", "second", "--", PYTHON, "-c", LOCALHOST)
    assert output.split()[0] == "shared"


def test_d2_a_pod_keeps_its_address_when_its_container_is_restarted(web):
    def pod_now():
        return web.cluster.get("pod", "web-1")

    before = pod_now()
    web.cluster.kubectl("exec", "web-1", "--", "/bin/sh", "-c", "kill -INT 1", check=False)
    again = web.cluster.until("restarted", lambda: (made := pod_now()) and restarts(made) > restarts(before) and made)
    assert again["status"]["podIP"] == before["status"]["podIP"]
    web.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/web-1")


def restarts(made):
    return made["status"]["containerStatuses"][0]["restartCount"]


def test_d3_d19_pods_reach_the_api_by_its_name_and_the_machine_by_its_address(web):
    assert web.cluster.kubectl("exec", "web-0", "--", PYTHON, "-c", API).strip() == "200"
    with socket.create_server(("0.0.0.0", 0)) as listening:
        node = web.cluster.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
        connect = f"import socket; socket.create_connection(('{node}', {listening.getsockname()[1]}), timeout=60)"
        web.cluster.kubectl("exec", "web-0", "--", PYTHON, "-c", connect)


def test_d35_describe_shows_the_endpoints_of_a_service(web):
    web.service("described")

    def shown():
        described = web.cluster.kubectl("describe", "service", "described")
        (line,) = [line for line in described.splitlines() if line.startswith("Endpoints:")]
        return set(line.split()[1].split(","))

    web.cluster.until("endpoints", lambda: shown() == {f"{address}:8080" for address in web.pods.values()})


def test_d69_dns_answers_at_its_services_address_to_pods_and_the_machine(web):
    address = web.cluster.get("service", "kube-dns", "-n", "kube-system")["spec"]["clusterIP"]
    api = web.cluster.get("service", "kubernetes")["spec"]["clusterIP"]
    query = dnslib.DNSRecord.question("kubernetes.default.svc.cluster.local")
    for tcp in (False, True):
        answer = dnslib.DNSRecord.parse(query.send(address, 53, tcp=tcp, timeout=30))
        assert [str(each.rdata) for each in answer.rr] == [api]
    ask = (
        "import socket; client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); client.settimeout(30);"
        f"client.sendto(bytes.fromhex('{bytes(query.pack()).hex()}'), ('{address}', 53));"
        "print(len(client.recv(512)) > 40)"
    )
    assert web.cluster.kubectl("exec", "web-0", "--", PYTHON, "-c", ask).strip() == "True"
