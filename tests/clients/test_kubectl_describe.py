"""kubectl describe of every common kind: the lines that say what the server filled in, counted or told.

What stands in a line is compared, blanks are not: how lines are laid out is kubectl's own affair.
"""

from __future__ import annotations

import re
import time

import pytest

pytestmark = [pytest.mark.kubectl, pytest.mark.live]

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "c",
                "image": "host",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "readinessProbe": {"httpGet": {"port": 80}},
                "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m"}},
            }
        ],
    },
}
WORKLOAD = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
TASK = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "host"}]}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
SERVICE = {"service": {"name": "web", "port": {"number": 80}}}

MANIFESTS = {
    ("v1", "Service"): {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
    ("apps/v1", "StatefulSet"): {
        "spec": {
            **WORKLOAD,
            "serviceName": "web",
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": CLAIM}],
        }
    },
    ("apps/v1", "Deployment"): {"spec": {**WORKLOAD, "replicas": 0}},
    ("apps/v1", "DaemonSet"): {"spec": {**WORKLOAD, "selector": {"matchLabels": {"app": "web"}}}},
    ("batch/v1", "Job"): {"spec": TASK},
    ("batch/v1", "CronJob"): {"spec": {"schedule": "0 0 1 1 *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": TASK}}},
    ("v1", "PersistentVolumeClaim"): {"spec": CLAIM},
    ("networking.k8s.io/v1", "Ingress"): {
        "spec": {
            "ingressClassName": "n",
            "tls": [{"hosts": ["a.b"], "secretName": "s"}],
            "rules": [{"host": "a.b", "http": {"paths": [{"path": "/c", "pathType": "Exact", "backend": SERVICE}]}}],
        }
    },
    ("networking.k8s.io/v1", "NetworkPolicy"): {
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 80}]}],
        }
    },
    ("v1", "ResourceQuota"): {"spec": {"hard": {"pods": "10"}, "scopes": ["NotBestEffort"]}},
    ("v1", "LimitRange"): {"spec": {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}]}},
    ("policy/v1", "PodDisruptionBudget"): {
        "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"statefulset.kubernetes.io/pod-name": "web-0"}}}
    },
    ("autoscaling/v1", "HorizontalPodAutoscaler"): {
        "spec": {
            "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 50,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        }
    },
    ("rbac.authorization.k8s.io/v1", "Role"): {
        "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"], "resourceNames": ["web"]}]
    },
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): {
        "roleRef": {"kind": "Role", "name": "web", "apiGroup": ""},
        "subjects": [{"kind": "ServiceAccount", "name": "web"}, {"kind": "User", "name": "jane"}],
    },
    ("v1", "ServiceAccount"): {"imagePullSecrets": [{"name": "web"}]},
    ("v1", "Secret"): {"stringData": {"a": "bcd"}, "type": "example.com/x"},
    ("v1", "ConfigMap"): {"data": {"a": "b"}, "binaryData": {"c": "AAAA"}},
}
"""By apiVersion and kind; each is named web."""

