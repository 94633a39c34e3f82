"""`holdfast why` on real containers: what it says cures is run as it stands, and cures."""

from __future__ import annotations

import json
import os
import subprocess

import pytest


def why(cluster, what):
    return json.loads(cluster.holdfast("why", what, "-o", "json").stdout)


def cure(cluster, what, subjects, says):
    """Waits for the explanation, and runs its last line in a shell."""

    def is_explained():
        causes = why(cluster, what)["causes"]
        found = [cause["subject"] for cause in causes] == subjects and says in causes[-1]["says"]
        return causes[-1]["cure"] if found else None

    command = cluster.until(f"{what}: {says}", is_explained)
    environment = {**os.environ, "KUBECONFIG": str(cluster.home / "kubeconfig")}
    environment["PATH"] = f"{os.path.dirname(cluster.command()[0])}:{environment['PATH']}"
    subprocess.run(command, shell=True, env=environment, check=True, capture_output=True, timeout=60)
    return command


def is_fine(cluster, what):
    cluster.until(f"{what} is as it is wanted", lambda: why(cluster, what)["as_wanted"])


def pod(name, **spec):
    container = {"name": "main", "image": "host", "command": ["sleep", "1000"], **spec.pop("container", {})}
    metadata = {"name": name, "labels": {"app": name}}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("name", "spec", "cause", "says"),
    [
        (
            "a",
            {"volumes": [{"name": "v", "secret": {"secretName": "tls"}}]},
            "secret/tls",
            "the volume v is to hold it",
        ),
        ("b", {"container": {"envFrom": [{"configMapRef": {"name": "cm"}}]}}, "configmap/cm", "it does not exist"),
    ],
)
def test_a_missing_source_is_made_and_the_pod_starts(cluster, name, spec, cause, says):
    if "volumes" in spec:
        spec = {**spec, "container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}}
    cluster.kubectl("apply", "-f", "-", manifest=pod(name, **spec))
    cure(cluster, f"pod/{name}", [f"pod/{name}", cause], says)
    is_fine(cluster, f"pod/{name}")


def test_a_cordoned_node_is_opened_again(cluster):
    node = cluster.status()["nodes"][0]["name"]
    cluster.kubectl("cordon", node)
    cluster.kubectl("apply", "-f", "-", manifest=pod("c"))
    assert cure(cluster, "pod/c", ["pod/c"], "cordoned") == f"kubectl uncordon {node}"
    is_fine(cluster, "pod/c")


def test_a_set_gets_its_service_and_a_broken_rollout_its_end(cluster, statefulset):
    made = statefulset("db", 2)
    items = [each for each in made["items"] if each["kind"] == "StatefulSet"] if made["kind"] == "List" else [made]
    (made,) = items
    cluster.kubectl("apply", "-f", "-", manifest=json.dumps(made))
    service = made["spec"]["serviceName"]
    cure(
        cluster,
        f"name/db-0.{service}",
        [f"name/db-0.{service}.default.svc.cluster.local", f"service/{service}"],
        "exist",
    )
    is_fine(cluster, "sts/db")
    is_fine(cluster, f"name/db-0.{service}")
    assert cluster.holdfast("dns", f"db-0.{service}").returncode == 0

    cluster.kubectl("set", "image", "sts/db", "main=example.invalid/no:1")
    broken = [cause["says"] for cause in cluster.until("broken", lambda: why(cluster, "sts/db")["causes"])]
    assert broken
    cluster.until("cannot be pulled", lambda: "cannot be pulled" in str(why(cluster, "sts/db")["causes"]))
    cluster.kubectl("set", "image", "sts/db", "main=host")
    cure(cluster, "sts/db", ["statefulset/db"], "an ordered set does not replace such a pod")
    is_fine(cluster, "sts/db")


def test_an_explanation_reads_as_a_tree_and_an_unknown_object_is_one_line(cluster):
    cluster.kubectl("apply", "-f", "-", manifest=pod("d", container={"command": ["/no/such/program"]}))
    said = cluster.until("d", lambda: (text := cluster.holdfast("why", "pod/d").stdout) and "cannot" in text and text)
    assert said.splitlines()[-1].startswith("cure  correct its command")
    missing = cluster.holdfast("why", "pod/nobody", check=False)
    assert (missing.returncode, missing.stderr) == (1, 'holdfast: pods "nobody" not found\n')
    assert cluster.holdfast("why", "web", check=False).returncode == 2
