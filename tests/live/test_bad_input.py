"""What is wrong is said in Kubernetes' words, as an error or an event, and the daemon goes on."""

from __future__ import annotations

import json

import pytest

SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "web"},
    "spec": {
        "serviceName": "web",
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "host", "command": ["sleep", "60"]}]},
        },
    },
}


def changed(path, value):
    """The set with one member replaced, as JSON text."""
    manifest = json.loads(json.dumps(SET))
    parent = manifest
    *parents, last = path.split(".")
    for name in parents:
        parent = parent[int(name) if name.isdigit() else name]
    parent[last] = value
    return json.dumps(manifest)


REFUSED = [
    pytest.param("kind: [unclosed", "error converting YAML to JSON", id="malformed YAML"),
    pytest.param(
        changed("spec.template.spec.containers.0.imagee", "x"),
        'strict decoding error: unknown field "spec.template.spec.containers[0].imagee"',
        id="unknown field",
    ),
    pytest.param(
        changed("spec.replicas", "three"), "cannot unmarshal string into Go struct field", id="wrong type of a field"
    ),
    pytest.param(
        changed("metadata.name", "Not_A_Label"),
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters",
        id="name that is no DNS label",
    ),
    pytest.param(
        changed("spec.template.metadata.labels", {"app": "other"}),
        "`selector` does not match template `labels`",
        id="selector that does not match the template",
    ),
    pytest.param(changed("spec.replicas", -1), "must be greater than or equal to 0", id="negative number of replicas"),
]


@pytest.mark.parametrize(("manifest", "message"), REFUSED)
def test_what_is_wrong_is_refused_with_kubernetes_words(cluster, manifest, message):
    refused = cluster.kubectl("create", "--validate=strict", "-f", "-", manifest=manifest, check=False)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def events(cluster, name):
    return cluster.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}", "--no-headers")


def test_a_missing_image_is_told_by_state_and_event(cluster):
    cluster.kubectl("run", "lost", "--image=nowhere.example/nothing:1", "--restart=Never")
    cluster.until("the back-off", lambda: "ImagePullBackOff" in cluster.kubectl("get", "pod", "lost"))
    for told in (
        'Pulling image "nowhere.example/nothing:1"',
        'Failed to pull image "nowhere.example/nothing:1"',
        'failed to do request: Head "https://nowhere.example/v2/nothing/manifests/1": ',
    ):
        cluster.until(told, lambda told=told: told in events(cluster, "lost"))
    cluster.kubectl("delete", "pod", "lost")


def test_a_claim_that_cannot_be_satisfied_keeps_its_pod_pending_and_says_why(cluster):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "impossible"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "no-such-class",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "waiting"},
        "spec": {
            "containers": [{"name": "c", "image": "host", "command": ["sleep", "60"]}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "impossible"}}],
        },
    }
    cluster.kubectl("create", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [claim, pod]})
    cluster.until("the scheduler's event", lambda: "FailedScheduling" in events(cluster, "waiting"))
    assert "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims" in events(cluster, "waiting")
    missing = 'storageclass.storage.k8s.io "no-such-class" not found'
    cluster.until("the binder's event", lambda: missing in events(cluster, "impossible"))
    assert cluster.get("pod", "waiting")["status"]["phase"] == "Pending"
    cluster.kubectl("delete", "pod/waiting", "pvc/impossible")


def test_a_program_that_does_not_exist_is_told_by_the_containers_state(cluster):
    cluster.kubectl("run", "broken", "--image=host", "--restart=Never", "--command", "--", "/no/such/program")
    status = cluster.until(
        "the state", lambda: cluster.get("pod", "broken")["status"].get("containerStatuses", [{}])[0].get("state")
    )
    state = cluster.until(
        "the error",
        lambda: [
            reason
            for found in [cluster.get("pod", "broken")["status"]["containerStatuses"][0]["state"]]
            for reason in [found.get("waiting", found.get("terminated", {})).get("reason")]
            if reason in ("RunContainerError", "CreateContainerError", "StartError", "ContainerCannotRun")
        ],
    )
    assert status
    assert state
    cluster.until("its event", lambda: "/no/such/program" in events(cluster, "broken"))
    cluster.kubectl("delete", "pod", "broken")


def test_the_daemon_is_none_the_worse(cluster):
    assert cluster.status()["nodes"][0]["ready"]
    assert "Traceback" not in (cluster.home / "logs" / "daemon.log").read_text()
    assert "Traceback" not in (cluster.home / "logs" / "agents.log").read_text()
