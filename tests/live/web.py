"""Pods that say who they are and who asks them, their services, and who asks."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import urllib.request

from holdfast.network.pods.masquerade import table_name

from .conftest import SEARCH

PYTHON = "/usr/bin/python3"

ECHO = """
import http.server, os, socket, threading

name = os.uname().nodename
family, everywhere = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "0.0.0.0")

def told(client):
    return f"{name} {client[0].removeprefix('::ffff:')}".encode()

class Server(http.server.ThreadingHTTPServer):
    address_family = family

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = told(self.client_address)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def answer_datagrams():
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((everywhere, 5353))
    while True:
        data, client = udp.recvfrom(512)
        udp.sendto(told(client), client)

threading.Thread(target=answer_datagrams, daemon=True).start()
Server((everywhere, 8080), Answer).serve_forever()
"""

ASK = """
import sys, urllib.request
for _ in range(int(sys.argv[2])):
    try:
        print(urllib.request.urlopen(f"http://{sys.argv[1]}/", timeout=20).read().decode())
    except OSError as error:
        print(error)
"""


def pod(name, **spec):
    container = {
        "name": "main",
        "image": "host",
        "command": [PYTHON, "-c", ECHO],
        "ports": [{"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 5353, "protocol": "UDP"}],
        "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def service(name, ports, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


WEB = [{"name": "http", "port": 80, "targetPort": "web"}]
UDP = [{"name": "dns", "port": 53, "targetPort": "dns", "protocol": "UDP"}]


class Web:
    """Two pods that say who they are and who asks them."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.pods = {}

    def make(self, *manifests):
        self.cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [*manifests]})

    def start(self, *names):
        self.make(*(pod(name) for name in names))
        self.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", *(f"pod/{name}" for name in names))
        self.pods = {each["metadata"]["name"]: each["status"]["podIP"] for each in self.cluster.get("pods")["items"]}

    def service(self, name, ports=WEB, **spec):
        """Its address, once the kernel knows all of its endpoints."""
        self.make(service(name, ports, **spec))
        made = self.cluster.get("service", name)
        if "selector" not in spec:
            self.cluster.until("rules", lambda: self.is_routed(name))
        return made["spec"]["clusterIP"]

    def is_routed(self, name):
        """Whether the kernel leads to every pod; nothing else, if it is a service of a cluster address alone."""
        found = self.endpoints_of(name)
        return all(each in found for each in self.pods.values())

    def endpoints_of(self, name):
        """The addresses that the kernel leads to: of elements of the shared maps, or in chains of the service's own."""
        address = self.cluster.get("service", name)["spec"]["clusterIP"]
        rules = self.rules()
        chain = rules.partition(f"chain svc-default/{name}/")[2].partition("\n\t}")[0]
        shared = re.findall(rf"\b{re.escape(address)} \. [^:]* : (\S+) \. \d+", rules)
        return {*shared, *re.findall(r"\d+\.\d+\.\d+\.\d+", chain)}

    @property
    def table(self):
        return f"{table_name(str(self.cluster.home))}-services"

    def rules(self):
        return nft("list", "table", "ip", self.table)

    def from_pod(self, name, where, times=1):
        output = self.cluster.kubectl("exec", name, "--", PYTHON, "-c", ASK, where, str(times))
        return output.splitlines()


def nft(*arguments):
    return subprocess.run(["nft", *arguments], env={"PATH": SEARCH}, capture_output=True, text=True).stdout


def from_host(where, times=1):
    answers = []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(times):
        with opener.open(f"http://{where}/", timeout=20) as answer:
            answers.append(answer.read().decode())
    return answers


def names(answers):
    return {answer.split()[0] for answer in answers}


def ask_datagram(address, port, source_port=0):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.bind(("", source_port))
        client.connect((address, port))
        client.send(b"who")
        return client.recv(512).decode().split()[0], client.getsockname()[1]


def ask_or_not(address, port, source_port=0):
    """The same while things change: "" if nobody answers."""
    with contextlib.suppress(OSError):
        return ask_datagram(address, port, source_port)[0]
    return ""


def refuses(address, port=80):
    try:
        socket.create_connection((address, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
