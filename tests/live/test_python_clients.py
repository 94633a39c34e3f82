"""The Python clients inside of a running pod: commands, logs and ports, over their own WebSockets."""

from __future__ import annotations

import gc

import kr8s
import kubernetes
import kubernetes_asyncio
import pytest
from kubernetes.stream import portforward, stream
from kubernetes_asyncio.stream import WsApiClient

SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *_):
        pass
print("listening", flush=True)
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def kubeconfig(cluster):
    """Of a cluster with a running pod named web, which serves on port 8080."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "c",
                    "image": "host",
                    "command": ["python3", "-c", SERVER],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                }
            ],
        },
    }
    cluster.kubectl("apply", "-f", "-", manifest=pod)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=120s")
    return str(cluster.home / "kubeconfig")


@pytest.fixture
def core(kubeconfig):
    with kubernetes.config.new_client_from_config(kubeconfig) as made:
        yield kubernetes.client.CoreV1Api(made)


def test_kubernetes_runs_a_command_and_learns_its_code(core):
    command = ["sh", "-c", "read line; echo said $line; echo no >&2; exit 3"]
    running = stream(
        core.connect_get_namespaced_pod_exec,
        "web",
        "default",
        command=command,
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    running.write_stdin("word\n")
    running.run_forever(timeout=90)
    assert (running.read_stdout(), running.read_stderr(), running.returncode) == ("said word\n", "no\n", 3)
    running.close()


def test_kubernetes_reads_logs(core):
    assert core.read_namespaced_pod_log("web", "default") == "listening\n"
    followed = core.read_namespaced_pod_log("web", "default", follow=True, _preload_content=False)
    assert followed.readline() == b"listening\n"
    followed.close()


def test_kubernetes_forwards_a_port(core):
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="8080")
    connection = forwarded.socket(8080)
    connection.settimeout(90)
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    received = b""
    while chunk := connection.recv(1024):
        received += chunk
    assert received.endswith(b"hello")
    assert forwarded.error(8080) is None
    forwarded.close()


async def test_kubernetes_asyncio_runs_a_command(kubeconfig):
    configuration = kubernetes_asyncio.client.Configuration()
    await kubernetes_asyncio.config.load_kube_config(kubeconfig, client_configuration=configuration)
    async with WsApiClient(configuration) as sockets:
        core = kubernetes_asyncio.client.CoreV1Api(sockets)
        printed = await core.connect_get_namespaced_pod_exec(
            "web", "default", command=["echo", "hi"], stdin=False, stdout=True, stderr=True, tty=False
        )
    assert printed == "hi\n"


@pytest.fixture
def nothing_collected():
    """kr8s leaves suspended generators behind; collected while a module is parsed, they make Python 3.11 fail there.

    It is itself what parses modules: those of anyio, when it first needs them.
    """
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
def test_kr8s_runs_a_command_and_reads_logs(kubeconfig, nothing_collected):
    api = kr8s.api(kubeconfig=kubeconfig)
    pod = kr8s.objects.Pod.get("web", namespace="default", api=api)
    assert pod.exec(["echo", "hi"]).stdout == b"hi\n"
    assert list(pod.logs()) == ["listening"]
    del api, pod
