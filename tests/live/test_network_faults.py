"""The network while things break: what the kernel does goes on, and what somebody takes away comes back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from .conftest import SEARCH
from .web import PYTHON, UDP, Web, ask_or_not, from_host, names, nft, pod, refuses

pytestmark = pytest.mark.alone  # it says how soon things are repaired

REPAIRED_WITHIN_S = 20
"""Less than the half minute after which somebody looks anyway."""

TALK = """
import socket, sys, threading

def answer(connection):
    with connection:
        while data := connection.recv(64):
            connection.sendall(data)

with socket.create_server(("0.0.0.0", 9000)) as listening:
    while True:
        threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()
"""

KEEP_TALKING = """
import itertools, socket, sys, time
with socket.create_connection((sys.argv[1], 9000), timeout=20) as connection:
    for n in itertools.count():
        connection.sendall(b"%d" % n)
        print(connection.recv(64).decode(), flush=True)
        time.sleep(0.1)
"""
TALKING = [{"name": "talk", "port": 9000}]


@pytest.fixture(scope="module")
def web(cluster):
    made = Web(cluster)
    made.start("web-0", "web-1")
    return made


def talker(name, program, *arguments):
    container = {"name": "main", "image": "host", "command": [PYTHON, "-c", program, *arguments]}
    spec = {"terminationGracePeriodSeconds": 0, "restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def start_talker(web, name="talk"):
    """A pod that repeats what it is told, and its service; the addresses of both."""
    web.make(talker(name, TALK))
    web.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", f"pod/{name}")
    address = web.service(name, TALKING, selector={"app": name})
    ip = web.cluster.get("pod", name)["status"]["podIP"]
    web.cluster.until("rules", lambda: web.endpoints_of(name) == {ip})
    web.cluster.until("it listens", lambda: not refuses(ip, 9000))
    return ip, address


def said(web, name):
    """The words of a pod that may not have started yet."""
    return web.cluster.kubectl("logs", name, check=False).stdout.split()


def remove(web, *pods):
    web.cluster.kubectl("delete", "pod", "--now", *pods)


def exchange(connection, text):
    connection.sendall(text.encode())
    return connection.recv(64).decode()


def test_d51_open_connections_and_new_ones_do_not_notice_that_daemon_and_agents_are_killed(web):
    _, address = start_talker(web)
    web.make(talker("client", KEEP_TALKING, address))
    web.cluster.until("it talks", lambda: "3" in said(web, "client"))
    with socket.create_connection((address, 9000), timeout=20) as connection:
        assert exchange(connection, "before") == "before"
        status = web.cluster.status()["daemon"]
        for process in ("pid", "agents_pid"):  # the daemon first: it would start other agents
            os.kill(status[process], 9)
        for n in range(10):
            assert exchange(connection, f"meanwhile {n}") == f"meanwhile {n}"
            socket.create_connection((address, 9000), timeout=10).close()
            time.sleep(0.1)
        web.cluster.up()
        assert exchange(connection, "after") == "after"
    heard = [int(word) for word in said(web, "client")]
    web.cluster.until("it still talks", lambda: len(said(web, "client")) > len(heard) + 3)
    assert heard == list(range(len(heard)))
    now = {each["metadata"]["name"]: each["status"]["podIP"] for each in web.cluster.get("pods")["items"]}
    assert now.items() >= web.pods.items(), "every pod is where it was"
    assert names(web.from_pod("web-0", f"{web.pods['web-1']}:8080")) == {"web-1"}
    assert is_named(web, "kubernetes.default"), "and finds names where it looked for them before"
    remove(web, "client", "talk")


def is_named(web, name):
    look = f"import socket; socket.gethostbyname({name!r})"
    return web.cluster.kubectl("exec", "web-0", "--", PYTHON, "-c", look, check=False).returncode == 0


def link_of(address):
    output = subprocess.run(["ip", "-o", "route", "get", address], env={"PATH": SEARCH}, capture_output=True, text=True)
    return output.stdout.partition(" dev ")[2].split()[0]


def ip(*arguments):
    subprocess.run(["ip", *arguments], env={"PATH": SEARCH}, check=True, capture_output=True)


def is_reached(web, name):
    try:
        return names(from_host(f"{web.pods[name]}:8080")) == {name}
    except OSError:
        return False


@pytest.mark.parametrize("harm", ["route", "down", "link"])
def test_a_pod_that_somebody_cuts_off_is_linked_again_at_its_address(web, harm):
    address = web.pods["web-0"]
    link = link_of(address)
    assert link.startswith("hf")
    ip(*{"route": ["route", "del", f"{address}/32"], "down": ["link", "set", link, "down"],
         "link": ["link", "del", link]}[harm])  # fmt: skip
    web.cluster.until("it is reached", lambda: is_reached(web, "web-0"), within_s=REPAIRED_WITHIN_S)
    assert names(web.from_pod("web-1", f"{address}:8080")) == {"web-0"}
    assert names(web.from_pod("web-0", f"{web.pods['web-1']}:8080")) == {"web-1"}, "and it reaches others"
    assert web.cluster.get("pod", "web-0")["status"]["podIP"] == address


def test_a_gateway_that_somebody_removes_comes_back_and_with_it_names(web):
    server = json.loads(web.cluster.holdfast("dns", "-o", "json").stdout)["address"]
    ip("address", "del", f"{server}/32", "dev", "lo")
    # Beside the repair, a resolver's own patience: it asks again after five seconds.
    web.cluster.until("a name is found", lambda: is_named(web, "kubernetes.default"), within_s=REPAIRED_WITHIN_S + 5)
    assert is_reached(web, "web-0")


HARMS = {
    "the table": lambda table: ["delete", "table", "ip", table],
    "everything in it": lambda table: ["flush", "table", "ip", table],
    "a chain's rules": lambda table: ["flush", "chain", "ip", table, "find-service"],
    "the elements of a map": lambda table: ["flush", "map", "ip", table, "to-2"],
}


@pytest.mark.parametrize("harm", HARMS)
def test_d51_rules_that_somebody_takes_away_come_back_within_seconds(web, harm):
    address = web.service("both")
    assert names(from_host(f"{address}:80", 24)) == {"web-0", "web-1"}
    nft(*HARMS[harm](web.table))

    def works():
        try:
            return names(from_host(f"{address}:80", 24)) == {"web-0", "web-1"}
        except OSError:
            return False

    web.cluster.until("connections again", works, within_s=REPAIRED_WITHIN_S)


def test_the_rules_of_pods_come_back_too(web):
    table = web.table.removesuffix("-services")
    before = nft("list", "table", "ip", table)
    assert "masquerade" in before
    nft("flush", "chain", "ip", table, "postrouting")
    web.cluster.until(
        "the rules", lambda: nft("list", "table", "ip", table) == before, within_s=REPAIRED_WITHIN_S
    )  # fmt: skip
    nft("delete", "table", "ip", table)
    web.cluster.until(
        "the table", lambda: nft("list", "table", "ip", table) == before, within_s=REPAIRED_WITHIN_S
    )  # fmt: skip


def events_of(web, name):
    listed = web.cluster.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [(each["type"], each["reason"], each["message"]) for each in listed]


def test_without_a_free_address_a_pod_says_so_and_starts_as_soon_as_one_is_free(web):
    addresses = web.cluster.home / "nodes" / "0" / "addresses"
    if not addresses.is_dir():
        (addresses,) = web.cluster.home.rglob("addresses")
    range_of = web.pods["web-0"].rpartition(".")[0]
    reserved = []
    for n in range(2, 255):
        path = addresses / f"{range_of}.{n}"
        if not path.exists():
            path.write_text(f"reserved-{n}")
            reserved.append(path)
    try:
        web.make(pod("late"))
        warning = web.cluster.until(
            "a warning",
            lambda: [m for t, r, m in events_of(web, "late") if (t, r) == ("Warning", "FailedCreatePodSandBox")],
        )
        assert warning[0] == (
            f"Failed to create pod sandbox: no address is free: pods have all 253 of {range_of}.0/24. "
            "The pod starts as soon as another leaves"
        )
        begin = time.monotonic()
        remove(web, "web-1")
        web.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/late")
        assert time.monotonic() - begin < 8, "and not with the next attempt, ten seconds after the first at least (N80)"
    finally:
        for path in reserved:
            path.unlink()
    remove(web, "late")
    web.pods.pop("web-1")
    web.start("web-0", "web-1")


ASK_AGAIN = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.bind(("", 7777))
    client.settimeout(0.3)
    while True:
        try:
            client.sendto(b"who", (sys.argv[1], 53))
            print(client.recv(512).decode().split()[0], flush=True)
        except OSError as error:
            print(type(error).__name__, flush=True)
        time.sleep(0.05)
"""


