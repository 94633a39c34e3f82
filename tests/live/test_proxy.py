"""Real pods behind /proxy, asked by the real kubectl (A157)."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import urllib.request

import pytest

PYTHON = "/usr/bin/python3"

SITE = """
import base64, hashlib, http.server

class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.headers.get("Upgrade") == "websocket":
            return self.upgrade()
        length = int(self.headers.get("Content-Length") or 0)
        body = f"{self.command} {self.path} {self.rfile.read(length).decode()}"
        if self.path == "/page":
            body = '<a href="/style.css">'
        if self.path == "/headers":
            body = str(self.headers)
        self.send_response(302 if self.path == "/moved" else 200)
        if self.path == "/moved":
            self.send_header("Location", "/page")
        self.send_header("Content-Type", "text/html" if self.path == "/page" else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def upgrade(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.write(bytes([0x81, 5]) + b"hello")
        self.close_connection = True

http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Site).serve_forever()
"""

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "site", "labels": {"app": "site"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": "host",
                "command": [PYTHON, "-c", SITE],
                "ports": [{"name": "web", "containerPort": 8080}],
                "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
            }
        ],
    },
}
PORTS = [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "other", "port": 81, "targetPort": 1}]
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "site"},
    "spec": {"selector": {"app": "site"}, "ports": PORTS},
}
LONELY = {**SERVICE, "metadata": {"name": "lonely"}, "spec": {"selector": {"app": "nobody"}, "ports": PORTS}}
PODS, SERVICES = "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/services"


@pytest.fixture(scope="module")
def site(cluster):
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [POD, SERVICE, LONELY]})
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/site")
    cluster.until("endpoints", lambda: cluster.get("endpoints", "site").get("subsets"))
    return cluster


@pytest.fixture(scope="module")
def door(site):
    """`kubectl proxy`: its port."""
    environment = {**os.environ, "HOME": f"{site.home}-cache"}
    running = subprocess.Popen(site.command("proxy", "--port=0"), stdout=subprocess.PIPE, text=True, env=environment)
    assert running.stdout is not None
    yield int(running.stdout.readline().rpartition(":")[2])
    running.send_signal(signal.SIGTERM)
    running.wait(60)
    running.stdout.close()


def raw(cluster, path, check=True):
    return cluster.kubectl("get", "--raw", path, check=check)


@pytest.mark.parametrize(
    "path",
    [f"{PODS}/site/proxy", f"{PODS}/site:8080/proxy", f"{SERVICES}/site:http/proxy", f"{SERVICES}/http:site:80/proxy"],
)
def test_kubectl_reads_what_a_pod_serves(site, path):
    assert raw(site, f"{path}/a/?b=c").strip() == "GET /a/?b=c"


def test_a_page_comes_with_links_through_the_proxy(site):
    assert raw(site, f"{SERVICES}/site:http/proxy/page") == f'<a href="{SERVICES}/site:http/proxy/style.css">'


def test_a_node_s_proxy_is_its_agent(site):
    node = site.get("nodes")["items"][0]["metadata"]["name"]
    assert raw(site, f"/api/v1/nodes/{node}/proxy/healthz") == "ok"
    done = raw(site, f"/api/v1/nodes/{node}/proxy/nothing", check=False)
    assert "NotFound" in done.stderr


def test_every_method_goes_through_kubectl_proxy(door):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        asked = urllib.request.Request(f"http://127.0.0.1:{door}{SERVICES}/site:http/proxy/x", b"body", method=method)
        with opener.open(asked, timeout=60) as answer:
            assert answer.read().decode() == f"{method} /x body"


def test_a_redirect_leads_back_through_the_proxy(door):
    connection = http.client.HTTPConnection("127.0.0.1", door, timeout=60)
    connection.request("GET", f"{PODS}/site/proxy/moved")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (302, f"{PODS}/site/proxy/page")
    connection.close()


def test_a_websocket_goes_through_kubectl_proxy(door):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", door, timeout=60)) as connection:
        key = base64.b64encode(b"0123456789abcdef").decode()
        connection.request(
            "GET",
            f"{PODS}/site:8080/proxy/socket",
            headers={
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Key": key,
                "Sec-WebSocket-Version": "13",
            },
        )
        received = b""
        while b"hello" not in received and (piece := connection.sock.recv(4096)):
            received += piece
    assert received.startswith(b"HTTP/1.1 101")
    assert received.endswith(b"\x81\x05hello")


def test_the_pod_never_sees_the_token(site):
    headers = raw(site, f"{PODS}/site/proxy/headers")
    assert "X-Forwarded-Uri" in headers
    token = (site.home / "admin.token").read_text().strip()
    assert "authorization" not in headers.lower()
    assert token not in headers


def test_what_leads_nowhere_says_so(site):
    for path, text in (
        (f"{SERVICES}/lonely:http/proxy/", 'no endpoints available for service "lonely"'),
        (f"{SERVICES}/site:82/proxy/", 'no service port 82 found for service "site"'),
        (f"{PODS}/site:1/proxy/", "connect: connection refused"),
        (f"{PODS}/nobody/proxy/", 'pods "nobody" not found'),
    ):
        done = raw(site, path, check=False)
        assert done.returncode != 0
        assert text in done.stderr, json.dumps(done.stderr)
