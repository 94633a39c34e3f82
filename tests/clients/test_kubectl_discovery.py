"""What kubectl learns of the server before it does anything: kinds, versions, fields, rights."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.kubectl

STATEFULSET_FIELDS = (
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "podManagementPolicy",
    "replicas",
    "revisionHistoryLimit",
    "selector",
    "serviceName",
    "template",
    "updateStrategy",
    "volumeClaimTemplates",
)


def depth(line):
    return len(line) - len(line.lstrip())


def top_level(fields):
    """Names of the outermost fields in what explain printed, in order."""
    lines = [line for line in fields.splitlines() if line.strip()]
    outermost = min(map(depth, lines))
    return [line.split()[0] for line in lines if depth(line) == outermost]


def test_explain_recursive_lists_every_field_below_a_set_s_spec(kubectl):
    head, _, fields = kubectl("explain", "statefulset.spec", "--recursive").partition("FIELDS:\n")
    assert top_level(fields) == list(STATEFULSET_FIELDS)
    assert "StatefulSet" in head
    assert {"matchLabelKeys", "terminationGracePeriodSeconds", "volumeAttributesClassName"} <= set(fields.split())


def test_explain_says_type_and_meaning_of_a_field(kubectl):
    printed = kubectl("explain", "pod.spec.containers")
    assert printed.startswith("KIND:       Pod\nVERSION:    v1\n\nFIELD: containers <[]Container>\n\n") or (
        kubectl.minor < 27 and printed.startswith("KIND:     Pod\nVERSION:  v1\n\nRESOURCE: containers <[]Object>\n\n")
    )
    assert "List of containers belonging to the pod. Containers cannot currently be" in printed
    assert "name\t<string> -required-" in printed


def test_explain_of_what_there_is_not(kubectl):
    assert 'field "nosuch" does not exist' in kubectl.fails("explain", "pod.spec.nosuch")
    assert 'the server doesn\'t have a resource type "nosuch"' in kubectl.fails("explain", "nosuch")


def test_api_resources_tells_short_names_scope_and_kind(kubectl):
    rows = [line.split() for line in kubectl("api-resources", "--no-headers").splitlines()]
    for row in (
        ["persistentvolumeclaims", "pvc", "v1", "true", "PersistentVolumeClaim"],
        ["statefulsets", "sts", "apps/v1", "true", "StatefulSet"],
        ["storageclasses", "sc", "storage.k8s.io/v1", "false", "StorageClass"],
        ["roles", "rbac.authorization.k8s.io/v1", "true", "Role"],
    ):
        assert row in rows
    names = kubectl("api-resources", "--namespaced=false", "-o", "name").split()
    assert {"nodes", "namespaces", "storageclasses.storage.k8s.io"} <= set(names)
    assert "pods" not in names


def test_api_resources_of_one_group_with_verbs(kubectl):
    header, *rows = kubectl("api-resources", "--api-group=apps", "--verbs=list,get", "-o", "wide").splitlines()
    assert header.split()[-1] == ("CATEGORIES" if kubectl.minor >= 26 else "VERBS")
    assert [row.split()[0] for row in rows] == [
        "controllerrevisions",
        "daemonsets",
        "deployments",
        "replicasets",
        "statefulsets",
    ]
    words = rows[-1].replace(",", " ").replace("[", "").replace("]", "").split()
    assert words[5:13] == ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def test_api_versions_are_sorted_and_hold_every_group(kubectl):
    versions = kubectl("api-versions").split()
    assert versions == sorted(versions)
    assert {"v1", "apps/v1", "batch/v1", "policy/v1", "storage.k8s.io/v1", "events.k8s.io/v1"} <= set(versions)


def test_version_names_the_server(kubectl):
    server = json.loads(kubectl("version", "-o", "json"))["serverVersion"]
    assert (server["major"], server["minor"]) == ("1", "36")
    assert server["gitVersion"].startswith("v1.36.")


def test_cluster_info_names_the_address(kubectl, cluster):
    plain = kubectl("cluster-info").replace("\x1b[0m", "").replace("\x1b[0;32m", "").replace("\x1b[0;33m", "")
    assert f"is running at {cluster.status()['daemon']['url']}\n" in plain


def test_a_dump_of_the_cluster_holds_its_objects(kubectl, namespace, tmp_path):
    kubectl("create", "deployment", "d", "--image=host", "--replicas=0")
    kubectl("create", "service", "clusterip", "s", "--tcp=80")
    asked = ("cluster-info", "dump", f"--namespaces={namespace}")
    assert kubectl(*asked, f"--output-directory={tmp_path}") == f"Cluster info dumped to {tmp_path}\n"
    written = {path.stem: json.loads(path.read_text()) for path in (tmp_path / namespace).glob("*.json")}
    found = {name: [item["metadata"]["name"] for item in one["items"] or ()] for name, one in written.items()}
    assert (found["deployments"], found["services"], found["pods"]) == (["d"], ["s"], [])
    assert json.loads((tmp_path / "nodes.json").read_text())["kind"] == "NodeList"
    assert '"kind": "DeploymentList"' in kubectl(*asked)


def test_raw_paths_are_answered_as_they_are(kubectl, namespace):
    assert json.loads(kubectl("get", "--raw", "/version"))["major"] == "1"
    assert kubectl("get", "--raw", "/livez/ping") == "ok"
    assert kubectl("get", "--raw", "/readyz?verbose").endswith("readyz check passed\n")
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert json.loads(kubectl("get", "--raw", path))["kind"] == "ConfigMapList"
    assert kubectl.fails("get", "--raw", f"{path}/x") == ('Error from server (NotFound): configmaps "x" not found\n')
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert json.loads(kubectl("create", "--raw", path, "-f", "-", manifest=made))["metadata"]["uid"]
    assert json.loads(kubectl("delete", "--raw", f"{path}/x"))["status"] == "Success"
    unknown = "Error from server (NotFound): the server could not find the requested resource\n"
    assert kubectl.fails("get", "--raw", "/nosuch") == unknown


def test_can_i_as_administrator_and_as_somebody_without_rights(kubectl):
    assert kubectl("auth", "can-i", "delete", "statefulsets") == "yes\n"
    refused = kubectl("auth", "can-i", "get", "pods", "--as=nobody", check=False)
    assert (refused.returncode, refused.stdout.split()[0]) == (1, "no")
    rows = [line.split() for line in kubectl("auth", "can-i", "--list").splitlines()]
    assert ["*.*", "[]", "[]", "[*]"] in rows
    listed = kubectl("auth", "can-i", "--list", "--as=nobody")
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed
    assert "*.*" not in listed


def test_who_am_i(kubectl):
    kubectl.since(28, "authentication.k8s.io/v1")
    me = ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
    assert kubectl(*me) == 'kubernetes-admin ["system:masters","system:authenticated"]'
    assert kubectl(*me, "--as=jane", "--as-group=dev") == 'jane ["dev","system:authenticated"]'


def test_rights_given_by_a_role_count_at_once(kubectl):
    forbidden = 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace'
    assert f"Error from server (Forbidden): {forbidden}" in kubectl.fails("get", "pods", "--as=jane")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    kubectl("create", "rolebinding", "reader", "--role=reader", "--user=jane")
    assert kubectl("get", "pods", "--as=jane", "-o", "name") == ""
    assert kubectl("auth", "can-i", "list", "pods", "--as=jane") == "yes\n"
    kubectl("delete", "rolebinding", "reader")
    assert kubectl("auth", "can-i", "list", "pods", "--as=jane", check=False).stdout.startswith("no")


def test_a_token_of_kubectl_create_token_opens_the_door(kubectl, cluster, namespace):
    kubectl.since(24, "create token")
    kubectl("create", "serviceaccount", "builder")
    token = kubectl("create", "token", "builder", "--duration=10m").strip()
    user = f"system:serviceaccount:{namespace}:builder"
    # With the certificate in the kubeconfig the token would not count.
    bearer = ("--kubeconfig", "/dev/null", *address(cluster), "--token", token)
    refused = kubectl.fails(*bearer, "get", "pods")
    assert f'User "{user}" cannot list resource "pods"' in refused
    kubectl("create", "rolebinding", "view", "--clusterrole=view", f"--serviceaccount={namespace}:builder")
    assert kubectl(*bearer, "get", "pods", "-o", "name") == ""


def address(cluster):
    return "--server", cluster.status()["daemon"]["url"], "--certificate-authority", str(cluster.home / "ca.crt")
