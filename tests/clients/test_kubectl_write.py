"""What kubectl makes, changes and removes, and the words it has for it."""

from __future__ import annotations

import json
import stat

import pytest

pytestmark = pytest.mark.kubectl

GENERATED = {
    "configmap": (["configmap", "g", "--from-literal=a=1"], "configmap/g", {"data": {"a": "1"}}),
    "secret": (["secret", "generic", "g", "--from-literal=a=1"], "secret/g", {"data": {"a": "MQ=="}, "type": "Opaque"}),
    "tls": (None, "secret/g", {"type": "kubernetes.io/tls"}),
    "quota": (["quota", "g", "--hard=cpu=1500m"], "resourcequota/g", {"spec": {"hard": {"cpu": "1500m"}}}),
    "serviceaccount": (["serviceaccount", "g"], "serviceaccount/g", {}),
    "role": (
        ["role", "g", "--verb=get", "--resource=pods"],
        "role.rbac.authorization.k8s.io/g",
        {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    ),
    "rolebinding": (
        ["rolebinding", "g", "--role=g", "--user=jane"],
        "rolebinding.rbac.authorization.k8s.io/g",
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "g"}},
    ),
    "deployment": (["deployment", "g", "--image=host", "--replicas=0"], "deployment.apps/g", {"spec": {"replicas": 0}}),
    "job": (["job", "g", "--image=host", "--", "true"], "job.batch/g", {"spec": {"backoffLimit": 6}}),
    "clusterip": (
        ["service", "clusterip", "g", "--tcp=80:8080"],
        "service/g",
        {"spec": {"ports": [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}]}},
    ),
    "headless": (["service", "clusterip", "g", "--clusterip=None"], "service/g", {"spec": {"clusterIP": "None"}}),
    "nodeport": (["service", "nodeport", "g", "--tcp=80"], "service/g", {"spec": {"type": "NodePort"}}),
    "externalname": (
        ["service", "externalname", "g", "--external-name=a.b"],
        "service/g",
        {"spec": {"type": "ExternalName", "externalName": "a.b"}},
    ),
    "ingress": (
        ["ingress", "g", "--rule=a.b/c=svc:80"],
        "ingress.networking.k8s.io/g",
        {"spec": {"rules": [{"host": "a.b"}]}},
    ),
}

SINCE_21 = {
    "cronjob": (
        ["cronjob", "g", "--image=host", "--schedule=*/5 * * * *"],
        "cronjob.batch/g",
        {"spec": {"schedule": "*/5 * * * *", "concurrencyPolicy": "Allow"}},
    ),
    "pdb": (
        ["pdb", "g", "--selector=app=a", "--min-available=1"],
        "poddisruptionbudget.policy/g",
        {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}},
    ),
}


