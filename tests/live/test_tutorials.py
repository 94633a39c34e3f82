"""The tutorials that people follow, unmodified, with the real kubectls and the programs they name.

What each promises is a page in `tutorials/`: its commands are run beside the tutorial's own files, and every line that
is printed is compared, as with our own lessons.
"""

from __future__ import annotations

import os
import shutil
import urllib.request
from pathlib import Path

import pytest

from holdfast.cluster.lessons.shelf import Lesson

from .playing import problems_of

ROOT = Path(__file__).parents[2]
TUTORIALS = Path(os.environ.get("HOLDFAST_TUTORIALS") or ROOT.parent / "shared" / "tutorials")
MANIFESTS = {"web-storageclass": ".", "postgres": "postgres", "mehdb": ".", "web-statefulset": "."}
"""Each tutorial, and where its commands expect its files."""

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


@pytest.fixture
def tutorial(request, tmp_path):
    """The tutorial's files as they are, with the page of what it promises."""
    if not TUTORIALS.is_dir():
        pytest.skip("the tutorials' manifests are not beside this repository; HOLDFAST_TUTORIALS says where they are")
    (page,) = (Path(__file__).parent / "tutorials").glob(f"*-{request.param}.md")
    folder = tmp_path / page.stem
    shutil.copytree(TUTORIALS / request.param, folder / MANIFESTS[request.param])
    shutil.copy(page, folder / "README.md")
    return Lesson(int(page.stem.partition("-")[0]), request.param, folder)


@pytest.mark.parametrize("tutorial", MANIFESTS, indirect=True)
def test_a_tutorial_keeps_its_promises(tutorial, kubectls, build_images):
    problems = problems_of(tutorial, kubectls, build_images)
    assert not problems, "\n\n".join(problems)


def test_pages_are_served_from_each_pods_own_volume(cluster, load_images):
    load_images(cluster, "nginx")
    assert "k8s.gcr.io/nginx-slim:0.8" in cluster.holdfast("image", "list").stdout
    cluster.kubectl("apply", "-f", "-", manifest=NGINX)
    cluster.kubectl("rollout", "status", "sts/pages", "--timeout=120s")
    addresses = cluster.kubectl("get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[*].status.podIP}").split()
    served = [urllib.request.urlopen(f"http://{address}/", timeout=60).read() for address in addresses]
    assert served == [b"pages-0\n", b"pages-1\n"]
    other = cluster.kubectl("exec", "pages-0", "-c", "nginx", "--", "curl", "-s", "http://pages-1.nginx")
    assert other == "pages-1\n"
