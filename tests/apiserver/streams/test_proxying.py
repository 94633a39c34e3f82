"""Requests through /proxy, from a client's socket to a backend's (A157, A223)."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.apiserver.streams import proxy_targets
from holdfast.apiserver.streams.dialing import NodeDialer
from holdfast.apiserver.streams.proxying import ApiProxy
from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.node.server import is_api_server
from holdfast.wire import tls, websocket
from holdfast.wire.client import HttpClient
from holdfast.wire.duplex import Duplex
from holdfast.wire.http import Response, Streaming, Upgrade, serve
from holdfast.wire.pumping import streamed
from holdfast.wire.websocket import WebSocket, accept_headers

POD = "/api/v1/namespaces/ns/pods/p:{port}/proxy"
PAGE = '<html><link href="/style.css"><a href="next">'


class Backend:
    """A pod's server: remembers what it was asked, answers by path."""

    def __init__(self):
        self.asked = []
        self.port = 0
        self.written = 0

    def __call__(self, request):
        self.asked.append(request)
        match request.path:
            case "/page":
                return Response(200, PAGE.encode(), "text/html; charset=utf-8")
            case "/packed":
                return Response(200, gzip.compress(PAGE.encode()), "text/html", (("Content-Encoding", "gzip"),))
            case "/cut":
                return Response(200, gzip.compress(PAGE.encode())[:-9], "text/html", (("Content-Encoding", "gzip"),))
            case "/odd":
                return Response(200, b"\x01\x02", "text/html", (("Content-Encoding", "br"),))
            case "/moved":
                return Response(302, b"over there", "text/html", (("Location", "/page?x=1"),))
            case "/away":
                return Response(301, b"", "", (("Location", "https://example.org/x"),))
            case "/cookies":
                headers = (("Set-Cookie", "a=1, b"), ("Set-Cookie", "c=2"), ("Access-Control-Allow-Origin", "*"),
                           ("Keep-Alive", "timeout=5"), ("X-Own", "1"))  # fmt: skip
                return Response(418, b"tea", "text/plain", headers)
            case "/none":
                return Response(204)
            case "/endless":
                return streamed(200, "application/octet-stream", (), self._endless())
            case "/broken":
                return Streaming(200, "text/plain", (), lambda body: (body.write(b"half"), body.abort()))
            case "/socket" if request.upgrade:
                return Upgrade(accept_headers(request, "chat"), self._echo)
            case "/socket":
                return Response(200, b"no socket")
            case "/refused":
                return Response(403, b"not for you", "text/plain")
        return Response(200, f"{request.method} {request.target} ".encode() + request.body, "text/plain")

    async def _endless(self):
        while True:
            self.written += 1 << 16
            yield bytes(1 << 16)

    def _echo(self, transport, received):
        duplex = Duplex(transport, received)

        async def run():
            socket = WebSocket(duplex)
            while (message := await socket.receive()) is not None:
                await socket.send(message)
            socket.close()

        self._task = asyncio.create_task(run())
        return duplex


@pytest.fixture
async def backend():
    made = Backend()
    listening = await serve(made)
    made.port = listening.port
    yield made
    await listening.close(0.1)


