"""What the pods' network costs beside plain loopback: bytes per second and new connections, in one run of a pod.

A cluster of its own with two pods of the image `host`. One sends to itself on loopback, to the other at its address,
and to the other through a ClusterIP, in turns, so that whatever else the machine does meets all three alike. Needs
root and the container tools.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import Any

from .cluster import Cluster, cluster

PYTHON = "/usr/bin/python3"
PORT = 7000
ROUNDS = 5
SECONDS = 0.5
CONNECTIONS = 200
WITHIN_S = 90.0
PODS = "/api/v1/namespaces/default/pods"

RECEIVER = """
import socket, sys, threading

def receive(connection):
    space, total = bytearray(1 << 20), 0
    with connection:
        while count := connection.recv_into(space):
            total += count
        try:
            connection.sendall(total.to_bytes(8, "big"))
        except OSError:
            pass

with socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=512) as listening:
    while True:
        threading.Thread(target=receive, args=(listening.accept()[0],), daemon=True).start()
"""

SENDER = """
import json, socket, statistics, subprocess, sys, time

receiver, port, rounds, seconds, connections = sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:6])
targets = dict(each.split("=") for each in sys.argv[6:])
child = subprocess.Popen([sys.executable, "-c", receiver, str(port)])
block = memoryview(bytes(1 << 20))

def connect(address):
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((address, port), timeout=10)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)

def rate(address):
    with connect(address) as connection:
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        total = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
        return total / (time.perf_counter() - begin)

def connecting(address):
    begin = time.perf_counter()
    for _ in range(int(connections)):
        socket.create_connection((address, port), timeout=10).close()
    return (time.perf_counter() - begin) / connections

for address in targets.values():
    connect(address).close()
found = {name: {"rates": [], "connecting": []} for name in targets}
for _ in range(int(rounds)):
    for name, address in targets.items():
        found[name]["rates"].append(rate(address))
        found[name]["connecting"].append(connecting(address))
child.kill()
print(json.dumps({name: {
    "gbit_per_s": round(8e-9 * statistics.median(each["rates"]), 2),
    "connect_us": round(1e6 * statistics.median(each["connecting"]), 1),
} for name, each in found.items()}), flush=True)
"""


def measure() -> dict[str, Any]:
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("crun", "conmon")):
        return {"skipped": "needs root, crun and conmon"}
    with cluster() as made:
        made.up()
        return _measure(made)


def _measure(made: Cluster) -> dict[str, Any]:
    made.call("POST", PODS, _pod("receiver", RECEIVER, str(PORT)))
    ports = [{"port": PORT, "protocol": "TCP"}]
    service = {"metadata": {"name": "receiver"}, "spec": {"selector": {"app": "receiver"}, "ports": ports}}
    address = made.call("POST", "/api/v1/namespaces/default/services", service)["spec"]["clusterIP"]
    pod = _until(made, "receiver", "Running")["status"]["podIP"]
    numbers = [str(each) for each in (PORT, ROUNDS, SECONDS, CONNECTIONS)]
    targets = ["loopback=127.0.0.1", f"pod_to_pod={pod}", f"cluster_ip={address}"]
    made.call("POST", PODS, _pod("sender", SENDER, RECEIVER, *numbers, *targets))
    _until(made, "sender", "Succeeded")
    found = made.call("GET", f"{PODS}/sender/log")
    plain = found["loopback"]
    ratios = {
        name: {what: round(each[what] / plain[what], 2) for what in plain}
        for name, each in found.items()
        if each is not plain
    }
    return {**found, "beside_loopback": ratios}


def _pod(name: str, program: str, *arguments: str) -> dict[str, Any]:
    container = {"name": "main", "image": "host", "command": [PYTHON, "-c", program, *arguments]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def _until(made: Cluster, name: str, phase: str) -> dict[str, Any]:
    deadline = time.monotonic() + WITHIN_S
    while True:
        pod: dict[str, Any] = made.call("GET", f"{PODS}/{name}")
        if pod["status"]["phase"] == phase:
            return pod
        if pod["status"]["phase"] == "Failed" or time.monotonic() > deadline:
            raise RuntimeError(f"pod {name} is not {phase}: {json.dumps(pod['status'])}")
        time.sleep(0.1)
