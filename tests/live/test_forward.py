"""`holdfast forward`: ports of pods on this machine, whatever becomes of the pods."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from .conftest import hear_interrupts

ECHO = """
import os, socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        data = self.rfile.read()  # answers when the client has ended its direction
        self.wfile.write(f"{os.uname().nodename} {os.environ['UID']} {len(data)}".encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", 7000), Echo).serve_forever()
"""


SLOW = 'import socket; socket.create_server(("127.0.0.1", 7000)).accept()[0].sendall(b"hello")'


@pytest.fixture(scope="module")
def echo(cluster):
    container = {
        "name": "main",
        "image": "host",
        "command": ["/usr/bin/python3", "-c", ECHO],
        "env": [{"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
        "ports": [{"name": "echo", "containerPort": 7000}],
    }
    labels = {"app": "echo"}
    spec = {
        "replicas": 2,
        "serviceName": "echo",
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        },
    }
    made = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "echo"}, "spec": spec}
    ports = [{"name": "first", "port": 70, "targetPort": "echo"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "echo"},
        "spec": {"selector": labels, "ports": ports},
    }
    cluster.kubectl("apply", "-f", "-", manifest=json.dumps(made))
    cluster.kubectl("apply", "-f", "-", manifest=json.dumps(service))
    cluster.kubectl("rollout", "status", "sts/echo", "--timeout=60s")
    return cluster


@contextmanager
def forward(cluster, *arguments):
    """The local ports of a running `holdfast forward`, and what it says."""
    command = [sys.executable, "-m", "holdfast.cli", "forward", "-o", "json", *arguments]
    environment = {**os.environ, "HOLDFAST_HOME": str(cluster.home)}
    running = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    count = sum(1 for each in arguments if ":" in each)
    said = []
    try:
        yield [json.loads(running.stdout.readline())["port"] for _ in range(count)], said
    finally:
        running.send_signal(signal.SIGINT)
        said.append(running.communicate(timeout=60)[1])
        assert running.returncode == 0, said


def ask(port, data=b"hello", within_s=120):
    """(pod, uid, bytes that it got)."""
    with socket.create_connection(("127.0.0.1", port), timeout=within_s) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    name, uid, count = answer.decode().split()
    return name, uid, int(count)


def is_closed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        return client.recv(1) == b""


def test_ports_by_number_and_name_of_pods_sets_and_services_lead_to_their_pods(echo):
    with forward(echo, "sts/echo-1", ":7000", ":echo") as (ports, _):
        assert {ask(port)[0] for port in ports} == {"echo-1"}
    with forward(echo, "svc/echo", ":70", ":first") as (ports, _):
        assert all(ask(port)[0].startswith("echo-") for port in ports)


def test_a_direction_ends_without_the_other_and_megabytes_arrive_whole(echo):
    with forward(echo, "echo-0", ":7000") as ((port,), _):
        assert ask(port, b"x" * (5 << 20))[2] == 5 << 20


def test_a_connection_made_while_the_pod_is_away_waits_for_the_next_one(echo):
    with forward(echo, "sts/echo-0", ":7000") as ((port,), said):
        _, before, _ = ask(port)
        echo.kubectl("delete", "pod", "echo-0", "--now")
        name, after, _ = ask(port)
    assert (name, after != before) == ("echo-0", True)
    assert "now connecting to echo-0, created" in said[0]


def test_a_program_that_is_slow_to_listen_is_waited_for_too(echo):
    container = {"name": "main", "image": "host", "command": ["sh", "-c", f"sleep 2; exec python3 -c '{SLOW}'"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "slow"}, "spec": spec}
    echo.kubectl("apply", "-f", "-", manifest=json.dumps(manifest))
    with forward(echo, "slow", ":7000") as ((port,), _), socket.create_connection(("127.0.0.1", port), 90) as client:
        assert client.recv(10) == b"hello"


def test_it_outlives_the_daemon(echo):
    with forward(echo, "sts/echo-1", ":7000") as ((port,), _):
        before = ask(port)
        echo.kill("daemon")
        echo.up()
        assert ask(port) == before


def test_what_cannot_be_is_said_in_one_line(echo):
    missing = echo.holdfast("forward", "sts/nothing", "80", check=False)
    assert (missing.returncode, missing.stderr) == (1, 'holdfast: statefulsets.apps "nothing" not found\n')
    kind = echo.holdfast("forward", "cm/web", "80", check=False)
    assert kind.returncode == 2
    assert "'cm/web' is not one of pod/NAME" in kind.stderr
    with forward(echo, "svc/echo", ":71") as ((port,), said):
        assert is_closed(port)
    assert "the service has no port 71; it has 70" in said[0]
    with forward(echo, "echo-0", ":7001") as ((port,), said):
        assert is_closed(port)
    assert "refused" in said[0]