@pytest.fixture
async def proxied(server, backend, admin_token, monkeypatch):
    """The API server on a socket, with a pod, a service and a node whose addresses are the backend's."""
    monkeypatch.setattr(proxy_targets, "check_address", lambda address: None)  # there is only loopback to dial here
    client = server.client("test")
    spec = {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": backend.port}]}]}
    pod = await client.create(PODS, {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec})
    status = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
    await client.update(PODS, {**pod, "status": status}, subresource="status")
    await client.create(
        SERVICES,
        {"metadata": {"name": "s", "namespace": "ns"}, "spec": {"ports": [{"name": "http", "port": 80}]}},
    )
    reference = {"kind": "Pod", "namespace": "ns", "name": "p"}
    subset = {
        "addresses": [{"ip": "127.0.0.1", "targetRef": reference}],
        "ports": [{"name": "http", "port": backend.port}],
    }
    agent = {"holdfast.dev/agent-address": f"127.0.0.1:{backend.port}"}
    await client.create(NODES, {"metadata": {"name": "n", "annotations": agent}})

    def find(resource, namespace, name):  # no real endpoints may be on loopback
        return {"subsets": [subset]} if (resource, name) == (ENDPOINTS, "s") else server.find(resource, namespace, name)

    dialer = NodeDialer(lambda name: server.find(NODES, "", name), None)
    server.proxy = ApiProxy(dialer, find, random.Random(1))
    listening = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    headers = (("Authorization", f"Bearer {admin_token}"),)
    made = HttpClient(f"http://127.0.0.1:{listening.port}", headers=headers)
    made.port = listening.port
    yield made
    await made.close()
    await dialer.close()
    await listening.close(0.1)


@pytest.fixture
def ask(proxied, backend):
    async def ask(tail="", method="GET", headers=(), body=b"", path=POD):
        return await proxied.request(method, path.format(port=backend.port) + tail, headers, body, timeout=60)

    return ask


def message(answer):
    return json.loads(answer.body)["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_any_method_is_passed_on_with_its_body(ask, method):
    body = b"" if method == "GET" else b"a body"
    answer = await ask("/a%2Fb//c/?x=1&x=%20&watch=1", method, body=body)
    assert answer.status == 200
    assert answer.body == f"{method} /a%2Fb//c/?x=1&x=%20&watch=1 ".encode() + body


@pytest.mark.parametrize(
    "path",
    ["/api/v1/namespaces/ns/pods/p/proxy", "/api/v1/namespaces/ns/pods/http:p:{port}/proxy",
     "/api/v1/namespaces/ns/services/s:http/proxy", "/api/v1/namespaces/ns/services/http:s:80/proxy",
     "/api/v1/nodes/n/proxy", "/api/v1/nodes/n:{port}/proxy"],
)  # fmt: skip
async def test_pods_services_and_nodes_have_a_proxy(ask, path):
    assert (await ask("/x/", path=path)).body == b"GET /x/ "


async def test_the_head_of_an_answer_alone_comes_back_with_its_length(ask, backend):
    answer = await ask("/page2", "HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len("HEAD /page2 ")))
    assert (await ask("/page2")).body == b"GET /page2 "


async def test_the_backend_learns_nothing_of_who_asks_with_what(ask, backend):
    """The caller's token would be good for everything the caller may do."""
    secret = (
        ("X-Remote-User", "root"), ("X-Remote-Extra-Scopes", "all"), ("Proxy-Authorization", "Basic eA=="),
        ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Te", "trailers"), ("Impersonate-User", "admin"),
        ("Impersonate-Group", "system:masters"), ("Host", "example.org"),
    )  # fmt: skip
    kept = (("X-Own", "1"), ("Cookie", "a=b"), ("Accept", "text/html"), ("X-Forwarded-For", "192.0.2.1"))
    await ask("/x", headers=(*secret[:-1], *kept))
    asked = backend.asked[0]
    host = asked.headers.pop("host")
    assert host.startswith("127.0.0.1:")
    assert host != f"127.0.0.1:{backend.port}", "the name that the client used"
    assert asked.headers == {
        "x-own": "1",
        "cookie": "a=b",
        "accept": "text/html",
        "x-forwarded-for": "192.0.2.1, 127.0.0.1",
        "x-forwarded-uri": POD.format(port=backend.port) + "/x",
    }


async def test_headers_of_the_answer_come_back_one_by_one_without_those_of_the_connection(ask):
    answer = await ask("/cookies")
    assert (answer.status, answer.body) == (418, b"tea")
    assert sorted(answer.header_lines) == [
        ("Content-Length", "3"), ("Content-Type", "text/plain"), ("Set-Cookie", "a=1, b"), ("Set-Cookie", "c=2"),
        ("X-Own", "1"),
    ]  # fmt: skip


async def test_an_answer_without_a_body_has_none(ask):
    answer = await ask("/none")
    assert (answer.status, answer.body) == (204, b"")
    assert (await ask("/x")).status == 200


async def test_a_page_s_links_lead_through_the_proxy(ask, backend):
    expected = PAGE.replace("/style.css", POD.format(port=backend.port) + "/style.css").encode()
    for path in ("/page", "/packed"):
        answer = await ask(path, headers=(("Accept-Encoding", "gzip"),))
        assert answer.body == expected
        assert "content-encoding" not in answer.headers
    assert (await ask("/odd")).body == b"\x01\x02"


async def test_redirects_are_passed_on_with_where_they_lead(ask, backend):
    answer = await ask("/moved")
    assert (answer.status, answer.body) == (302, b"over there")
    assert answer.headers["location"] == POD.format(port=backend.port) + "/page?x=1"
    assert (await ask("/away")).headers["location"] == "https://example.org/x"
    assert [request.path for request in backend.asked] == ["/moved", "/away"]


async def test_the_bare_path_is_sent_to_its_directory(ask, backend):
    """Relative links of the page would otherwise lead beside it."""
    for method in ("GET", "HEAD"):
        answer = await ask("?a=b", method)
        assert (answer.status, answer.headers["location"]) == (301, POD.format(port=backend.port) + "/?a=b")
    assert backend.asked == []
    assert (await ask("", "POST", body=b"x")).body == b"POST / x"
    assert (await ask("/")).body == b"GET / "


async def test_an_endless_answer_flows_as_fast_as_it_is_read_and_ends_with_the_client(proxied, backend):
    target = POD.format(port=backend.port) + "/endless"
    async with proxied.stream("GET", target, timeout=60) as stream:
        await anext(stream)
        held = before = await comes_to_rest(backend)
        assert held < 32 << 20, "nobody reads, so nothing is written without end"
        received = 0
        while received < held + (8 << 20):
            received += len(await anext(stream))
        assert backend.written > before
    await comes_to_rest(backend)


async def comes_to_rest(backend):
    """How much it has written when it goes on no more."""
    async with asyncio.timeout(60):
        while True:
            written = backend.written
            await asyncio.sleep(0.3)
            if backend.written == written:
                return written


async def test_an_answer_that_breaks_off_does_not_look_whole(proxied, backend):
    from holdfast.wire.client import ConnectionFailed

    for path in ("/broken", "/cut"):
        with pytest.raises(ConnectionFailed):
            await proxied.request("GET", POD.format(port=backend.port) + path, timeout=60)


# -- TLS


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A data directory with an authority and the certificates of node n."""
    made = Home(tmp_path_factory.mktemp("home"))
    made.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(made, datetime.now(UTC), ["n"], ["10.96.0.1"])
    return made


@asynccontextmanager
async def over_tls(home, answer, **options):
    files = certificates.pair(home, "node-n")
    listening = await serve(answer, ssl=tls.server_context(str(files.certificate), str(files.key), **options))
    yield listening.port
    await listening.close(0.1)


async def test_a_pod_is_spoken_to_in_tls_whatever_its_certificate_says(ask, proxied, home, admin_token, backend):
    """Nobody gives certificates to pods; upstream does not look at them either."""
    async with over_tls(home, backend) as port:
        path = f"/api/v1/namespaces/ns/pods/https:p:{port}/proxy"
        assert (await ask("/x", path=path)).body == b"GET /x "
        async with socket_to(proxied, f"{path}/socket", "chat", admin_token) as (answer, socket):
            assert answer.status == 101
            await socket.send("hello")
            assert await asyncio.wait_for(socket.receive(), 5) == "hello"


async def test_a_node_s_agent_sees_the_api_server_itself(server, ask, proxied, home):
    """With the certificate that the agent knows it by, and never the caller's token."""
    shown = []

    def agent(request):
        shown.append(request)
        return Response(200, b"ok", "text/plain")

    ours = certificates.pair(home, "apiserver-client")
    context = tls.client_context(str(home.ca_certificate), str(ours.certificate), str(ours.key))
    async with over_tls(home, agent, client_ca=str(home.ca_certificate), require_client=True) as port:
        node = {"metadata": {"name": "n", "annotations": {"holdfast.dev/agent-address": f"127.0.0.1:{port}"}}}
        dialer = NodeDialer({"n": node}.get, context)
        server.proxy = ApiProxy(dialer, lambda resource, namespace, name: node, random.Random(1))
        assert (await ask("/healthz", path="/api/v1/nodes/n/proxy")).body == b"ok"
        await dialer.close()
    assert is_api_server(shown[0].peer_certificate)
    assert "authorization" not in shown[0].headers


# -- upgrades


@asynccontextmanager
async def socket_to(proxied, target, protocols, token):
    upgrade = (
        ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", protocols),
    )  # fmt: skip
    made = []

    def start(transport, received):
        made.append(Duplex(transport, received))
        return made[0]

    answer = await proxied.upgrade("GET", target, upgrade, start, 5)
    yield answer, WebSocket(made[0], is_client=True) if made else None
    for duplex in made:
        duplex.abort()


async def test_a_websocket_goes_through_in_both_directions(proxied, backend, admin_token):
    target = POD.format(port=backend.port) + "/socket"
    token = "base64url.bearer.authorization.k8s.io.c2VjcmV0"
    async with socket_to(proxied, target, f"{token}, chat", admin_token) as (answer, socket):
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == websocket.accept_token("dGhlIHNhbXBsZSBub25jZQ==")
        assert answer.headers["sec-websocket-protocol"] == "chat"
        for sent in ("hello", b"x" * 300_000):
            await socket.send(sent)
            assert await asyncio.wait_for(socket.receive(), 5) == sent
    asked = backend.asked[0].headers
    assert asked["sec-websocket-protocol"] == "chat", "the token stays here"
    assert "authorization" not in asked


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/refused", 403, "not for you"), ("/socket2", 500, "invalid upgrade response: status code 200")],
)
async def test_a_refused_upgrade_says_why(proxied, backend, admin_token, path, status, body):
    async with socket_to(proxied, POD.format(port=backend.port) + path, "chat", admin_token) as (answer, _):
        assert answer.status == status
        assert body in answer.body.decode()


# -- refusals


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_a_backend_that_cannot_be_reached_is_a_503_in_the_dialer_s_words(ask, proxied, admin_token):
    port = free_port()
    answer = await ask("/", path=f"/api/v1/namespaces/ns/pods/p:{port}/proxy")
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert (answer.status, message(answer)) == (503, f"error trying to reach service: {refused}")
    assert json.loads(answer.body)["reason"] == "ServiceUnavailable"
    async with socket_to(proxied, f"/api/v1/namespaces/ns/pods/p:{port}/proxy/", "x", admin_token) as (answer, _):
        assert (answer.status, message(answer)) == (500, f"error dialing backend: {refused}")


@pytest.mark.parametrize(
    ("port", "words"),
    [
        ("nonsense", "dial tcp: lookup tcp/nonsense: unknown port"),
        ("70000", "dial tcp: address 70000: invalid port"),
        ("9" * 5000, f"dial tcp: address {'9' * 5000}: invalid port"),
        ("%C3%BC", "dial tcp: lookup tcp/ü: unknown port"),
    ],
)
async def test_a_port_that_is_none_is_a_503(ask, port, words):
    answer = await ask("/", path=f"/api/v1/namespaces/ns/pods/p:{port}/proxy")
    assert (answer.status, message(answer)) == (503, f"error trying to reach service: {words}")


async def test_a_plain_server_asked_for_tls_is_a_503(ask, backend):
    answer = await ask("/", path=f"/api/v1/namespaces/ns/pods/https:p:{backend.port}/proxy")
    words = "error trying to reach service: http: server gave HTTP response to HTTPS client"
    assert (answer.status, message(answer)) == (503, words)


async def test_what_is_not_there_is_refused_before_anything_is_dialed(ask, backend):
    for path, status, text in (
        ("/api/v1/namespaces/ns/pods/x/proxy/", 404, 'pods "x" not found'),
        ("/api/v1/namespaces/ns/services/x/proxy/", 404, 'endpoints "x" not found'),
        ("/api/v1/namespaces/ns/services/s/proxy/", 503, 'no endpoints available for service "s"'),
        ("/api/v1/namespaces/ns/services/s:81/proxy/", 503, 'no service port 81 found for service "s"'),
        ("/api/v1/nodes/x/proxy/", 404, 'nodes "x" not found'),
    ):
        answer = await ask(path=path)
        assert (answer.status, message(answer)) == (status, text)
    assert (await ask("/", "TRACE")).status == 405
    assert backend.asked == []


async def test_who_may_use_a_proxy_depends_on_the_method(proxied, backend, jane_token, web):
    """get for GET, create for POST, and so on, on pods/proxy."""
    names = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}}
    subject = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns"
    rule = {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get", "create"]}
    await web("POST", f"{roles}/roles", {**role, "rules": [rule]})
    await web(
        "POST", f"{roles}/rolebindings", {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    )
    jane = HttpClient(f"http://127.0.0.1:{proxied.port}", headers=(("Authorization", f"Bearer {jane_token}"),))
    for method, verb in names.items():
        answer = await jane.request(method, POD.format(port=backend.port) + "/x", timeout=60)
        assert answer.status == (200 if verb in ("get", "create") else 403), method
        if answer.status == 403:
            assert f'cannot {verb} resource "pods/proxy"' in message(answer)
    assert (await jane.request("GET", "/api/v1/namespaces/ns/services/s:http/proxy/", timeout=60)).status == 403
    await jane.close()
