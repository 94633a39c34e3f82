"""One cluster without nodes for all tests here, a namespace for each, and every kubectl that can be had."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.live.conftest import Cluster, debian_kubectl  # noqa: F401

from .api import Api
from .kubectls import every_kubectl


@pytest.fixture(scope="session")
def kubeless():
    """A cluster that needs no kubectl of its own: every test brings one, or none."""
    yield from running("--nodes", "0")


@pytest.fixture(scope="session")
def simulated():
    """Two nodes whose containers are simulated: pods run, nothing else does."""
    yield from running("--nodes", "2", "--runtime", "simulated")


def running(*arguments):
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", "kubectl")
    try:
        cluster.up(*arguments)
        yield cluster
    finally:
        cluster.holdfast("down", "--purge")
        shutil.rmtree(cluster.home.parent, ignore_errors=True)


@pytest.fixture
def cluster(kubeless):
    """What a test's requests go to; modules that need pods to run say `simulated` instead."""
    return kubeless


def client(cluster):
    known = json.loads((cluster.home / "kubeconfig").read_text())  # half a second faster than to ask `status`
    url = known["clusters"][0]["cluster"]["server"]
    return Api(url, (cluster.home / "admin.token").read_text().strip(), cluster.home / "ca.crt")


@pytest.fixture
def api(cluster):
    made = client(cluster)
    yield made
    made.close()


@pytest.fixture
def namespace(api, request):
    """A namespace of the test's own. Its removal is begun, not waited for."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**10}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    api.delete(f"/api/v1/namespaces/{name}")


class Kubectl:
    """One kubectl, in one namespace."""

    def __init__(self, cluster, program, minor, namespace):
        self._cluster, self._program, self._namespace = cluster, program, namespace
        self.minor = minor

    def __call__(self, *arguments, **options):
        """What it prints; see Cluster.kubectl."""
        return self._cluster.kubectl("-n", self._namespace, *arguments, kubectl=self._program, **options)

    def fails(self, *arguments, **options):
        """What it prints to standard error when it fails, without the mention of its own name."""
        done = self(*arguments, check=False, **options)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def watching(self, *arguments):
        """A kubectl that goes on; its lines can be read as they come, none after 90 s; and its log, for `opened`."""
        command = self._cluster.command("-n", self._namespace, "-v=6", *arguments, kubectl=self._program)
        return subprocess.Popen(["timeout", "90", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def from_namespace(self):
        """What the newest add to the name of what they deleted."""
        return f" from {self._namespace} namespace" if self.minor >= 34 else ""

    def since(self, minor, what):
        """Skips the test for a kubectl older than 1.`minor`."""
        if self.minor < minor:
            pytest.skip(f"kubectl 1.{self.minor} does not know {what}")


@pytest.fixture(scope="session", params=every_kubectl())
def program(request):
    """A kubectl's path and minor version."""
    path = request.param if isinstance(request.param, Path) else request.getfixturevalue(request.param)
    told = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True)
    return path, int(re.sub(r"\D", "", json.loads(told.stdout)["clientVersion"]["minor"]))


@pytest.fixture
def kubectl(cluster, program, namespace):
    return Kubectl(cluster, *program, namespace)
