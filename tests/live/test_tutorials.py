"""Web sets as tutorials write them, with the programs they name: nginx and httpd, built from Debian's packages."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT.parent / "shared" / "tutorials"

NGINX = """
apiVersion: v1
kind: Service
metadata: {name: nginx, labels: {app: nginx}}
spec:
  ports: [{port: 80, name: web}]
  clusterIP: None
  selector: {app: nginx}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: pages}
spec:
  serviceName: nginx
  replicas: 2
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec:
      containers:
      - name: nginx
        image: registry.k8s.io/nginx-slim:0.24
        ports: [{containerPort: 80, name: web}]
        readinessProbe: {httpGet: {path: /, port: web}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 80}}
        volumeMounts: [{name: www, mountPath: /usr/share/nginx/html}]
      initContainers:
      - name: content
        image: registry.k8s.io/nginx-slim:0.24
        command: [sh, -c, "hostname > /www/index.html"]
        volumeMounts: [{name: www, mountPath: /www}]
  volumeClaimTemplates:
  - metadata: {name: www}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


@pytest.fixture(scope="module")
def images(cluster):
    """Built once, kept beside the repository's other caches, and loaded."""
    output = ROOT / ".cache" / "images"
    command = [sys.executable, str(ROOT / "images" / "build.py"), "nginx", "httpd"]
    command += ["--output", str(output), "--cache", str(ROOT / ".cache" / "packages")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = cluster.holdfast("image", "load", str(output / "nginx.tar"), str(output / "httpd.tar")).stdout
    assert "k8s.gcr.io/nginx-slim:0.8" in loaded
    assert "docker.io/library/httpd:2.4" in loaded


@pytest.fixture
def tutorial(cluster, images):
    """A function from a tutorial's folder to a kubectl in a namespace of its own; what it made is deleted."""
    used = []

    def begin(name):
        if not TUTORIALS.is_dir():
            pytest.skip("the tutorials' manifests are not beside this repository")
        namespace = name.lower()
        cluster.kubectl("create", "namespace", namespace)
        used.append(namespace)
        return lambda *arguments, **options: cluster.kubectl("-n", namespace, *arguments, **options)

    yield begin
    for namespace in used:
        cluster.kubectl("delete", "namespace", namespace)


def test_pages_are_served_from_each_pods_own_volume(cluster, images):
    cluster.kubectl("apply", "-f", "-", manifest=NGINX)
    cluster.kubectl("rollout", "status", "sts/pages", "--timeout=60s")
    addresses = cluster.kubectl("get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[*].status.podIP}").split()
    served = [urllib.request.urlopen(f"http://{address}/", timeout=5).read() for address in addresses]
    assert served == [b"pages-0\n", b"pages-1\n"]
    other = cluster.kubectl("exec", "pages-0", "-c", "nginx", "--", "curl", "-s", "http://pages-1.nginx")
    assert other == "pages-1\n"


def test_the_web_set_of_the_first_tutorial(tutorial):
    kubectl = tutorial("web-statefulset")
    created = kubectl("create", "-f", str(TUTORIALS / "web-statefulset" / "web_stateful.yaml"))
    assert created.splitlines() == ["service/nginx created", "statefulset.apps/web created"]
    kubectl("rollout", "status", "sts/web", "--timeout=60s")
    assert [line.split()[:3] for line in kubectl("get", "pods", "--no-headers").splitlines()] == [
        ["web-0", "1/1", "Running"],
        ["web-1", "1/1", "Running"],
    ]
    kubectl("exec", "web-0", "--", "sh", "-c", "echo kept > /usr/share/nginx/html/index.html")
    kubectl("delete", "pod", "web-0")
    kubectl("rollout", "status", "sts/web", "--timeout=60s")
    assert kubectl("exec", "web-1", "--", "curl", "-s", "web-0.nginx") == "kept\n"
    deleted = kubectl("delete", "-f", str(TUTORIALS / "web-statefulset" / "web_stateful.yaml"))
    assert deleted.splitlines() == ['service "nginx" deleted', 'statefulset.apps "web" deleted']
    assert kubectl("get", "pvc", "-o", "name").split() == [f"persistentvolumeclaim/www-web-{n}" for n in (0, 1)]


def test_the_web_set_with_a_clouds_storage_class(tutorial):
    kubectl = tutorial("web-storageclass")
    folder = TUTORIALS / "web-storageclass"
    created = kubectl("apply", "-f", str(folder / "web-stateful.yaml"))
    assert created.splitlines() == ["storageclass.storage.k8s.io/www-disk created", "statefulset.apps/webapp created"]
    kubectl("apply", "-f", str(folder / "web-svc.yaml"))
    kubectl("rollout", "status", "sts/webapp", "--timeout=60s")
    assert kubectl("get", "statefulset", "--no-headers").split()[:2] == ["webapp", "3/3"]
    rows = [line.split() for line in kubectl("get", "pvc", "--no-headers").splitlines()]
    assert [(row[0], row[1], row[3], row[4], row[5]) for row in rows] == [
        (f"www-webapp-{ordinal}", "Bound", "1Gi", "RWO", "www-disk") for ordinal in range(3)
    ]
    assert all(row[2].startswith("pvc-") for row in rows)
    volumes = [line.split() for line in kubectl("get", "pv", "--no-headers").splitlines() if "www-disk" in line]
    assert sorted(row[5] for row in volumes) == [f"web-storageclass/www-webapp-{ordinal}" for ordinal in range(3)]
    assert {row[3] for row in volumes} == {"Delete"}
    page = "<html><body><h1>It works!</h1></body></html>"
    for name in ("web-svc", "webapp-1.web-svc"):
        assert kubectl("exec", "webapp-0", "--", "curl", "-s", name).strip() == page
    kubectl("delete", "-f", str(folder / "web-svc.yaml"))
    kubectl("delete", "-f", str(folder / "web-stateful.yaml"))
    kubectl("wait", "--for=delete", "pod/webapp-0", "--timeout=60s", check=False)
    assert len(kubectl("get", "pvc", "-o", "name").split()) == 3
