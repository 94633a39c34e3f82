"""The NFS tutorial with its own files: claims by size, pods that share and outlive, volumes recycled (X3, X4)."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "clients"))
from kubectls import old_and_new
from nfs_server import NfsServer, missing

TUTORIALS = Path(os.environ.get("HOLDFAST_TEST_TUTORIALS") or Path(__file__).parents[3] / "shared" / "tutorials")
TUTORIAL = TUTORIALS / "nfs-volumes"
PLACEHOLDER = "192.168.0.13"
"""The server's address in the page's files: the reader puts the real one in its place."""

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(not TUTORIAL.is_dir(), reason="the tutorials' manifests are not beside this repository"),
]


@pytest.fixture(scope="module")
def images(cluster, load_images):
    """And no default class, as the page has none."""
    said = cluster.holdfast("up", "--no-merge", "--default-class", "none").stdout
    assert "up already" in said
    load_images(cluster, "nginx", "mysql-openshift")


@pytest.fixture
def page():
    """The server with its two exports, and the page's files with its address in them."""
    directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    server = NfsServer(directory / "server", "data-0001", "data-0002")
    server.start()
    for path in TUTORIAL.glob("*.yaml"):
        (directory / path.name).write_text(path.read_text().replace(PLACEHOLDER, server.host))
    yield server, directory
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture(params=old_and_new())
def kubectl(cluster, request):
    program = request.getfixturevalue(request.param) if isinstance(request.param, str) else request.param

    def run(*arguments, **options):
        return cluster.kubectl(*arguments, kubectl=program, **options)

    yield run
    for kind in ("pod/mysql", "pod/www", "pod/www2", "pvc/claim-mysql", "pvc/claim-http", "pv/nfs-0001", "pv/nfs-0002"):
        cluster.kubectl("delete", kind, "--ignore-not-found", check=False)


def table(text):
    """Rows of a printed table by the first column, as mappings from column to text."""
    head, *lines = text.splitlines()
    found = list(re.finditer(r"\S+(?: \S+)*", head))
    spans = [(each.group(), each.start(), after.start()) for each, after in itertools.pairwise(found)]
    spans.append((found[-1].group(), found[-1].start(), None))
    rows = [{name: line[start:end].strip() for name, start, end in spans} for line in lines]
    return {row["NAME"]: row for row in rows}


