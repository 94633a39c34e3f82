"""`holdfast why` on clusters that are stuck in every way we could think of, each made by the real parts."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.cluster.why.asking import answer, parse_question
from holdfast.cluster.why.claims import DEFAULT_CLASS
from holdfast.cluster.why.evidence import gather
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import web

SERVICE_FOR_WEB = {"app": "nginx"}


def made(kind, name, api_version="v1", metadata=None, **members):
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", **(metadata or {})},
        **members,
    }


def pod(name="p", script=None, container=None, metadata=None, **spec):
    """A pod whose container does what the script says."""
    annotations = {"simulated.holdfast.dev/main": json.dumps(script)} if script else {}
    main = {"name": "main", "image": "host", **(container or {})}
    return made(
        "Pod",
        name,
        metadata={"annotations": annotations, "labels": {"app": name}, **(metadata or {})},
        spec={"containers": [main], **spec},
    )


def a_set(script=None, container=None, template=None, **spec):
    """`web`, three ordered pods with a claim each."""
    manifest = web(3)
    manifest["spec"] |= spec
    inner = manifest["spec"]["template"]
    inner["metadata"]["annotations"] = {"simulated.holdfast.dev/main": json.dumps(script)} if script else {}
    inner["spec"]["containers"][0] |= container or {}
    inner["spec"] |= template or {}
    return manifest


def claim(name="data", size="1Gi", **spec):
    resources = {"requests": {"storage": size}}
    return made("PersistentVolumeClaim", name, spec={"accessModes": ["ReadWriteOnce"], "resources": resources, **spec})


def volume(name="disk", size="1Gi", **spec):
    shape = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/x"}}
    return cluster_wide("PersistentVolume", name, spec={**shape, **spec})


def storage_class(name, provisioner, **members):
    return cluster_wide("StorageClass", name, "storage.k8s.io/v1", provisioner=provisioner, **members)


def cluster_wide(kind, name, api_version="v1", **members):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **members}


def service(name="nginx", selector=None, **spec):
    ports = [{"name": "web", "port": 80}]
    return made("Service", name, spec={"selector": selector or {}, "ports": ports, **spec})


def explained(cluster, question):
    """(subjects from the symptom down, what the first cause says, its cure)."""
    asked = parse_question(question, "default")
    where = asked.dns_name.namespace if asked.dns_name else "default"
    evidence = cluster.do(gather(cluster.client, where, cluster.world.clock.now()))
    found = answer(evidence, asked)
    if found is None:
        return [], "", ""
    return [link.subject for link in found.links()], found.first.says, found.first.cure


@dataclass(frozen=True)
class Stuck:
    name: str
    manifests: list
    question: str
    subjects: list
    says: str
    cure: str = ""
    then: object = None
    """What happens after the manifests are applied, given the cluster."""
    first: object = None
    """What happens before, given the cluster."""
    nodes: int = 1


MISSING = "missing"
"""An image that no simulated machine finds."""
NO_PROBE = {"readinessProbe": None}

ON_N1 = {
    "required": {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}
        ]
    }
}
CLERK = {
    "metadata": {"labels": {"app": "clerk"}},
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"app": "clerk"}}, "topologyKey": "kubernetes.io/hostname"}
            ]
        }
    },
    "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
}
"""Never two of them on one node, and one disk for all."""

ON_DISK = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}

STATES = [
    Stuck(
        "too big",
        [pod(container={"resources": {"requests": {"cpu": "1000"}}})],
        "pod/p",
        ["pod/p"],
        "it asks for 1k cpu, and no node has that left (the biggest has 64 in all)",
        "lower resources.requests",
    ),
    Stuck(
        "node selector",
        [pod(nodeSelector={"disk": "ssd"})],
        "pod/p",
        ["pod/p"],
        "no node has the labels of its nodeSelector (disk=ssd)",
        "kubectl label node n1 disk=ssd",
    ),
    Stuck(
        "tainted node",
        [pod()],
        "pod/p",
        ["pod/p"],
        "it does not tolerate the taint for=others:NoSchedule of n1",
        "kubectl taint nodes n1 for-",
        first=lambda cluster: cluster.patch(
            NODES, "n1", {"spec": {"taints": [{"key": "for", "value": "others", "effect": "NoSchedule"}]}}
        ),
    ),
    Stuck(
        "cordoned node",
        [pod()],
        "pod/p",
        ["pod/p"],
        "n1 may take no new pods (cordoned)",
        "kubectl uncordon n1",
        first=lambda cluster: cluster.patch(NODES, "n1", {"spec": {"unschedulable": True}}),
    ),
    Stuck(
        "scheduling gate",
        [pod(schedulingGates=[{"name": "example.com/wait"}])],
        "pod/p",
        ["pod/p"],
        "it may not be scheduled yet: gates example.com/wait",
        "whoever set the gates",
    ),
    Stuck(
        "foreign scheduler",
        [pod(schedulerName="mine")],
        "pod/p",
        ["pod/p"],
        "it is to be scheduled by mine, which has not looked at it",
        "start that scheduler",
    ),
    Stuck(
        "taken host port",
        [
            pod("first", container={"ports": [{"containerPort": 80, "hostPort": 8080}]}),
            pod(container={"ports": [{"containerPort": 80, "hostPort": 8080}]}),
        ],
        "pod/p",
        ["pod/p"],
        "its host port 8080 is taken on every node",
        "use a Service",
    ),
    Stuck(
        "its disk is on another node",
        [pod(container=ON_DISK, **CLERK)],
        "pod/p",
        ["pod/p"],
        "Volume is already used by pod(s) first",
        "let the pod there end first",
        first=lambda cluster: (
            cluster.apply(storage_class("ebs", "kubernetes.io/aws-ebs"), claim(storageClassName="ebs")),
            cluster.apply(pod("first", container=ON_DISK, **CLERK)),
            cluster.run_for(5),
        ),
        nodes=2,
    ),
    Stuck(
        "beside its predecessor where its disk is",
        [
            volume(nodeAffinity=ON_N1, storageClassName="none"),
            claim(storageClassName="none"),
            pod("first", **CLERK),
            pod(**CLERK),
        ],
        "pod/p",
        ["pod/p"],
        "where its volume is there is a pod already that it must not be beside (",
        "let that pod end first (the strategy Recreate of a Deployment, or a StatefulSet)",
        nodes=2,
    ),
    Stuck(
        "missing claim",
        [pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])],
        "pod/p",
        ["pod/p", "persistentvolumeclaim/data"],
        "it does not exist",
        "make the PersistentVolumeClaim data",
    ),
    Stuck(
        "claim of a class that is not there",
        [
            claim(storageClassName="fast"),
            pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]),
        ],
        "pod/p",
        ["pod/p", "persistentvolumeclaim/data"],
        "it asks for the storage class fast, which does not exist; there is standard",
        "make the StorageClass fast",
    ),
    Stuck(
        "claim without class",
        [claim(storageClassName=""), volume(size="500Mi")],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "only a volume made by hand will do; of the volumes there are, disk is too small (500Mi)",
        "make a PersistentVolume of at least 1Gi with ReadWriteOnce",
    ),
    Stuck(
        "no default class",
        [claim()],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "it names no storage class, and the cluster has no default one; there are no volumes",
        "make a PersistentVolume",
        first=lambda cluster: cluster.delete(STORAGE_CLASSES, "standard"),
    ),
    Stuck(
        "no class is the default any more",
        [claim()],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "it names no storage class, and the cluster has no default one; there are no volumes",
        "kubectl patch storageclass standard -p",
        first=lambda cluster: cluster.patch(
            STORAGE_CLASSES, "standard", {"metadata": {"annotations": {DEFAULT_CLASS: "false"}}}
        ),
    ),
    Stuck(
        "class of another's provisioner",
        [storage_class("cloud", "example.com/cloud"), claim(storageClassName="cloud")],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "it waits for example.com/cloud, the provisioner of class cloud, to make a volume",
        "see that example.com/cloud runs",
    ),
    Stuck(
        "class without provisioner",
        [
            storage_class("local", "kubernetes.io/no-provisioner"),
            claim(storageClassName="local"),
            volume(storageClassName="local", accessModes=["ReadOnlyMany"]),
        ],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "volumes of class local are made by hand; of the volumes there are, disk cannot be used as ReadWriteOnce",
        "make a PersistentVolume",
    ),
    Stuck(
        "claim that nobody uses",
        [
            storage_class("late", "holdfast.dev/local", volumeBindingMode="WaitForFirstConsumer"),
            claim(storageClassName="late"),
        ],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "class late makes a volume only when a pod uses the claim, and none does",
        "make a pod that mounts it",
    ),
    Stuck(
        "claim of a volume that is not there",
        [claim(volumeName="old", storageClassName="")],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "it asks for the volume old, which does not exist",
        "make the PersistentVolume old",
    ),
    Stuck(
        "claim that goes while a pod uses it",
        [claim(), pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])],
        "pvc/data",
        ["persistentvolumeclaim/data"],
        "it is to go, but stays as long as a pod uses it: p",
        "kubectl delete pod p",
        lambda cluster: (cluster.run_for(10), cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")),
    ),
    Stuck(
        "unknown image",
        [a_set(container={"image": MISSING})],
        "sts/web",
        ["statefulset/web", "pod/web-0"],
        "the image missing of container main cannot be pulled",
        "kubectl set image statefulset/web main=IMAGE  or holdfast image load FILE",
    ),
    Stuck(
        "image that may not be pulled",
        [pod(container={"image": MISSING, "imagePullPolicy": "Never"})],
        "pod/p",
        ["pod/p"],
        "the image missing of container main is not here, and imagePullPolicy Never forbids fetching it",
        "holdfast image load FILE",
    ),
    Stuck(
        "missing config map",
        [a_set(container={"envFrom": [{"configMapRef": {"name": "settings"}}]})],
        "sts/web",
        ["statefulset/web", "pod/web-0", "configmap/settings"],
        "it does not exist; the environment of container main is to come from it",
        "kubectl create configmap settings --from-literal=KEY=VALUE",
    ),
    Stuck(
        "missing key of a secret",
        [
            made("Secret", "db", data={"user": "cm9vdA=="}),
            pod(
                container={"env": [{"name": "PASS", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]}
            ),
        ],
        "pod/p",
        ["pod/p", "secret/db"],
        "it has no key password, which PASS of container main is to come from",
        """kubectl patch secret db -p '{"stringData":{"password":"VALUE"}}'""",
    ),
    Stuck(
        "crash",
        [pod(script={"exit_after_s": 1, "exit_code": 3})],
        "pod/p",
        ["pod/p"],
        "container main ends with exit code 3",
        "its own words: kubectl logs p -c main --previous",
    ),
    Stuck(
        "out of memory",
        [
            pod(
                script={"exit_after_s": 1, "exit_code": 137, "is_oom_killed": True},
                container={"resources": {"limits": {"memory": "64Mi"}}},
            )
        ],
        "pod/p",
        ["pod/p"],
        "container main was killed for using more memory than 64Mi",
        "raise resources.limits.memory",
    ),
    Stuck(
        "command not found",
        [pod(script={"start_failure": "exec: nope: not found"}, container={"command": ["nope"]})],
        "pod/p",
        ["pod/p"],
        "nope: not found",
        "correct its command",
    ),
    Stuck(
        "init container that fails",
        [
            pod(
                metadata={
                    "annotations": {"simulated.holdfast.dev/first": '{"exit_after_s": 1, "exit_code": 1}'},
                },
                initContainers=[{"name": "first", "image": "host"}],
            )
        ],
        "pod/p",
        ["pod/p"],
        "init container first ends with exit code 1",
        "kubectl logs p -c first --previous",
    ),
    Stuck(
        "readiness probe",
        [a_set({"ready_after_s": 10_000})],
        "sts/web",
        ["statefulset/web", "pod/web-0"],
        "container main runs, but readiness probe failed",
        "correct its readinessProbe",
    ),
    Stuck(
        "liveness probe",
        [
            pod(
                script={"dead_after_s": 1},
                container={
                    "livenessProbe": {"exec": {"command": ["x"]}, "periodSeconds": 1, "failureThreshold": 1},
                    "readinessProbe": {"exec": {"command": ["x"]}, "periodSeconds": 1, "initialDelaySeconds": 3600},
                },
            )
        ],
        "pod/p",
        ["pod/p"],
        "container main",
    ),
    Stuck(
        "readiness gate",
        [pod(readinessGates=[{"conditionType": "example.com/fed"}])],
        "pod/p",
        ["pod/p"],
        "its readiness gate example.com/fed is not open",
        "see to the controller that sets it",
    ),
    Stuck(
        "used-up quota",
        [made("ResourceQuota", "few", spec={"hard": {"pods": "1"}}), a_set()],
        "sts/web",
        ["statefulset/web", "resourcequota/few"],
        "it is used up: requested: pods=1, used: pods=1, limited: pods=1",
        "kubectl edit resourcequota few",
    ),
    Stuck(
        "missing service account",
        [a_set(template={"serviceAccountName": "robot"})],
        "sts/web",
        ["statefulset/web"],
        "serviceaccount",
        "kubectl create serviceaccount robot",
    ),
    Stuck(
        "broken rollout that was corrected",
        [service(clusterIP="None", selector=SERVICE_FOR_WEB), a_set()],
        "sts/web",
        ["statefulset/web"],
        "pod web-2 is not ready and of an older template; an ordered set does not replace such a pod",
        "kubectl delete pod web-2",
        lambda cluster: (
            cluster.run_until(lambda: cluster.is_settled("web")),
            cluster.apply(a_set(container={"image": MISSING})),
            cluster.run_for(60),
            cluster.apply(a_set()),
        ),
    ),
    Stuck(
        "partition",
        [service(clusterIP="None", selector=SERVICE_FOR_WEB), a_set()],
        "sts/web",
        ["statefulset/web"],
        "web-0, web-1 are of an older template, held back by partition 2",
        """kubectl patch sts web -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'""",
        lambda cluster: (
            cluster.run_until(lambda: cluster.is_settled("web")),
            cluster.apply(
                a_set({"pull_s": 1}, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
            ),
        ),
    ),
    Stuck(
        "update on delete",
        [service(clusterIP="None", selector=SERVICE_FOR_WEB), a_set(updateStrategy={"type": "OnDelete"})],
        "sts/web",
        ["statefulset/web"],
        "web-0, web-1, web-2 are of an older template, and strategy OnDelete leaves them until they are deleted",
        "kubectl delete pod web-2",
        lambda cluster: (
            cluster.run_until(lambda: cluster.ready_replicas("web") == 3),
            cluster.apply(a_set({"pull_s": 1}, updateStrategy={"type": "OnDelete"})),
        ),
    ),
    Stuck(
        "name taken by a stranger",
        [pod("web-1", container=NO_PROBE), a_set()],
        "sts/web",
        ["statefulset/web"],
        "the name of its pod web-1 is taken by a pod that is not its own",
        "kubectl delete pod web-1",
    ),
    Stuck(
        "finalizer on a pod",
        [pod(metadata={"finalizers": ["example.com/keep"]})],
        "pod/p",
        ["pod/p"],
        "it is to go, and waits for whoever set the finalizers example.com/keep",
        "kubectl patch pod p --type merge",
        lambda cluster: (cluster.run_for(10), cluster.delete(PODS, "p"), cluster.run_for(60)),
    ),
    Stuck(
        "program that ignores the signal",
        [pod(script={"ignores_signal": True}, terminationGracePeriodSeconds=600)],
        "pod/p",
        ["pod/p"],
        "it is being stopped: its containers have",
        "have the program end on SIGTERM",
        lambda cluster: (cluster.run_for(10), cluster.delete(PODS, "p")),
    ),
    Stuck(
        "dead machine",
        [a_set()],
        "sts/web",
        ["statefulset/web", "pod/web-0", "node/n1"],
        "nothing has been heard of its agent for a while",
        "holdfast up",
        lambda cluster: (
            cluster.run_until(lambda: cluster.ready_replicas("web") == 3),
            cluster.kill(cluster.nodes[0].process),
            cluster.run_for(120),
        ),
    ),
    Stuck(
        "set without its service",
        [a_set()],
        "sts/web",
        ["statefulset/web"],
        "all its pods are ready, but they have no names in DNS: its service nginx does not exist",
        "kubectl create service clusterip nginx --clusterip=None && kubectl set selector service/nginx app=nginx",
    ),
    Stuck(
        "name of a service that is not there",
        [a_set()],
        "name/web-0.nginx",
        ["name/web-0.nginx.default.svc.cluster.local", "service/nginx"],
        "it does not exist in namespace default",
        "kubectl create service clusterip nginx --clusterip=None",
    ),
    Stuck(
        "name of a pod that is not ready",
        [service(clusterIP="None", selector=SERVICE_FOR_WEB), a_set({"ready_after_s": 10_000})],
        "name/web-0.nginx.default.svc.cluster.local",
        ["name/web-0.nginx.default.svc.cluster.local", "pod/web-0"],
        "container main runs, but readiness probe failed",
    ),
    Stuck(
        "name below another service",
        [service("other", clusterIP="None", selector=SERVICE_FOR_WEB), a_set()],
        "name/web-0.other",
        ["name/web-0.other.default.svc.cluster.local"],
        "it does not resolve: pod web-0 is named below nginx, not other",
        "serviceName of its set has to be other",
    ),
    Stuck(
        "service that selects nobody",
        [service(selector={"app": "web"}), a_set()],
        "svc/nginx",
        ["service/nginx"],
        "no pod has the labels that it selects (app=web); pod web-0 comes near, with app=nginx",
        "kubectl set selector service/nginx app=nginx",
    ),
    Stuck(
        "service without selector",
        [service()],
        "svc/nginx",
        ["service/nginx"],
        "it has no selector, and nobody has made an EndpointSlice",
        "kubectl set selector service/nginx KEY=VALUE",
    ),
    Stuck(
        "service with a port that no pod has",
        [
            service(selector={"app": "p"}, ports=[{"port": 80, "targetPort": "http"}]),
            pod(container={"ports": [{"name": "web", "containerPort": 80}]}),
        ],
        "svc/nginx",
        ["service/nginx"],
        "its pods have no port named http (targetPort); they have web",
        "kubectl edit service nginx",
    ),
    Stuck(
        "service whose pods crash",
        [service(selector={"app": "p"}), pod(script={"exit_after_s": 1, "exit_code": 3})],
        "svc/nginx",
        ["service/nginx", "pod/p"],
        "container main ends with exit code 3",
        "its own words",
    ),
    Stuck(
        "deployment whose new pods crash",
        [
            made(
                "Deployment",
                "d",
                "apps/v1",
                spec={
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": "d"}},
                    "template": {
                        "metadata": {
                            "labels": {"app": "d"},
                            "annotations": {"simulated.holdfast.dev/main": '{"exit_after_s": 1, "exit_code": 9}'},
                        },
                        "spec": {"containers": [{"name": "main", "image": "host"}]},
                    },
                },
            )
        ],
        "deploy/d",
        ["deployment/d", "replicaset/", "pod/"],
        "container main ends with exit code 9",
        "its own words",
    ),
    Stuck(
        "failed job",
        [
            made(
                "Job",
                "j",
                "batch/v1",
                spec={
                    "backoffLimit": 0,
                    "template": {
                        "metadata": {
                            "annotations": {"simulated.holdfast.dev/main": '{"exit_after_s": 1, "exit_code": 2}'}
                        },
                        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "host"}]},
                    },
                },
            )
        ],
        "job/j",
        ["job/j", "pod/"],
        "container main ends with exit code 2",
        "its own words",
    ),
    Stuck(
        "released volume",
        [volume(storageClassName="hand"), claim(storageClassName="hand")],
        "pv/disk",
        ["persistentvolume/disk"],
        "its claim default/data is gone; its data is kept, so nobody else gets it",
        "kubectl patch pv disk --type json",
        lambda cluster: (cluster.run_for(10), cluster.delete(PERSISTENT_VOLUME_CLAIMS, "data")),
    ),
    Stuck(
        "namespace that is held",
        [],
        "ns/shop",
        ["namespace/shop"],
        "it is to go, after what is in it: Some content in the namespace has finalizers remaining",
        "kubectl get all,pvc -n shop",
        lambda cluster: (
            cluster.apply(cluster_wide("Namespace", "shop")),
            cluster.run_for(5),
            cluster.apply(
                made("ConfigMap", "kept", metadata={"namespace": "shop", "finalizers": ["example.com/keep"]})
            ),
            cluster.delete(NAMESPACES, "shop"),
            cluster.run_for(20),
        ),
    ),
]