def holds(found, wanted):
    """Whether `wanted` is part of `found`, at every depth."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return found == wanted


@pytest.mark.parametrize("kind", [*GENERATED, *SINCE_21])
def test_create_makes_each_kind_of_its_generators(kubectl, kind, cluster):
    """Protobuf in the newer ones (A46)."""
    if kind in SINCE_21:
        kubectl.since(21, "the kind's version of today")
    arguments, name, wanted = {**GENERATED, **SINCE_21}[kind]
    if kind == "tls":
        pki = cluster.home / "pki"
        arguments = ["secret", "tls", "g", f"--cert={pki}/apiserver.crt", f"--key={pki}/apiserver.key"]
    assert kubectl("create", *arguments) == f"{name} created\n"
    found = json.loads(kubectl("get", name, "-o", "json"))
    assert holds(found, wanted), found
    again = kubectl.fails("create", *arguments)
    assert again.endswith('"g" already exists\n'), again


def test_create_cluster_scoped_kinds(kubectl, namespace):
    for kind, made in (
        (["clusterrole", namespace, "--verb=get", "--resource=nodes"], "clusterrole.rbac.authorization.k8s.io"),
        (
            ["clusterrolebinding", namespace, "--clusterrole=view", "--user=x"],
            "clusterrolebinding.rbac.authorization.k8s.io",
        ),
        (["priorityclass", namespace, "--value=7", "--description=d"], "priorityclass.scheduling.k8s.io"),
        (["namespace", f"{namespace}x"], "namespace"),
    ):
        assert kubectl("create", *kind) == f"{made}/{kind[1]} created\n"
        kubectl("delete", f"{made}/{kind[1]}", "--wait=false")


def test_run_and_expose_and_autoscale(kubectl):
    assert kubectl("run", "p", "--image=host", "--port=80", "--labels=app=p") == "pod/p created\n"
    assert kubectl("expose", "pod", "p", "--name=q", "--target-port=81") == "service/q exposed\n"
    found = json.loads(kubectl("get", "svc", "q", "-o", "json"))["spec"]
    assert (found["selector"], found["ports"]) == ({"app": "p"}, [{"port": 80, "protocol": "TCP", "targetPort": 81}])
    kubectl("create", "deployment", "d", "--image=host")
    if "autoscaling/v1" in kubectl("api-versions").split() or kubectl.minor >= 33:
        done = kubectl("autoscale", "deployment", "d", "--max=3", "--min=2", "--cpu-percent=50")
        assert done == "horizontalpodautoscaler.autoscaling/d autoscaled\n"
        assert kubectl("get", "hpa", "d", "--no-headers").split()[:2] == ["d", "Deployment/d"]


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
    assert kubectl("diff", "-f", "-", manifest=SET) == ""
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


def test_label_and_annotate(kubectl):
    kubectl("create", "configmap", "c")
    assert kubectl("label", "cm/c", "a=1", "b=2") == "configmap/c labeled\n"
    assert "already has a value (1), and --overwrite is false" in kubectl.fails("label", "cm/c", "a=2")
    kubectl("label", "cm/c", "a=2", "b-", "--overwrite")
    assert json.loads(kubectl("get", "cm/c", "-o", "json"))["metadata"]["labels"] == {"a": "2"}
    wrong = kubectl.fails("label", "cm/c", "a=-", "--overwrite")
    assert "a valid label must be an empty string or consist of alphanumeric characters" in wrong
    kubectl("annotate", "cm/c", "note=a b")
    assert kubectl("get", "cm/c", "-o", "jsonpath={.metadata.annotations.note}") == "a b"


def test_set_image_env_and_resources(kubectl):
    kubectl("create", "-f", "-", manifest=SET)
    assert kubectl("set", "image", "sts/web", "c=new") == "statefulset.apps/web image updated\n"
    assert kubectl("set", "env", "sts/web", "-c", "d", "A=B") == "statefulset.apps/web env updated\n"
    assert kubectl("set", "env", "sts/web", "--list") == (
        "# StatefulSet web, container c\n# StatefulSet web, container d\nA=B\n"
    )
    limits = ("set", "resources", "sts/web", "-c", "c", "--limits=cpu=0.2,memory=1Gi")
    assert kubectl(*limits) == "statefulset.apps/web resource requirements updated\n"
    c, d = json.loads(kubectl("get", "sts/web", "-o", "json"))["spec"]["template"]["spec"]["containers"]
    assert (c["image"], c["resources"]) == ("new", {"limits": {"cpu": "200m", "memory": "1Gi"}})
    assert (d["image"], d["env"]) == ("host", [{"name": "A", "value": "B"}])


def test_scale_only_from_the_expected_number(kubectl):
    kubectl("create", "-f", "-", manifest=SET)
    refused = kubectl.fails("scale", "sts/web", "--replicas=2", "--current-replicas=5")
    assert "Expected replicas to be 5, was 0" in refused
    assert kubectl("scale", "sts/web", "--replicas=2", "--current-replicas=0") == "statefulset.apps/web scaled\n"


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


def test_describe_of_what_every_cluster_has(kubectl):
    for name, namespace, shown in (
        ("ns/default", "", "Status:"),
        ("storageclass/standard", "", "VolumeBindingMode:"),
        ("clusterrole/view", "", "PolicyRule:"),
        ("clusterrolebinding/cluster-admin", "", "Role:"),
        ("priorityclass/system-node-critical", "", "GlobalDefault:"),
        ("svc/kubernetes", "default", "TargetPort:"),
        ("sa/default", "default", "Mountable secrets:"),
        ("cm/kube-root-ca.crt", "default", "BEGIN CERTIFICATE"),
    ):
        assert shown in kubectl(*(("-n", namespace) if namespace else ()), "describe", name)


def test_describe_of_what_was_made(kubectl):
    kubectl("create", "-f", "-", manifest=SET)
    kubectl("create", "service", "clusterip", "s", "--tcp=80")
    kubectl("create", "job", "j", "--image=host")
    kubectl("create", "quota", "q", "--hard=pods=1")
    kubectl("create", "ingress", "i", "--rule=a.b/c=s:80")
    for name, shown in (
        ("sts/web", "Pods Status:"),
        ("svc/s", "Session Affinity:"),
        ("job/j", "Parallelism:"),
        ("quota/q", "Resource"),
        ("ingress/i", "Backends"),
    ):
        assert shown in kubectl("describe", name)
