"""Web sets as tutorials write them, with the programs they name: nginx and httpd, built from Debian's packages."""

from __future__ import annotations

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
def images(cluster, load_images):
    """Loaded under the names that the tutorials write."""
    loaded = load_images(cluster, "nginx", "httpd", "postgres", "mehdb", "tools")
    assert "k8s.gcr.io/nginx-slim:0.8" in loaded
    assert "docker.io/library/httpd:2.4" in loaded


@pytest.fixture
def tutorial(cluster, images):
    """A function to a kubectl in a namespace, new or made by `manifest`; what is in it is deleted."""
    if not TUTORIALS.is_dir():
        pytest.skip("the tutorials' manifests are not beside this repository")
    used = []

    def begin(namespace, manifest=None):
        if manifest:
            cluster.kubectl("apply", "-f", "-", manifest=manifest)
        else:
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


CLIENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "reader"},
    "spec": {
        "hostNetwork": True,
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "reader", "image": "postgres:10.4", "command": ["sleep", "infinity"]}],
    },
}
"""The reader's own machine: its network, and a psql."""


def test_the_database_keeps_its_rows_when_it_is_scaled_away(cluster, tutorial):
    manifests = cluster.kubectl("kustomize", str(TUTORIALS / "postgres"))
    kubectl = tutorial("codewizard", manifest=manifests)
    kubectl("apply", "-f", "-", manifest=CLIENT)
    node = kubectl(
        *("get", "nodes", "-l", "node-role.kubernetes.io/control-plane"),
        *("-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"),
    )
    port = kubectl("get", "service", "postgres", "-o", "jsonpath={.spec.ports[0].nodePort}")
    config = cluster.get("-n", "codewizard", "configmap", "postgres-config")["data"]
    login = [f"PGPASSWORD={config['POSTGRES_PASSWORD']}", "psql", "-h", node, "-p", port, "-AtX"]
    login += ["-U", config["POSTGRES_USER"], "-d", config["POSTGRES_DB"]]

    def psql(statement):
        return kubectl("exec", "reader", "--", "env", *login, "-c", statement, check=False)

    cluster.until("the database answers", lambda: psql("SELECT 1").stdout == "1\n")
    assert psql("CREATE TABLE visits (visitor text)").returncode == 0
    for count in (1, 2):
        assert psql("INSERT INTO visits VALUES ('reader')").returncode == 0
        assert psql("SELECT count(*) FROM visits").stdout == f"{count}\n"

    kubectl("scale", "statefulset", "postgres", "--replicas=0")
    kubectl("wait", "--for=delete", "pod/postgres-0", "--timeout=60s")
    assert "Connection refused" in psql("SELECT 1").stderr
    kubectl("scale", "statefulset", "postgres", "--replicas=1")
    cluster.until("the rows are still there", lambda: psql("SELECT count(*) FROM visits").stdout == "2\n")

    kubectl("delete", "statefulset", "postgres")
    kubectl("wait", "--for=delete", "pod/postgres-0", "--timeout=60s")
    assert kubectl("get", "pvc", "-o", "name") == "persistentvolumeclaim/postgres-pv-claim\n"
    kubectl("apply", "-f", "-", manifest=manifests)
    cluster.until("the claim had them", lambda: psql("SELECT count(*) FROM visits").stdout == "2\n")


EBS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "ebs"},
    "provisioner": "kubernetes.io/aws-ebs",
    "volumeBindingMode": "WaitForFirstConsumer",
}
"""The class that the tutorial's cloud brings along."""


def test_the_key_value_store_leads_and_follows(cluster, tutorial):
    cluster.kubectl("apply", "-f", "-", manifest=EBS)
    kubectl = tutorial("mehdb")
    kubectl("apply", "-f", str(TUTORIALS / "mehdb" / "app.yaml"))
    kubectl("rollout", "status", "sts/mehdb", "--timeout=90s")
    rows = [line.split() for line in kubectl("get", "pvc", "--no-headers").splitlines()]
    assert [row[:2] for row in rows] == [["data-mehdb-0", "Bound"], ["data-mehdb-1", "Bound"]]
    assert kubectl("get", "service", "mehdb", "-o", "jsonpath={.spec.clusterIP}") == "None"
    jump = (
        "run",
        "-i",
        "--rm",
        "jumpod",
        "--restart=Never",
        "--image=quay.io/mhausenblas/jump:0.2",
        "--",
        "curl",
        "-s",
    )
    said = kubectl(*jump, "mehdb:9876/status?level=full")
    assert said.replace("If you don't see a command prompt, try pressing enter.\n", "").startswith(
        '0pod "jumpod" deleted'
    )

    def curl(pod, *arguments):
        return kubectl("exec", pod, "--", "curl", "-s", *arguments, check=False).stdout

    refused = curl(
        "mehdb-1", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", *put("word", "kept", "localhost")
    )
    assert refused == "307 http://mehdb-0.mehdb:9876/set/word"
    curl("mehdb-1", "-L", *put("word", "kept", "localhost"))
    assert curl("mehdb-1", "mehdb-0.mehdb:9876/get/word") == "kept"
    cluster.until("the follower has it", lambda: curl("mehdb-0", "mehdb-1.mehdb:9876/get/word") == "kept")
    for pod in ("mehdb-1", "mehdb-0"):
        kubectl("delete", "pod", pod)
        cluster.until(f"{pod} is back with its keys", lambda pod=pod: curl(pod, "localhost:9876/get/word") == "kept")


def put(key, value, host):
    return "-X", "PUT", "-d", value, f"http://{host}:9876/set/{key}"
