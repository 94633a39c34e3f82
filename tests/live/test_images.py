"""Servers that people keep data in, from Debian packages: each stops on its own signal and finds its data again."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest


@dataclass(frozen=True)
class Server:
    """One image in a set of one pod, and what to say to it."""

    image: str
    directory: str
    """Where its data is, and its claim mounted."""
    port: int
    write: str
    """A shell line that keeps the word `kept`."""
    read: str
    """A shell line that prints what was kept."""
    stopped: str
    """What its log says when it ended in good order."""
    recovered: str = ""
    """What the log of a start says after a crash: it must not be there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Path to contents: what the entry point reads at the first start."""
    ready: str = ""
    """A shell line for the readiness probe; without one, the port answers."""


FIRST = object()
"""The address of the cluster's first service."""

MARIADB = "MYSQL_PWD=secret mariadb -N -h $(hostname -i) -u app shop"
POSTGRES = "PGPASSWORD=secret psql -qAtX -h $(hostname -i) -U app shop"
SERVERS = {
    "postgres": Server(
        image="postgres:15",
        directory="/var/lib/postgresql/data",
        port=5432,
        environment={"POSTGRES_USER": "app", "POSTGRES_DB": "shop", "POSTGRES_PASSWORD_FILE": "/etc/password"},
        files={"/etc/password": "secret", "/docker-entrypoint-initdb.d/1.sql": "CREATE TABLE words (word text)"},
        ready="pg_isready -q -h 127.0.0.1 -U app",
        write=f"{POSTGRES} -c \"INSERT INTO words VALUES ('kept')\"",
        read=f"{POSTGRES} -c 'SELECT word FROM words'",
        stopped="database system is shut down",
        recovered="was not properly shut down",
    ),
    "mysql": Server(
        image="mysql:8.0",
        directory="/var/lib/mysql",
        port=3306,
        environment={
            "MYSQL_ROOT_PASSWORD": "root's",
            "MYSQL_DATABASE": "shop",
            "MYSQL_USER": "app",
            "MYSQL_PASSWORD_FILE": "/etc/password",
        },
        files={"/etc/password": "secret", "/docker-entrypoint-initdb.d/1.sql": "CREATE TABLE words (word text)"},
        ready="MYSQL_PWD=secret mysqladmin -h 127.0.0.1 -u app ping",
        write=f"{MARIADB} -e \"INSERT INTO words VALUES ('kept')\"",
        read=f"{MARIADB} -e 'SELECT word FROM words'",
        stopped="Shutdown complete",
        recovered="Starting crash recovery",
    ),
    "redis": Server(
        image="redis:7-alpine",
        directory="/data",
        port=6379,
        ready="redis-cli ping | grep -q PONG",
        write="redis-cli set word kept",
        read="redis-cli -h $(hostname -i) get word",
        stopped="Redis is now ready to exit, bye bye",
    ),
    "nginx": Server(
        image="nginx:alpine",
        directory="/usr/share/nginx/html",
        port=80,
        write="echo kept > /usr/share/nginx/html/index.html",
        read="curl -s http://127.0.0.1/",
        stopped="gracefully shutting down",
    ),
    "httpd": Server(
        image="httpd:2.4",
        directory="/usr/local/apache2/htdocs",
        port=80,
        write="echo kept > /usr/local/apache2/htdocs/index.html",
        read="curl -s http://127.0.0.1/",
        stopped="caught SIGWINCH, shutting down gracefully",
    ),
}


def manifest(name: str, server: Server) -> list[dict]:
    """A set of one pod, and a map with its files."""
    probe = {"exec": {"command": ["sh", "-c", server.ready]}} if server.ready else {"tcpSocket": {"port": server.port}}
    keys = {path: path.strip("/").replace("/", ".") for path in server.files}
    container = {
        "name": "server",
        "image": server.image,
        "env": [{"name": variable, "value": value} for variable, value in server.environment.items()],
        "ports": [{"containerPort": server.port}],
        "readinessProbe": {**probe, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": server.directory},
            *({"name": "files", "mountPath": path, "subPath": key} for path, key in keys.items()),
        ],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}}
    pod = {"containers": [container], "volumes": [{"name": "files", "configMap": {"name": name}}]}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }
    data = {key: server.files[path] for path, key in keys.items()}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}, workload]