LINES = {
    "node": [
        "Ready True {time} {time} KubeletReady kubelet is posting ready status",
        "cpu: 8",
        "Kubelet Version: v1.36.2+holdfast",
        "(Total limits may be over 100 percent, i.e., overcommitted.)",
        "Normal NodeReady {age} kubelet Node {name} status is now: NodeReady",
    ],
    "pod/web-0": [
        "Controlled By: StatefulSet/web",
        "Status: Running",
        "Port: 80/TCP",
        "Readiness: http-get http://:80/ delay=0s timeout=1s period=10s #success=1 #failure=3",
        "NAME: web-0 (v1:metadata.name)",
        "ContainersReady True",
        "ClaimName: data-web-0",
        "TokenExpirationSeconds: 3607",
        "QoS Class: Burstable",
        "Tolerations: node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
        "Normal Scheduled {age} default-scheduler Successfully assigned {namespace}/web-0 to {name}",
    ],
    "svc/web": [
        "Type: ClusterIP",
        "IP Families: IPv4",
        "TargetPort: 80/TCP",
        "Session Affinity: None",
        "Internal Traffic Policy: Cluster",
    ],
    "sts/web": [
        "Replicas: 1 desired | 1 total",
        "Update Strategy: RollingUpdate",
        "Pods Status: 1 Running / 0 Waiting / 0 Succeeded / 0 Failed",
        "Access Modes: [ReadWriteOnce]",
        "Normal SuccessfulCreate {age} statefulset-controller Create Pod web-0 in StatefulSet web successful",
    ],
    "deployment/web": [
        "Replicas: 0 desired | 0 updated | 0 total | 0 available | 0 unavailable",
        "RollingUpdateStrategy: 25% max unavailable, 25% max surge",
        "Available True MinimumReplicasAvailable",
        "Progressing True NewReplicaSetAvailable",
        "NewReplicaSet: {name} (0/0 replicas created)",
    ],
    "ds/web": [
        "Desired Number of Nodes Scheduled: 2",
        "Number of Nodes Misscheduled: 0",
        "Annotations: deprecated.daemonset.template.generation: 1",
        "Normal SuccessfulCreate {age} daemonset-controller Created pod: {name}",
    ],
    "job/web": [
        "Completion Mode: NonIndexed",
        "Labels: batch.kubernetes.io/controller-uid={name}",
        "Normal SuccessfulCreate {age} job-controller Created pod: {name}",
    ],
    "cronjob/web": [
        "Schedule: 0 0 1 1 *",
        "Concurrency Policy: Allow",
        "Successful Job History Limit: 3",
        "Failed Job History Limit: 1",
        "Last Schedule Time: <unset>",
    ],
    "pvc/data-web-0": ["Status: Bound", "StorageClass: standard", "Access Modes: RWO", "Used By: web-0"],
    "pvc/web": [
        "Status: Pending",
        "Finalizers: [kubernetes.io/pvc-protection]",
        "Normal WaitForFirstConsumer {age} persistentvolume-controller"
        " waiting for first consumer to be created before binding",
    ],
    "pv": ["StorageClass: standard", "Status: Bound", "Reclaim Policy: Delete", "Capacity: 1Mi"],
    "sc/standard": ["IsDefaultClass: Yes", "ReclaimPolicy: Delete", "VolumeBindingMode: WaitForFirstConsumer"],
    "ingress/web": ["s terminates a.b", "a.b", "Events: <none>"],
    "netpol/web": ["CIDR: 10.0.0.0/8", "To Port: 80/TCP", "Policy Types: Ingress"],
    "quota/web": ["Scopes: NotBestEffort", "pods 3 10"],
    "limits/web": ["PersistentVolumeClaim storage - 1Gi - - -"],
    "pdb/web": ["Min available: 50%", "Allowed disruptions: 0", "Current: 1", "Desired: 1", "Total: 1"],
    "hpa/web": ["Reference: Deployment/web", "Min replicas: 1", "Max replicas: 3"],
    "role/web": ["deployments.apps [] [web] [get]"],
    "rolebinding/web": ["Kind: Role", "ServiceAccount web", "User jane"],
    "clusterrole/system:discovery": [
        "Annotations: rbac.authorization.kubernetes.io/autoupdate: true",
        "[/version/] [] [get]",
    ],
    "clusterrolebinding/cluster-admin": ["Kind: ClusterRole", "Name: cluster-admin", "Group system:masters"],
    "sa/web": ["Mountable secrets: <none>"],
    "secret/web": ["Type: example.com/x", "a: 3 bytes"],
    "cm/web": ["b", "c: 3 bytes"],
    "events": ["Reason: Scheduled", "Reporting Component: default-scheduler"],
    "endpointslice": ["AddressType: IPv4", "Conditions:", "Ready: true", "TargetRef: Pod/web-0", "<unset> 80 TCP"],
    "endpoints/web": ["<unset> 80 TCP"],
    "controllerrevision": ["Revision: 1", "Kind: ControllerRevision"],
    "ns": ["Status: Active"],
    "priorityclass": ["Value: 2000001000", "GlobalDefault: false", "PreemptionPolicy: PreemptLowerPriority"],
}

NEWER = {
    "Normal NodeReady {age} kubelet Node {name} status is now: NodeReady": 26,
    "Internal Traffic Policy: Cluster": 31,
    "Completion Mode: NonIndexed": 26,
    "c: 3 bytes": 26,
    "PreemptionPolicy: PreemptLowerPriority": 26,
}
"""Lines that Debian's kubectl 1.20 does not have for any server."""

NEWER_KINDS = ("cronjob/web", "pdb/web", "endpointslice")
"""It asks for versions of them that are gone."""


@pytest.fixture
def cluster(simulated):
    return simulated


@pytest.fixture(scope="module")
def described(simulated):
    """A namespace in which there is one of each, its set's pod running."""
    namespace = "described"
    simulated.kubectl("create", "namespace", namespace)
    items = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, **rest}
        for (version, kind), rest in MANIFESTS.items()
    ]
    simulated.kubectl(
        "-n", namespace, "apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": items}
    )
    for what in ("sts/web", "ds/web"):
        simulated.kubectl("-n", namespace, "rollout", "status", what, "--timeout=120s")
    budget = "--for=jsonpath={.status.currentHealthy}=1"
    simulated.kubectl("-n", namespace, "wait", budget, "pdb/web", "--timeout=120s")
    yield namespace
    simulated.kubectl("delete", "namespace", namespace, "--wait=false")


def matches(wanted, line):
    """Whether the words of a line are those that are wanted; {x} is anything, {time} an RFC 1123 time's words."""
    pattern = re.escape(wanted).replace(r"\ ", " ")
    for name, form in (("time", r"\w+, \d+ \w+ \d+ [\d:]+ \+0000"), ("age", r"\S+( \(x\d+ over \S+\))?")):
        pattern = pattern.replace(re.escape("{" + name + "}"), form)
    pattern = re.sub(r"\\\{\w+\\\}", r"\\S+", pattern)
    return re.fullmatch(pattern, line) is not None


@pytest.mark.parametrize("name", LINES)
def test_describe_says_what_it_says_of_any_cluster(kubectl, described, name):
    if name in NEWER_KINDS:
        kubectl.since(21, "the kind's version of today")
    wanted = [line for line in LINES[name] if kubectl.minor >= NEWER.get(line, 0)]
    deadline = time.monotonic() + 60
    while True:  # until controllers have counted, and events have come
        done = kubectl("-n", described, "describe", name)
        lines = [" ".join(line.split()) for line in done.splitlines()]
        missing = [line for line in wanted if not any(matches(line, found) for found in lines)]
        if not missing:
            return
        assert time.monotonic() < deadline, f"{missing} are not in\n{done}"