def only(name, app):
    made = pod(name)
    made["metadata"]["labels"] = {"app": app}
    return made


def test_d48_datagrams_from_one_port_reach_the_endpoint_that_replaced_another(web):
    web.make(only("old", "replaced"))
    web.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/old")
    address = web.service("replaced", UDP, selector={"app": "replaced"})
    web.cluster.until("rules", lambda: ask_or_not(address, 53, 7778) == "old")
    web.make(talker("asking", ASK_AGAIN, address))
    web.cluster.until("answers", lambda: "old" in said(web, "asking"))
    remove(web, "old")
    web.make(only("new", "replaced"))
    web.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/new")
    web.cluster.until("the host is answered", lambda: ask_or_not(address, 53, 7778) == "new")
    web.cluster.until("the pod is answered", lambda: said(web, "asking")[-1] == "new")
    remove(web, "new", "asking")


def test_d42_connections_are_refused_at_once_when_the_last_endpoint_goes(web):
    _, address = start_talker(web)
    remove(web, "talk")
    web.cluster.until("refused", lambda: refuses(address, 9000), within_s=REPAIRED_WITHIN_S)
    assert all(refuses(address, 9000) for _ in range(50)), "and not timed out"


WAIT_TO_SPEAK = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], 9000), timeout=20)
connection.sendall(b"ready")
print(connection.recv(64).decode(), flush=True)
begin = time.monotonic()
while time.monotonic() - begin < 60:
    try:
        connection.sendall(b"x" * 1000)
    except OSError as error:
        print(type(error).__name__, flush=True)
        break
    time.sleep(0.1)
