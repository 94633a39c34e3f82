"""A webhook that runs in a pod, behind a service, as operators have them (A246)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from holdfast.cluster import certificates
from holdfast.cluster.home import Home

HOST = "hook.default.svc"
WITHOUT_AN_END = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]
SERVER = """
import base64, http.server, json, ssl

class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        response = {"uid": request["uid"], "allowed": True}
        if self.path.startswith("/label"):
            labels = dict(request["object"]["metadata"].get("labels") or {}, hooked=request["operation"].lower())
            patch = [{"op": "add", "path": "/metadata/labels", "value": labels}]
            response.update(patchType="JSONPatch", patch=base64.b64encode(json.dumps(patch).encode()).decode())
        elif request["oldObject"]["metadata"]["name"] == "precious":
            response.update(allowed=False, status={"message": "it is precious", "code": 403, "reason": "Forbidden"})
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("", 8443), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def webhook(name, path, bundle, **more):
    client = {"service": {"name": "hook", "namespace": "default", "path": path}, "caBundle": bundle}
    return {
        "name": name,
        "clientConfig": client,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 30,
        **more,
    }


def configuration(kind, name, webhook):
    api_version = "admissionregistration.k8s.io/v1"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "webhooks": [webhook]}


@pytest.fixture(scope="module")
def bundle(cluster, tmp_path_factory):
    """The webhook's authority; its pod runs and is ready."""
    pki = Home(tmp_path_factory.mktemp("hook"))
    pki.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(pki, datetime.now(UTC), [HOST], "10.96.0.1")
    files = certificates.pair(pki, f"node-{HOST}")
    data = {
        "tls.crt": base64.b64encode(files.certificate.read_bytes()).decode(),
        "tls.key": base64.b64encode(files.key.read_bytes()).decode(),
    }
    container = {
        "name": "hook",
        "image": "host",
        "command": ["/usr/bin/python3", "-c", SERVER],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "hook"}}],
    }
    items = [
        {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "hook"}, "data": data},
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "hook", "labels": {"app": "hook"}}, "spec": spec},
        {
            "kind": "Service",
            "apiVersion": "v1",
            "metadata": {"name": "hook"},
            "spec": {"selector": {"app": "hook"}, "ports": [{"port": 443, "targetPort": 8443}]},
        },
    ]
    cluster.kubectl("apply", "-f", "-", manifest={"kind": "List", "apiVersion": "v1", "items": items})
    cluster.kubectl("wait", "--for=condition=Ready", "pod/hook", "--timeout=60s")
    cluster.until("it has an endpoint", lambda: cluster.get("endpoints", "hook").get("subsets"))
    return base64.b64encode(pki.ca_certificate.read_bytes()).decode()


def test_a_webhook_in_a_pod_changes_what_a_set_makes_and_keeps_what_is_precious(cluster, bundle):
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    maps = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    label = webhook("label.example.com", "/label", bundle, rules=[pods])
    keep = webhook("keep.example.com", "/keep", bundle, rules=[maps])
    for kind, name, each in (
        ("MutatingWebhookConfiguration", "label", label),
        ("ValidatingWebhookConfiguration", "keep", keep),
    ):
        cluster.kubectl("apply", "-f", "-", manifest=configuration(kind, name, each))

    labels = {"app": "db"}
    container = {"name": "main", "image": "host", "command": WITHOUT_AN_END}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    spec = {"serviceName": "db", "replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    sts = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", manifest=sts)
    cluster.kubectl("rollout", "status", "sts/db", "--timeout=60s")
    found = cluster.get("pods", "-l", "app=db,hooked=create")["items"]
    assert [pod["metadata"]["name"] for pod in found] == ["db-0", "db-1"]

    # Nobody objects to these, but somebody could: they wait until all are asked.
    assert cluster.kubectl("exec", "db-0", "--", "echo", "still here") == "still here\n"
    (node,) = cluster.get("nodes")["items"]
    assert cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node['metadata']['name']}/proxy/healthz") == "ok"

    for name in ("precious", "cheap"):
        cluster.kubectl("create", "configmap", name)
    cluster.kubectl("delete", "configmap", "cheap")
    refused = cluster.kubectl("delete", "configmap", "precious", check=False)
    assert refused.returncode == 1
    said = 'admission webhook "keep.example.com" denied the request: it is precious'
    assert refused.stderr.strip() == f"Error from server (Forbidden): {said}"

    cluster.kubectl("delete", "pod", "hook")

    def failure():  # as soon as the pod's processes are gone, which may be a moment after it
        told = cluster.kubectl("delete", "configmap", "precious", check=False).stderr
        return told if "no endpoints available" in told else ""

    failed = cluster.until("the webhook fails", failure)
    assert 'failed calling webhook "keep.example.com": failed to call webhook: Post ' in failed
    assert failed.strip().endswith('no endpoints available for service "hook"')
    cluster.kubectl("delete", "validatingwebhookconfiguration", "keep")
    cluster.kubectl("delete", "configmap", "precious")
