"""What kubectl makes, changes and removes, and the words it has for it."""

from __future__ import annotations

import json
import stat
import time

import pytest

pytestmark = pytest.mark.kubectl

SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "web"},
    "spec": {
        "serviceName": "web",
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "host"}, {"name": "d", "image": "host"}]},
        },
    },
}


def changed(**spec):
    return {**SET, "spec": {**SET["spec"], **spec}}


def test_apply_creates_configures_and_leaves_alone(kubectl):
    assert kubectl("apply", "-f", "-", manifest=SET) == "statefulset.apps/web created\n"
    assert kubectl("apply", "-f", "-", manifest=SET) == "statefulset.apps/web unchanged\n"
    assert kubectl("apply", "-f", "-", manifest=changed(minReadySeconds=3)) == "statefulset.apps/web configured\n"
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.minReadySeconds} {.metadata.generation}") == "3 2"
    assert kubectl("apply", "-f", "-", manifest=SET) == "statefulset.apps/web configured\n"
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.minReadySeconds} {.metadata.generation}") in (" 3", "0 3")


def test_apply_says_what_the_server_would_do(kubectl):
    assert kubectl("apply", "--dry-run=server", "-f", "-", manifest=SET) == (
        "statefulset.apps/web created (server dry run)\n"
    )
    assert "NotFound" in kubectl.fails("get", "sts/web")


def test_diff_shows_what_apply_would_change_and_changes_nothing(kubectl):
    """(A311)"""
    new = kubectl("diff", "-f", "-", manifest=SET, check=False)
    assert (new.returncode, "+kind: StatefulSet" in new.stdout) == (1, True), new
    kubectl("apply", "-f", "-", manifest=SET)
    # At rest: old kubectls do not notice a status that is written between their two looks.
    observed = ("get", "sts/web", "-o", "jsonpath={.status.observedGeneration} {.status.updateRevision}")
    before, deadline = "", time.monotonic() + 60
    while not before.startswith("1 web-") or kubectl("diff", "-f", "-", manifest=SET, check=False).stdout:
        assert time.monotonic() < deadline, before
        before = kubectl(*observed)
    differs = kubectl("diff", "-f", "-", manifest=changed(replicas=2), check=False)
    assert differs.returncode == 1
    lines = [line for line in differs.stdout.splitlines() if line.startswith(("-  ", "+  ")) and "time: " not in line]
    assert lines == ["-  generation: 1", "+  generation: 2", "-  replicas: 0", "+  replicas: 2"]
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.replicas}") == "0"


def test_strict_validation_names_unknown_and_doubled_fields(kubectl, namespace):
    kubectl.since(27, "validation by the server")
    text = json.dumps(SET).replace('"replicas": 0', '"replicas": 0, "replicaz": 1, "replicas": 0')
    start = 'StatefulSet in version "v1" cannot be handled as a StatefulSet: strict decoding error: '
    refused = kubectl.fails("create", "--validate=strict", "-f", "-", manifest=text)
    assert f'{start}unknown field "spec.replicaz"\n' in refused
    # Only what is sent as it stands still has the second of two fields.
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets?fieldValidation=Strict"
    refused = kubectl.fails("create", "--raw", path, "-f", "-", manifest=text)
    assert f'{start}unknown field "spec.replicaz", duplicate field "spec.replicas"\n' in refused
    warned = kubectl("create", "--validate=warn", "-f", "-", manifest=text, check=False)
    assert 'Warning: unknown field "spec.replicaz"' in warned.stderr
    assert warned.stdout == "statefulset.apps/web created\n"


def test_server_side_apply_conflicts_until_forced(kubectl):
    server_side = ("apply", "--server-side", "-f", "-")
    assert kubectl(*server_side, manifest=SET) == "statefulset.apps/web serverside-applied\n"
    kubectl("scale", "sts/web", "--replicas=3")
    kubectl(*server_side, "--field-manager=other", "--force-conflicts", manifest=changed(minReadySeconds=1))
    refused = kubectl.fails(*server_side, manifest=changed(minReadySeconds=2))
    assert 'Apply failed with 1 conflict: conflict with "other": .spec.minReadySeconds' in refused
    assert "Please review the fields above--they currently have other managers. Here" in refused
    kubectl(*server_side, "--force-conflicts", manifest=changed(minReadySeconds=2))
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.minReadySeconds} {.spec.replicas}") == "2 0"