@dataclass(frozen=True)
class Ending:
    """How a container ended."""

    exit_code: int
    last_words: str


STATE = "jsonpath={.metadata.uid} {.status.containerStatuses[0].state.terminated.exitCode}{'\\n'}"


def delete_and_watch(cluster, pod: str) -> Ending:
    """Deletes the pod as users do; what it logged from then on, and the exit code that its status had at the last."""
    said_before = cluster.kubectl("logs", pod)
    uid = cluster.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    watching = subprocess.Popen(
        cluster.command("get", "pod", pod, "-w", "-o", STATE), stdout=subprocess.PIPE, text=True
    )
    following = subprocess.Popen(cluster.command("logs", "-f", pod), stdout=subprocess.PIPE, text=True)
    try:
        assert watching.stdout.readline().split() == [uid]
        heard = following.stdout.read(len(said_before))  # it follows by now
        cluster.kubectl("delete", "pod", pod)
        last_words, _ = following.communicate(timeout=120)
        states = (line.split() for line in watching.stdout)
        code = next(int(state[1]) for state in states if state[0] == uid and len(state) == 2)
    finally:
        for process in (watching, following):
            process.kill()
            process.communicate()
    return Ending(code, (heard + last_words).removeprefix(said_before))


def said(cluster, pod: str, line: str) -> str:
    return cluster.kubectl("exec", pod, "--", "sh", "-c", line).strip()


@pytest.fixture(scope="module")
def running(cluster, load_images):
    """A set of each, started side by side."""
    load_images(cluster, *SERVERS, "busybox", "curl", "tools")
    items = [item for name, server in SERVERS.items() for item in manifest(name, server)]
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": items})
    return cluster


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_stops_in_good_order_and_finds_its_data_again(running, name):
    server, pod = SERVERS[name], f"{name}-0"
    running.kubectl("rollout", "status", f"sts/{name}", "--timeout=240s")
    said(running, pod, server.write)
    assert said(running, pod, server.read) == "kept"

    ending = delete_and_watch(running, pod)
    assert ending.exit_code == 0
    assert server.stopped in ending.last_words

    running.kubectl("rollout", "status", f"sts/{name}", "--timeout=240s")
    assert said(running, pod, server.read) == "kept"
    if server.recovered:
        assert server.recovered not in running.kubectl("logs", pod)


def run(cluster, name: str, image: str, *arguments: str) -> str:
    """What a pod printed that ran to its end; its phase is the first word."""
    cluster.kubectl("run", name, f"--image={image}", "--restart=Never", *arguments)
    phase = ("get", "pod", name, "-o", "jsonpath={.status.phase}")
    ended = cluster.until(
        f"{name} ends", lambda: (found := cluster.kubectl(*phase)) in ("Succeeded", "Failed") and found
    )
    return f"{ended} {cluster.kubectl('logs', name)}"


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        ("postgres:15", "Set POSTGRES_PASSWORD"),
        ("mysql:8.0", "MYSQL_ROOT_PASSWORD"),
        ("mariadb:11", "MYSQL_ROOT_PASSWORD"),
    ],
)
def test_a_new_database_without_a_password_says_what_to_set(running, image, hint):
    said = run(running, f"bare-{image.partition(':')[0]}", image)
    assert said.startswith("Failed ")
    assert hint in said


@pytest.mark.parametrize(
    ("image", "arguments", "printed"),
    [
        ("curlimages/curl", ("-sk", "https://kubernetes.default/version"), '"major": "1"'),
        ("quay.io/mhausenblas/jump:0.2", ("dig", "+short", "kubernetes.default.svc.cluster.local"), FIRST),
        ("registry.k8s.io/e2e-test-images/jessie-dnsutils:1.3", ("nslookup", "kubernetes.default"), FIRST),
        ("quay.io/mhausenblas/jump:0.2", ("ping", "-c1", "127.0.0.1"), " 0% packet loss"),
        ("busybox:1.28", ("wget", "-qO-", "http://127.0.0.1:1/"), "can't connect"),
    ],
)
def test_a_tool_does_what_it_is_called_for(running, image, arguments, printed):
    if printed is FIRST:
        printed = f"{running.get('service', 'kubernetes')['spec']['clusterIP']}\n"
    assert printed in run(running, f"tool-{arguments[0].strip('-')}", image, "--", *arguments)
