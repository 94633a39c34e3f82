"""What quotas say of themselves while things come and go (A243), on simulated time."""

from __future__ import annotations

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.resource_quota import RESOURCE_QUOTAS
from holdfast.api.core.service import SERVICES
from holdfast.simulation.cluster import simulate
from holdfast.simulation.faults import Faults
from holdfast.simulation.scenarios import web


def quota(name="q", *, hard, **spec):
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard, **spec}}


def pod(name, requests=None, **spec):
    container = {"name": "main", "image": "host", "resources": {"requests": requests} if requests else {}}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


def config(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


def used(cluster, name="q"):
    return cluster.get(RESOURCE_QUOTAS, name)["status"].get("used")


def after(cluster, *manifests, name="q"):
    cluster.apply(*manifests)
    cluster.run_for(1)
    return used(cluster, name)


def test_a_status_says_what_is_allowed_and_what_is_used():
    with simulate(0) as cluster:
        hard = {"configmaps": "5", "count/configmaps": "5", "pods": "3", "requests.cpu": "1", "unknown.io/x": "1"}
        cluster.apply(config("a"))
        counted = after(cluster, quota(hard=hard))
        status = cluster.get(RESOURCE_QUOTAS, "q")["status"]
        assert status["hard"] == hard
        root = 1  # the authority's certificate, which is in every namespace
        assert counted == {
            "configmaps": str(1 + root),
            "count/configmaps": str(1 + root),
            "pods": "0",
            "requests.cpu": "0",
        }
        assert after(cluster, pod("a", {"cpu": "250m"}))["requests.cpu"] == "250m"
        cluster.patch(RESOURCE_QUOTAS, "q", {"spec": {"hard": {"requests.cpu": "2"}}})
        cluster.run_for(1)
        assert cluster.get(RESOURCE_QUOTAS, "q")["status"]["hard"]["requests.cpu"] == "2"
        cluster.delete(CONFIG_MAPS, "a")
        cluster.run_for(1)
        assert used(cluster)["configmaps"] == str(root)


def test_pods_are_counted_until_they_end():
    with simulate(0, nodes=0) as cluster:
        everything = {
            "pods": "9", "count/pods": "9", "cpu": "9", "memory": "9Gi", "requests.cpu": "9", "limits.cpu": "9",
            "requests.memory": "9Gi", "limits.memory": "9Gi", "ephemeral-storage": "9Gi",
            "requests.ephemeral-storage": "9Gi", "limits.ephemeral-storage": "9Gi", "requests.example.com/gpu": "9",
            "hugepages-2Mi": "9Mi", "requests.hugepages-2Mi": "9Mi",
        }  # fmt: skip
        cluster.apply(quota(hard=everything))
        amounts = {
            "cpu": "1",
            "memory": "1Gi",
            "ephemeral-storage": "2Gi",
            "example.com/gpu": "3",
            "hugepages-2Mi": "4Mi",
        }
        full = pod("a")
        full["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
        assert after(cluster, full) == {
            "pods": "1", "count/pods": "1", "cpu": "1", "memory": "1Gi", "requests.cpu": "1", "limits.cpu": "1",
            "requests.memory": "1Gi", "limits.memory": "1Gi", "ephemeral-storage": "2Gi",
            "requests.ephemeral-storage": "2Gi", "limits.ephemeral-storage": "2Gi", "requests.example.com/gpu": "3",
            "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi",
        }  # fmt: skip
        ended = {**cluster.get(PODS, "a"), "status": {"phase": "Failed"}}
        cluster.do(cluster.client.update(PODS, ended, subresource="status"))
        cluster.run_for(1)
        assert {name for name, amount in used(cluster).items() if amount != "0"} == {"count/pods"}


def test_init_containers_sidecars_and_overhead_are_part_of_a_pod():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(quota(hard={"requests.cpu": "9"}))
        init = [
            {"name": "side", "image": "host", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
            {"name": "init", "image": "host", "resources": {"requests": {"cpu": "2"}}},
        ]
        cluster.apply({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "heavy"}, "handler": "runc",
            "overhead": {"podFixed": {"cpu": "250m"}},
        })  # fmt: skip
        made = pod("a", {"cpu": "500m"}, initContainers=init, runtimeClassName="heavy")
        assert after(cluster, made) == {"requests.cpu": "3250m"}


def test_services_and_claims_are_counted_by_what_they_have():
    with simulate(0, nodes=0) as cluster:
        of_class = "standard.storageclass.storage.k8s.io"
        hard = {
            "services": "9", "services.nodeports": "9", "services.loadbalancers": "9", "count/services": "9",
            "persistentvolumeclaims": "9", "requests.storage": "9Gi", f"{of_class}/requests.storage": "9Gi",
            f"{of_class}/persistentvolumeclaims": "9",
        }  # fmt: skip
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "lb", "namespace": "default"},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
        }
        before = after(cluster, quota(hard=hard))
        counted = after(cluster, service)
        assert int(counted["services"]) == int(before["services"]) + 1 == int(counted["count/services"])
        assert (counted["services.nodeports"], counted["services.loadbalancers"]) == ("2", "1")
        cluster.patch(SERVICES, "lb", {"spec": {"type": "ClusterIP"}})
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
        metadata = {"name": "c", "namespace": "default"}
        counted = after(
            cluster, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        )
        assert (counted["services.nodeports"], counted["services.loadbalancers"]) == ("0", "0")
        assert counted["requests.storage"] == counted[f"{of_class}/requests.storage"] == "2Gi"
        assert counted["persistentvolumeclaims"] == counted[f"{of_class}/persistentvolumeclaims"] == "1"
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, "c")
        cluster.run_for(1)
        assert used(cluster)["requests.storage"] == "0"


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("Terminating", {"activeDeadlineSeconds": 5}, {}),
        ("NotTerminating", {}, {"activeDeadlineSeconds": 5}),
        ("PriorityClass", {"priorityClassName": "system-node-critical"}, {}),
        (
            "CrossNamespacePodAffinity",
            {
                "affinity": {
                    "podAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"topologyKey": "a", "namespaceSelector": {}, "labelSelector": {}}
                        ]
                    }
                }
            },
            {},
        ),
    ],
)
def test_scopes_choose_pods(scope, inside, outside):
    with simulate(0, nodes=0) as cluster:
        cluster.apply(quota(hard={"pods": "9"}, scopes=[scope]))
        assert after(cluster, pod("in", **inside), pod("out", **outside)) == {"pods": "1"}