def test_client_side_apply_migrates_to_server_side(kubectl):
    """(A145)"""
    kubectl.since(27, "the migration")
    kubectl("apply", "-f", "-", manifest=changed(minReadySeconds=1))
    kubectl("apply", "--server-side", "-f", "-", manifest=SET)
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.minReadySeconds}") in ("", "0")
    managers = json.loads(kubectl("get", "sts/web", "--show-managed-fields", "-o", "json"))["metadata"]["managedFields"]
    assert sorted(entry["manager"] for entry in managers if entry["operation"] == "Apply") == MIGRATED
    assert not any(entry["manager"] == "kubectl-client-side-apply" for entry in managers)


MIGRATED = ["kubectl", "kubectl-last-applied"]
"""The second keeps the annotation of client-side apply true, for those who still use it."""


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """Makes the editor a sed script."""

    def use(script):
        program = tmp_path / "editor"
        program.write_text(f'#!/bin/sh\nsed -i "{script}" "$1"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("KUBE_EDITOR", str(program))
        monkeypatch.setenv("TMPDIR", str(tmp_path))

    return use


def test_edit_changes_refuses_and_leaves_alone(kubectl, editor):
    kubectl("apply", "-f", "-", manifest=SET)
    editor("s/replicas: 0/replicas: 1/")
    assert kubectl("edit", "sts/web") == "statefulset.apps/web edited\n"
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.replicas}") == "1"
    editor("s/nothing/else/")
    assert "Edit cancelled, no changes made." in kubectl("edit", "sts/web", check=False).stderr
    editor("s/serviceName: web/serviceName: other/")
    refused = kubectl("edit", "sts/web", check=False)
    assert refused.returncode != 0
    assert 'error: statefulsets.apps "web" is invalid\n' in refused.stderr


def test_replace_and_replace_force(kubectl):
    missing = kubectl.fails("replace", "-f", "-", manifest=SET)
    assert 'statefulsets.apps "web" not found' in missing
    kubectl("create", "-f", "-", manifest=SET)
    uid = kubectl("get", "sts/web", "-o", "jsonpath={.metadata.uid}")
    assert kubectl("replace", "-f", "-", manifest=changed(replicas=1)) == "statefulset.apps/web replaced\n"
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.replicas} {.metadata.uid}") == f"1 {uid}"
    printed = kubectl("replace", "--force", "-f", "-", manifest=SET)
    assert printed.splitlines()[-1] == "statefulset.apps/web replaced"
    assert kubectl("get", "sts/web", "-o", "jsonpath={.metadata.uid}") != uid


def test_patch_of_each_type_and_of_a_subresource(kubectl):
    kubectl("create", "-f", "-", manifest=SET)
    image = '{"spec":{"template":{"spec":{"containers":[{"name":"d","image":"i%d"}]}}}}'
    images = ("get", "sts/web", "-o", "jsonpath={.spec.template.spec.containers[*].image}")
    assert kubectl("patch", "sts/web", "-p", image % 1) == "statefulset.apps/web patched\n"
    assert kubectl(*images) == "host i1"
    assert kubectl("patch", "sts/web", "-p", image % 1) == "statefulset.apps/web patched (no change)\n"
    kubectl("patch", "sts/web", "--type=merge", "-p", image % 2)
    assert kubectl(*images) == "i2"
    operation = '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"i3"}]'
    kubectl("patch", "sts/web", "--type=json", "-p", operation)
    assert kubectl(*images) == "i3"
    if kubectl.minor >= 24:
        patch = '{"status":{"collisionCount":7},"spec":{"replicas":9}}'
        kubectl("patch", "sts/web", "--subresource=status", "--type=merge", "-p", patch)
        both = ("get", "sts/web", "-o", "jsonpath={.spec.replicas} {.status.collisionCount}")
        assert kubectl(*both) == "0 7"
        assert kubectl("get", "sts/web", "--subresource=scale", "--no-headers").split()[:3] == ["web", "0", "0"]


def test_delete_by_name_label_and_all(kubectl):
    for name in ("a", "b", "c", "d"):
        kubectl("create", "configmap", name)
    kubectl("label", "cm", "a", "b", "x=y")
    assert kubectl("delete", "cm", "c") == f'configmap "c" deleted{kubectl.from_namespace}\n'
    assert kubectl("delete", "cm", "-l", "x=y").count(" deleted") == 2
    dry = kubectl("delete", "cm", "d", "--dry-run=server")
    assert dry == f'configmap "d" deleted{kubectl.from_namespace} (server dry run)\n'
    assert 'configmap "d" deleted' in kubectl("delete", "cm", "--all")
    assert "No resources found" in kubectl("delete", "cm", "-l", "x=y")