"""
TOLD = ("ConnectionResetError", "BrokenPipeError")


def test_connections_to_a_pod_that_is_gone_are_reset(web):
    direct, address = start_talker(web)
    for name, where in (("by-service", address), ("by-address", direct)):
        web.make(talker(name, WAIT_TO_SPEAK, where))
        web.cluster.until("it is connected", lambda name=name: "ready" in said(web, name))
    with (
        socket.create_connection((address, 9000), timeout=20) as by_service,
        socket.create_connection((direct, 9000), timeout=20) as by_address,
    ):
        assert exchange(by_service, "x") == exchange(by_address, "x") == "x"
        link = link_of(direct)
        # Nobody inside can say goodbye: the pod's end of the link is cut before its processes end.
        web.cluster.kubectl("delete", "pod", "talk", "--force", "--grace-period=0", "--wait=false")
        web.cluster.until("the link is gone", lambda: not Path(f"/sys/class/net/{link}").exists())
        for connection in (by_service, by_address):
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                keep_sending(connection)
    for name in ("by-service", "by-address"):
        last = web.cluster.until("it is told", lambda name=name: said(web, name)[-1:] != ["ready"])
        assert last
        assert said(web, name)[-1] in TOLD
    assert refuses(direct, 9000), "and nobody waits for who is not there"
    remove(web, "by-service", "by-address")


def keep_sending(connection):
    """Twenty seconds at most."""
    connection.settimeout(20)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        connection.sendall(b"x" * 1000)
        time.sleep(0.05)


def test_connections_that_wait_for_an_answer_of_a_pod_that_is_gone_are_reset_when_the_client_speaks(web):
    """Who only listens is told by the pod's kernel as its processes end: no one is left waiting there either."""
    direct, _ = start_talker(web)
    with socket.create_connection((direct, 9000), timeout=60) as connection:
        assert exchange(connection, "x") == "x"
        ended = []
        listener = threading.Thread(target=lambda: ended.append(_ended(connection)), daemon=True)
        listener.start()
        remove(web, "talk")
        listener.join(60)
        assert ended in ([b""], ["reset"])


def _ended(connection):
    try:
        return connection.recv(64)
    except ConnectionResetError:
        return "reset"