def fetch(address):
    """What the pod serves, as soon as it listens: status and body."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while True:
        try:
            with direct.open(f"http://{address}/", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                return error.code, ""
        except urllib.error.URLError:
            assert time.monotonic() < deadline, f"nobody listens at {address}"
            time.sleep(0.1)


def test_the_page_from_its_first_line_to_its_last(cluster, images, page, kubectl):
    server, files = page
    on_server = server.export("data-0001")

    created = kubectl("create", "-f", str(files / "nfs-0001.yaml"), "-f", str(files / "nfs-0002.yaml"))
    assert created.splitlines() == ["persistentvolume/nfs-0001 created", "persistentvolume/nfs-0002 created"]
    cluster.until("X3.1 both are available", lambda: kubectl("get", "pv").count("Available") == 2)
    volumes = table(kubectl("get", "pv"))
    assert {
        name: (row["CAPACITY"], row["ACCESS MODES"], row["RECLAIM POLICY"], row["STATUS"], row["CLAIM"])
        for name, row in volumes.items()
    } == {
        "nfs-0001": ("2Gi", "RWO,RWX", "Recycle", "Available", ""),
        "nfs-0002": ("5Gi", "RWO,RWX", "Recycle", "Available", ""),
    }

    created = kubectl("create", "-f", str(files / "pvc-mysql.yaml"), "-f", str(files / "pvc-http.yaml"))
    assert created.splitlines() == [
        "persistentvolumeclaim/claim-mysql created",
        "persistentvolumeclaim/claim-http created",
    ]
    cluster.until("X3.2 both claims are bound", lambda: kubectl("get", "pvc").count("Bound") == 2)
    claims = table(kubectl("get", "pvc"))
    assert {
        name: (row["STATUS"], row["VOLUME"], row["CAPACITY"], row["ACCESS MODES"], row["STORAGECLASS"])
        for name, row in claims.items()
    } == {
        "claim-http": ("Bound", "nfs-0001", "2Gi", "RWO,RWX", ""),
        "claim-mysql": ("Bound", "nfs-0002", "5Gi", "RWO,RWX", ""),
    }
    volumes = table(kubectl("get", "pv"))
    assert {name: (row["STATUS"], row["CLAIM"]) for name, row in volumes.items()} == {
        "nfs-0001": ("Bound", "default/claim-http"),
        "nfs-0002": ("Bound", "default/claim-mysql"),
    }

    created = kubectl("create", "-f", str(files / "pod-mysql.yaml"), "-f", str(files / "pod-www.yaml"))
    assert created.splitlines() == ["pod/mysql created", "pod/www created"]
    kubectl("wait", "pod/mysql", "pod/www", "--for=condition=Ready", "--timeout=240s")
    assert {name: (row["READY"], row["STATUS"]) for name, row in table(kubectl("get", "pods")).items()} == {
        "mysql": ("1/1", "Running"),
        "www": ("1/1", "Running"),
    }
    assert f"{server.host}:/exports/data-0001" in kubectl("describe", "pv", "nfs-0001") or server.host in kubectl(
        "describe", "pv", "nfs-0001"
    )

    address = kubectl("get", "pod", "www", "-o", "jsonpath={.status.podIP}")
    assert fetch(address)[0] == 403, "X3.5 an empty folder is not shown"
    (on_server / "index.html").write_text("<h1>from the server</h1>\n")
    assert fetch(address) == (200, "<h1>from the server</h1>\n")
    (on_server / "index.html").write_text("<h1>changed on the server</h1>\n")
    assert fetch(address) == (200, "<h1>changed on the server</h1>\n")

    assert kubectl("delete", "pod", "www").strip().startswith('pod "www" deleted')
    assert kubectl("create", "-f", str(files / "pod-www2.yaml")) == "pod/www2 created\n"
    kubectl("wait", "pod/www2", "--for=condition=Ready", "--timeout=120s")
    address = kubectl("get", "pod", "www2", "-o", "jsonpath={.status.podIP}")
    assert fetch(address) == (200, "<h1>changed on the server</h1>\n"), "X3.7"
    assert kubectl("create", "-f", str(files / "pod-www.yaml")) == "pod/www created\n"
    kubectl("wait", "pod/www", "--for=condition=Ready", "--timeout=120s")
    kubectl("delete", "pod", "www")

    the_database_outlives_its_pod(cluster, server, files, kubectl)
    a_deleted_claim_recycles_its_volume(cluster, on_server, files, kubectl)


def the_database_outlives_its_pod(cluster, server, files, kubectl):
    """X4.1, X4.5: with the user, the password and the database that the pod's environment names."""

    def sql(statement):
        login = ("mysql", "-h", "127.0.0.1", "-u", "wp_user", "-pwp_pass", "wp_db")
        return kubectl("exec", "mysql", "--", *login, "-N", "-e", statement, check=False)

    cluster.until("the database answers", lambda: sql("SELECT 1").stdout == "1\n", within_s=240)
    assert sql("CREATE TABLE posts (title text); INSERT INTO posts VALUES ('kept')").returncode == 0
    owner = os.stat(server.export("data-0002") / "wp_db")
    assert owner.st_uid != 0, "X4.2 the image is not root"
    kubectl("delete", "pod", "mysql")
    kubectl("create", "-f", str(files / "pod-mysql.yaml"))
    cluster.until("the rows are there", lambda: sql("SELECT title FROM posts").stdout == "kept\n", within_s=240)
    kubectl("delete", "pod", "mysql")


def a_deleted_claim_recycles_its_volume(cluster, on_server, files, kubectl):
    """X3.8, X3.9."""
    (on_server / ".hidden").write_text("goes too")
    (on_server / "below" / "deeper").mkdir(parents=True)
    (on_server / "below" / "link").symlink_to("/etc")
    before = os.stat(on_server)
    kubectl("delete", "pvc", "claim-http", "--wait=false")
    assert table(kubectl("get", "pvc"))["claim-http"]["STATUS"] == "Terminating"
    assert (on_server / "index.html").exists()
    kubectl("delete", "pod", "www2")
    cluster.until("the claim goes", lambda: "claim-http" not in kubectl("get", "pvc"))
    cluster.until(
        "its volume is available again", lambda: table(kubectl("get", "pv"))["nfs-0001"]["STATUS"] == "Available"
    )
    assert list(on_server.iterdir()) == []
    after = os.stat(on_server)
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_ino) == (
        stat.S_IMODE(before.st_mode),
        before.st_uid,
        before.st_ino,
    )
    volume = cluster.get("pv", "nfs-0001")
    assert "claimRef" not in volume["spec"]
    assert "pv.kubernetes.io/bound-by-controller" not in volume["metadata"].get("annotations", {})
    cluster.until("its event", lambda: "VolumeRecycled" in kubectl("describe", "pv", "nfs-0001"))
    assert table(kubectl("get", "pv"))["nfs-0002"]["STATUS"] == "Bound", "the other is left alone"
    kubectl("create", "-f", str(files / "pvc-http.yaml"))
    cluster.until("it is taken again", lambda: table(kubectl("get", "pvc"))["claim-http"]["VOLUME"] == "nfs-0001")