def stuck(state):
    return pytest.param(state, id=state.name)


@pytest.mark.parametrize("state", [stuck(state) for state in STATES])
def test_what_is_stuck_is_traced_to_its_first_cause_and_the_cure(state):
    with simulate(0, nodes=state.nodes) as cluster:
        cluster.run_for(3)
        if state.first is not None:
            state.first(cluster)
        assert cluster.get(SERVICE_ACCOUNTS, "default") is not None
        cluster.apply(*state.manifests)
        if state.then is not None:
            state.then(cluster)
        cluster.run_for(30)
        subjects, says, cure = explained(cluster, state.question)
    assert len(subjects) == len(state.subjects), (subjects, says)
    assert all(seen.startswith(wanted) for seen, wanted in zip(subjects, state.subjects, strict=True)), subjects
    assert state.says in says
    assert state.cure in cure


@pytest.mark.parametrize(
    "question",
    ["sts/web", "pod/web-0", "pvc/www-web-0", "svc/nginx", "name/web-0.nginx", "name/nginx", "node/n1", "ns/default"],
)
def test_what_is_as_wanted_is_not_explained_away(question):
    with simulate(0) as cluster:
        cluster.apply(service(clusterIP="None", selector=SERVICE_FOR_WEB), a_set())
        cluster.run_until(lambda: cluster.is_settled("web"))
        assert explained(cluster, question) == ([], "", "")


def test_there_are_at_least_25_states():
    assert len({state.name for state in STATES}) == len(STATES) >= 25
