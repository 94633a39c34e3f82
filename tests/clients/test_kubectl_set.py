"""Small changes by kubectl: set, label, annotate, scale, patches of a subresource."""

from __future__ import annotations

import json

import pytest

from .test_kubectl_write import SET

pytestmark = pytest.mark.kubectl


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
    if kubectl.minor >= 22:
        stale = kubectl.fails("scale", "sts/web", "--replicas=1", "--resource-version=1")
        assert "Expected resource version to be 1, was" in stale
    kubectl("create", "configmap", "c")
    assert "could not find the requested resource" in kubectl.fails("scale", "cm/c", "--replicas=1")


def test_labels_and_annotations_are_listed_kept_and_taken_away(kubectl):
    kubectl("create", "configmap", "c")
    kubectl("label", "cm/c", "a=1", "b=2")
    kubectl("annotate", "cm/c", "note=x")
    assert sorted(kubectl("label", "cm/c", "--list").splitlines()) == ["a=1", "b=2"]
    assert kubectl("annotate", "cm/c", "--list") == "note=x\n"
    assert "already has a value (x)" in kubectl.fails("annotate", "cm/c", "note=y")
    assert kubectl("annotate", "cm/c", "note=y", "--overwrite").startswith("configmap/c annotate")
    kubectl("annotate", "cm/c", "note-")
    assert kubectl("annotate", "cm/c", "--list") == ""
    assert kubectl("label", "cm", "--all", "d=4").count(" labeled\n") >= 1
    assert kubectl("label", "cm", "-l", "a=1", "e=5") == "configmap/c labeled\n"
    stale = kubectl.fails("label", "cm/c", "a=3", "--overwrite", "--resource-version=1")
    assert "the object has been modified; please apply your changes to the latest version and try again" in stale
    wrong = kubectl.fails("label", "cm/c", "bad_key_=1")
    assert "name part must consist of alphanumeric characters, '-', '_' or '.'" in wrong


def test_set_selector_subject_and_service_account(kubectl):
    kubectl("create", "service", "clusterip", "s", "--tcp=80")
    assert kubectl("set", "selector", "service", "s", "a=b,c=d") == "service/s selector updated\n"
    assert json.loads(kubectl("get", "svc", "s", "-o", "json"))["spec"]["selector"] == {"a": "b", "c": "d"}
    trial = kubectl("set", "selector", "service", "s", "e=f", "--dry-run=server", "-o", "jsonpath={.spec.selector.e}")
    assert trial == "f"
    kubectl("create", "rolebinding", "b", "--clusterrole=view", "--user=jane")
    subjects = ("--user=joe", "--group=dev", "--serviceaccount=x:y")
    assert kubectl("set", "subject", "rolebinding", "b", *subjects) == (
        "rolebinding.rbac.authorization.k8s.io/b subjects updated\n"
    )
    names = kubectl("get", "rolebinding", "b", "-o", "jsonpath={.subjects[*].name}")
    assert names == "jane joe dev y"
    kubectl("create", "-f", "-", manifest=SET)
    done = kubectl("set", "serviceaccount", "sts", "web", "someone")
    assert done == "statefulset.apps/web serviceaccount updated\n"
    template = json.loads(kubectl("get", "sts/web", "-o", "json"))["spec"]["template"]["spec"]
    assert template["serviceAccountName"] == "someone"


def test_set_env_from_a_config_map_and_away_again(kubectl):
    kubectl("create", "-f", "-", manifest=SET)
    kubectl("create", "configmap", "c", "--from-literal=key=v")
    assert kubectl("set", "env", "sts/web", "--from=configmap/c", "--prefix=P_") == "statefulset.apps/web env updated\n"
    listed = kubectl("set", "env", "sts/web", "-c", "d", "--list")
    assert listed == "# StatefulSet web, container d\n# P_KEY from configmap c, key key\n"
    assert kubectl("set", "env", "sts/web", "-c", "d", "--list", "--resolve") == (
        "# StatefulSet web, container d\nP_KEY=v\n"
    )
    kubectl("set", "env", "sts/web", "P_KEY-")
    assert "env" not in json.loads(kubectl("get", "sts/web", "-o", "json"))["spec"]["template"]["spec"]["containers"][1]


def test_set_refuses_what_the_server_refuses(kubectl):
    kubectl("create", "-f", "-", manifest=SET)
    assert 'unable to find container named "z"' in kubectl.fails("set", "image", "sts/web", "z=new")
    resources = ("set", "resources", "sts/web", "-c", "c", "--requests=cpu=50m", "--limits=cpu=10m")
    refused = kubectl.fails(*resources)
    assert 'requests: Invalid value: "50m": must be less than or equal to cpu limit of 10m' in refused


def test_patch_of_scale_is_a_scale(kubectl):
    kubectl.since(24, "--subresource")
    kubectl("create", "-f", "-", manifest=SET)
    patch = ("patch", "sts/web", "--type=merge", "-p")
    scaled = kubectl(*patch, '{"spec":{"replicas":2}}', "--subresource=scale")
    assert scaled == "scale.autoscaling/web patched\n"
    assert kubectl("get", "sts/web", "-o", "jsonpath={.spec.replicas}") == "2"
    refused = kubectl.fails(*patch, "{}", "--subresource=nosuch")
    assert "subresource" in refused or "NotFound" in refused