def test_v25_v140_a_pod_waits_for_its_claim_and_a_claim_without_volume_stays_pending(cluster, images, page):
    """X3.2, V25, V140."""
    _, files = page
    kubectl = cluster.kubectl
    try:
        kubectl("create", "-f", str(files / "pod-www.yaml"))
        kubectl("create", "-f", str(files / "pvc-http.yaml"))
        cluster.until("the claim says why", lambda: "FailedBinding" in kubectl("describe", "pvc", "claim-http"))
        assert "no persistent volumes available for this claim and no storage class is set" in kubectl(
            "describe", "pvc", "claim-http"
        )
        assert table(kubectl("get", "pods"))["www"]["STATUS"] == "Pending"
        kubectl("create", "-f", str(files / "nfs-0001.yaml"))
        kubectl("wait", "pod/www", "--for=condition=Ready", "--timeout=120s")
    finally:
        for kind in ("pod/www", "pvc/claim-http", "pv/nfs-0001"):
            kubectl("delete", kind, "--ignore-not-found")


def test_x3_3_with_a_default_class_the_claims_are_provisioned_from_it(cluster, images, page):
    _, files = page
    kubectl = cluster.kubectl
    cluster.holdfast("up", "--no-merge", "--default-class", "standard")
    try:
        assert "standard (default)" in kubectl("get", "storageclass")
        refused = cluster.holdfast("up", "--no-merge", "--default-class", "missing", check=False)
        assert refused.returncode != 0
        assert 'there is no storage class "missing": kubectl get storageclass' in refused.stderr
        assert "standard (default)" in kubectl("get", "storageclass")
        kubectl("create", "-f", str(files / "nfs-0001.yaml"), "-f", str(files / "pvc-http.yaml"))
        kubectl("create", "-f", str(files / "pod-www.yaml"))
        kubectl("wait", "pod/www", "--for=condition=Ready", "--timeout=120s")
        assert table(kubectl("get", "pvc"))["claim-http"]["STORAGECLASS"] == "standard"
        assert table(kubectl("get", "pv"))["nfs-0001"]["STATUS"] == "Available"
    finally:
        for kind in ("pod/www", "pvc/claim-http", "pv/nfs-0001"):
            kubectl("delete", kind, "--ignore-not-found")
        cluster.holdfast("up", "--no-merge", "--default-class", "none")
    assert "(default)" not in kubectl("get", "storageclass")


def test_the_database_outlives_its_server(cluster, images, page):
    """R174: killed under load and back; every row that was answered is there, also after the pod's own death."""
    server, files = page
    kubectl = cluster.kubectl

    def sql(statement, *options, check=False):
        login = ("mysql", "-h", "127.0.0.1", "-u", "wp_user", "-pwp_pass", "wp_db", "-N", *options)
        return kubectl("exec", "mysql", "--", *login, "-e", statement, check=check)

    try:
        kubectl("create", "-f", str(files / "nfs-0002.yaml"), "-f", str(files / "pvc-mysql.yaml"))
        kubectl("create", "-f", str(files / "pod-mysql.yaml"))
        cluster.until("the database answers", lambda: sql("SELECT 1").stdout == "1\n", within_s=240)
        sql("CREATE TABLE rows_in (number int)", check=True)
        loading = subprocess.Popen(
            cluster.command("exec", "mysql", "--", "sh", "-c", LOAD), stdout=subprocess.PIPE, text=True
        )
        assert loading.stdout.readline() == "begun\n"
        time.sleep(1)
        server.kill()
        time.sleep(3)
        server.start()
        said, _ = loading.communicate(timeout=240)
        assert said.split() == ["all", "300"]
        kubectl("delete", "pod", "mysql", "--force", "--grace-period=0")
        kubectl("create", "-f", str(files / "pod-mysql.yaml"))
        cluster.until("it is back", lambda: sql("SELECT 1").stdout == "1\n", within_s=240)
        assert sql("SELECT count(*), sum(number) FROM rows_in").stdout.split() == ["300", str(sum(range(1, 301)))]
        assert sql("CHECK TABLE rows_in").stdout.split()[-1] == "OK"
    finally:
        for kind in ("pod/mysql", "pvc/claim-mysql", "pv/nfs-0002"):
            kubectl("delete", kind, "--ignore-not-found")


LOAD = """
echo begun
login='mysql -h 127.0.0.1 -u wp_user -pwp_pass wp_db -N'
number=0
while [ $number -lt 300 ]; do
    number=$((number + 1))
    echo "INSERT INTO rows_in VALUES ($number); DO SLEEP(0.01);"
done | $login && $login -e "SELECT 'all', count(*) FROM rows_in"
"""