def test_scopes_choose_pods_by_their_class_of_service():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(quota("best", hard={"pods": "9"}, scopes=["BestEffort"]))
        cluster.apply(quota("other", hard={"pods": "9", "requests.cpu": "9"}, scopes=["NotBestEffort"]))
        cluster.apply(pod("a"), pod("b", {"cpu": "1"}), pod("c", {"cpu": "1"}))
        cluster.run_for(1)
        assert used(cluster, "best") == {"pods": "1"}
        assert used(cluster, "other") == {"pods": "2", "requests.cpu": "2"}


@pytest.mark.parametrize(("operator", "count"), [("In", "1"), ("NotIn", "2"), ("Exists", "2"), ("DoesNotExist", "1")])
def test_a_scope_selector_chooses_priority_classes(operator, count):
    with simulate(0, nodes=0) as cluster:
        one = {"scopeName": "PriorityClass", "operator": operator}
        if operator in ("In", "NotIn"):
            one["values"] = ["system-node-critical"]
        cluster.apply(quota(hard={"pods": "9"}, scopeSelector={"matchExpressions": [one]}))
        names = ("system-node-critical", "system-cluster-critical")
        pods = [pod(f"p{i}", priorityClassName=name) for i, name in enumerate(names)]
        assert after(cluster, *pods, pod("none")) == {"pods": count}


def test_a_pod_that_does_not_go_is_not_counted_for_ever():
    with simulate(0) as cluster:
        cluster.apply(quota(hard={"pods": "9"}))
        cluster.apply(pod("a", terminationGracePeriodSeconds=10))
        cluster.run_for(10)
        assert used(cluster) == {"pods": "1"}
        for node in cluster.nodes:
            cluster.kill(node.process)
        cluster.delete(PODS, "a")
        cluster.run_for(15)
        assert used(cluster) == {"pods": "1"}
        cluster.run_for(10)
        assert cluster.get(PODS, "a") is not None
        assert used(cluster) == {"pods": "0"}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_breaks_the_sums_come_out_right(seed):
    with simulate(seed, Faults(crash_every_s=20, watch_delay_s=0.5, broken_watch=0.05, lost_reply=0.1)) as cluster:
        cluster.apply(quota(hard={"pods": "4", "requests.storage": "9Gi", "configmaps": "20"}))
        cluster.apply(web(3))
        for number in range(10):
            cluster.apply(config(f"c{number}"))
            cluster.run_for(2)
            if number % 2:
                cluster.delete(CONFIG_MAPS, f"c{number}")
        cluster.heal()
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=600)
        cluster.run_until_quiet(20)
        assert used(cluster) == {"pods": "3", "requests.storage": "3Gi", "configmaps": "6"}


def test_a_set_goes_on_when_its_quota_is_raised():
    with simulate(0) as cluster:
        cluster.apply(quota(hard={"pods": "2"}), web(3))
        cluster.run_for(60)
        assert cluster.ready_replicas("web") == 2
        cluster.patch(RESOURCE_QUOTAS, "q", {"spec": {"hard": {"pods": "3"}}})
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=300)
