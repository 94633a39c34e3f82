"""What kubectl makes of a command line: create in all its forms, run, expose, autoscale."""

from __future__ import annotations

import json

import pytest
import yaml

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
    "registry": (
        [
            "secret",
            "docker-registry",
            "g",
            "--docker-server=r.example",
            "--docker-username=u",
            "--docker-password=p",
            "--docker-email=e@x",
        ],
        "secret/g",
        {"type": "kubernetes.io/dockerconfigjson"},
    ),
    "typed secret": (
        ["secret", "generic", "g", "--from-literal=a=b", "--type=example.com/x"],
        "secret/g",
        {"type": "example.com/x"},
    ),
    "scoped quota": (
        ["quota", "g", "--hard=pods=3", "--scopes=BestEffort"],
        "resourcequota/g",
        {"spec": {"hard": {"pods": "3"}, "scopes": ["BestEffort"]}},
    ),
    "named role": (
        ["role", "g", "--verb=get,list", "--resource=deployments.apps/scale", "--resource-name=a"],
        "role.rbac.authorization.k8s.io/g",
        {
            "rules": [
                {
                    "apiGroups": ["apps"],
                    "resources": ["deployments/scale"],
                    "resourceNames": ["a"],
                    "verbs": ["get", "list"],
                }
            ]
        },
    ),
    "subjects": (
        ["rolebinding", "g", "--clusterrole=view", "--group=dev", "--serviceaccount=a:b"],
        "rolebinding.rbac.authorization.k8s.io/g",
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "dev"},
                {"kind": "ServiceAccount", "name": "b", "namespace": "a"},
            ],
        },
    ),
    "loadbalancer": (["service", "loadbalancer", "g", "--tcp=80"], "service/g", {"spec": {"type": "LoadBalancer"}}),
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
    "pdb of those away": (
        ["pdb", "g", "--selector=app=a", "--max-unavailable=50%"],
        "poddisruptionbudget.policy/g",
        {"spec": {"maxUnavailable": "50%"}},
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
        (["clusterrole", f"{namespace}a", "--aggregation-rule=a=b"], "clusterrole.rbac.authorization.k8s.io"),
        (
            ["clusterrole", f"{namespace}n", "--verb=get", "--non-resource-url=/metrics"],
            "clusterrole.rbac.authorization.k8s.io",
        ),
    ):
        assert kubectl("create", *kind) == f"{made}/{kind[1]} created\n"
        kubectl("delete", f"{made}/{kind[1]}", "--wait=false")


def test_a_job_is_made_from_a_cron_job(kubectl):
    kubectl.since(21, "the kind's version of today")
    kubectl("create", "cronjob", "c", "--image=host", "--schedule=0 0 1 1 *", "--", "true")
    assert kubectl("create", "job", "j", "--from=cronjob/c") == "job.batch/j created\n"
    found = json.loads(kubectl("get", "job", "j", "-o", "json"))
    assert found["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"
    assert [owner["name"] for owner in found["metadata"].get("ownerReferences", ())] == ["c"]
    assert found["spec"]["template"]["spec"]["containers"][0]["command"] == ["true"]
    missing = kubectl.fails("create", "job", "k", "--from=cronjob/missing")
    assert missing == 'Error from server (NotFound): cronjobs.batch "missing" not found\n'


def test_a_token_is_as_long_and_for_whom_it_was_asked(kubectl):
    kubectl.since(24, "create token")
    kubectl("create", "serviceaccount", "a")
    asked = json.loads(kubectl("create", "token", "a", "--audience=x", "--duration=11m", "-o", "json"))
    assert (asked["spec"]["audiences"], asked["spec"]["expirationSeconds"]) == (["x"], 660)
    kubectl("create", "secret", "generic", "s")
    bound = ("--bound-object-kind=Secret", "--bound-object-name=s", "-o", "json")
    reference = json.loads(kubectl("create", "token", "a", *bound))["spec"]["boundObjectRef"]
    assert (reference["kind"], reference["name"]) == ("Secret", "s")
    for arguments, message in (
        (["missing"], 'serviceaccounts "missing" not found'),
        (["a", "--bound-object-kind=Pod", "--bound-object-name=p"], 'pods "p" not found'),
        (["a", "--duration=1s"], "spec.expirationSeconds: Invalid value: 1: may not specify a duration less than"),
    ):
        assert message in kubectl.fails("create", "token", *arguments)


def test_what_the_server_refuses_to_create_is_told_as_it_says_it(kubectl):
    kubectl("create", "service", "nodeport", "a", "--tcp=80")
    port = kubectl("get", "service", "a", "-o", "jsonpath={.spec.ports[0].nodePort}")
    taken = kubectl.fails("create", "service", "nodeport", "b", "--tcp=80", f"--node-port={port}")
    assert f'Service "b" is invalid: spec.ports[0].nodePort: Invalid value: {port}: ' in taken
    assert "provided port is already allocated" in taken
    scoped = kubectl.fails("create", "quota", "q", "--hard=cpu=1", "--scopes=BestEffort")
    assert 'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource' in scoped


def test_run_on_trial_shows_what_the_server_would_fill_in(kubectl):
    kubectl.since(30, "the form of today")
    mine = yaml.safe_load(kubectl("run", "p", "--image=host", "--dry-run=client", "-o", "yaml"))
    assert mine["spec"]["containers"] == [{"image": "host", "name": "p", "resources": {}}]
    filled = yaml.safe_load(kubectl("run", "p", "--image=host", "--dry-run=server", "-o", "yaml"))
    assert filled["metadata"]["uid"]
    assert "resourceVersion" not in filled["metadata"]
    assert filled["spec"]["serviceAccountName"] == "default"
    assert filled["spec"]["volumes"][0]["name"].startswith("kube-api-access-")
    assert "NotFound" in kubectl.fails("get", "pod", "p")
    overrides = '{"spec":{"terminationGracePeriodSeconds":7}}'
    assert kubectl("run", "p", "--image=host", "--restart=Never", f"--overrides={overrides}") == "pod/p created\n"
    assert kubectl("get", "pod", "p", "-o", "jsonpath={.spec.terminationGracePeriodSeconds}") == "7"


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
        assert 'horizontalpodautoscalers.autoscaling "d" already exists' in kubectl.fails(
            "autoscale", "deployment", "d", "--max=3"
        )


def test_expose_takes_ports_and_labels_of_what_it_exposes(kubectl):
    kubectl("create", "deployment", "d", "--image=host", "--replicas=0")
    assert "couldn't find port via --port flag or introspection" in kubectl.fails("expose", "deployment", "d")
    exposed = kubectl("expose", "deployment", "d", "--port=80", "--type=NodePort", "--name=n", "-l", "a=b")
    assert exposed == "service/n exposed\n"
    found = json.loads(kubectl("get", "svc", "n", "-o", "json"))
    assert (found["metadata"]["labels"], found["spec"]["selector"]) == ({"a": "b"}, {"app": "d"})
    assert 30000 <= found["spec"]["ports"][0]["nodePort"] < 32768
    assert kubectl("expose", "svc", "n", "--name=m", "--port=81", "--target-port=http") == "service/m exposed\n"
    assert json.loads(kubectl("get", "svc", "m", "-o", "json"))["spec"]["ports"][0]["targetPort"] == "http"
    assert 'services "n" already exists' in kubectl.fails("expose", "deployment", "d", "--port=80", "--name=n")
