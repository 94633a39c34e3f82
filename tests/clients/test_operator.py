"""An operator made with kopf: it reacts to objects, writes to them, keeps its finalizer and sees them go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.cluster import certificates
from holdfast.cluster.home import Home

PROGRAM = Path(__file__).with_name("greeter.py")


@pytest.fixture
def seen(cluster, namespace):
    """What a running operator of the namespace has told so far."""
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", namespace, str(PROGRAM)]
    environment = {**os.environ, "KUBECONFIG": str(cluster.home / "kubeconfig")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    told = []
    reader = threading.Thread(target=listen, args=(process.stdout, told))
    reader.start()
    try:
        yield told
    finally:
        process.terminate()
        process.wait(90)
        reader.join()
        process.stdout.close()


def listen(stream, told):
    for line in stream:
        if line.startswith("saw "):
            told.append(line.removeprefix("saw ").strip())


def until(holds, within_s=90):
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_operator_sees_a_set_made_scaled_and_deleted(seen, api, namespace):
    sets = f"/apis/apps/v1/namespaces/{namespace}/statefulsets"
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "host"}]}}
    spec = {"replicas": 0, "serviceName": "web", "selector": {"matchLabels": labels}, "template": template}
    api.create(sets, {"metadata": {"name": "web"}, "spec": spec})
    until(lambda: api.get(f"{sets}/web").body["metadata"].get("labels") == {"greeted": "yes"})
    assert api.get(f"{sets}/web").body["metadata"]["finalizers"] == ["holdfast.dev/kopf"]
    api.merge(f"{sets}/web", {"spec": {"replicas": 1}})
    until(lambda: "scaled web 0 1" in seen)
    api.delete(f"{sets}/web")
    until(lambda: api.request("GET", f"{sets}/web").code == 404)
    until(lambda: len(seen) == 3)
    assert seen == ["created web", "scaled web 0 1", "deleted web"]
    events = f"/api/v1/namespaces/{namespace}/events"
    until(lambda: api.get(events, fieldSelector="reason=Greeted").body["items"])
    (event,) = api.get(events, fieldSelector="reason=Greeted").body["items"]
    assert (event["involvedObject"]["name"], event["message"], event["type"]) == ("web", "hello", "Normal")


def test_an_operator_sees_every_event_once(seen, api, namespace):
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    api.create(maps, {"metadata": {"name": "c"}})
    until(lambda: seen)  # `event None` for what was there before the operator
    api.merge(f"{maps}/c", {"data": {"a": "1"}})
    until(lambda: len(seen) == 2)
    api.delete(f"{maps}/c")
    until(lambda: len(seen) == 3)
    assert seen[0] in ("event ADDED", "event None")
    assert seen[1:] == ["event MODIFIED", "event DELETED"]


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GREETING = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


@pytest.fixture
def greetings(api, namespace):
    """Where greetings are, a kind of the operator's own."""
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": GREETING}}
    version["subresources"] = {"status": {}}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "greetings", "kind": "Greeting"},
        "versions": [version],
    }
    api.create(DEFINITIONS, {"metadata": {"name": "greetings.example.com"}, "spec": spec})
    path = f"/apis/example.com/v1/namespaces/{namespace}/greetings"
    until(lambda: "Established" in str(api.get(f"{DEFINITIONS}/greetings.example.com").body["status"]["conditions"]))
    yield path
    api.delete(f"{DEFINITIONS}/greetings.example.com")
    until(lambda: api.request("GET", f"{DEFINITIONS}/greetings.example.com").code == 404)


def test_an_operator_looks_after_a_kind_of_its_own(greetings, seen, api):
    body = {"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": {"name": "eve"}, "spec": {"word": "hello"}}
    api.create(greetings, body)
    until(lambda: api.get(f"{greetings}/eve").body.get("status", {}).get("said") == "hello, eve")
    assert api.get(f"{greetings}/eve").body["metadata"]["finalizers"] == ["holdfast.dev/kopf"]
    api.merge(f"{greetings}/eve", {"spec": {"word": "good morning"}})
    until(lambda: api.get(f"{greetings}/eve").body["status"]["said"] == "good morning, eve")
    api.delete(f"{greetings}/eve")
    until(lambda: api.request("GET", f"{greetings}/eve").code == 404)
    until(lambda: len(seen) == 3)
    assert seen == ["greeted eve", "reworded eve good morning", "left eve"]


GATEKEEPER = Path(__file__).with_name("gatekeeper.py")


@pytest.fixture
def gate(cluster, namespace, tmp_path):
    """A running operator that serves webhooks, which are registered."""
    pki = Home(tmp_path)
    pki.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(pki, datetime.now(UTC), ["hook"], "10.96.0.1")
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", namespace, str(GATEKEEPER)]
    environment = {**os.environ, "KUBECONFIG": str(cluster.home / "kubeconfig"), "PKI": str(pki.pki)}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True)
        try:
            yield
        finally:
            process.terminate()
            process.wait(90)


def test_an_operator_s_webhooks_are_called(gate, api, namespace):
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    registered = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations/gatekeeper.holdfast.dev"

    def is_registered(kind):
        answer = api.request("GET", registered.format(kind))
        return answer.code == 200 and answer.body.get("webhooks")

    try:
        until(lambda: is_registered("mutating") and is_registered("validating"))
        made = api.request("POST", maps, {"metadata": {"name": "a"}})
        assert (made.code, made.body["metadata"]["labels"]) == (201, {"gate": "passed"}), made.body
        refused = api.request("POST", maps, {"metadata": {"name": "b"}, "data": {"forbidden": "yes"}})
        assert refused.code == 499
        assert refused.body["message"].endswith("denied the request: not through this gate")
        assert api.request("GET", f"{maps}/b").code == 404
    finally:
        for kind in ("mutating", "validating"):
            api.request("DELETE", registered.format(kind))
