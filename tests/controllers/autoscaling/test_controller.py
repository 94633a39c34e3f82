"""Autoscalers, their targets and what pods use, together on simulated time (W82, W83)."""

from __future__ import annotations

import pytest

from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.autoscaling.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALERS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.pod import PODS
from holdfast.api.custom.definition import resources_of
from holdfast.api.times import format_time
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import web

from .made import autoscaler, cpu


class Meters:
    """In the place of the server's metrics: every pod uses as much CPU as `cpu` says, since long ago."""

    def __init__(self, cluster, cpu):
        self.cpu = cpu
        self._cluster = cluster

    async def list(self, call, options):
        now = format_time(self._cluster.world.clock.now())
        pods = await self._cluster.client.list(PODS, call.namespace, label_selector=options.label_selector)
        containers = [{"name": "main", "usage": {"cpu": self.cpu, "memory": "1Mi"}}]
        return [
            {"metadata": pod["metadata"], "timestamp": now, "window": "1s", "containers": containers}
            for pod in pods.items
            if pod["status"]["phase"] == "Running"
        ]


@pytest.fixture
def cluster():
    with simulate(0) as made:
        made.meters = Meters(made, "500m")
        made.frontend._server.metrics = made.meters
        yield made


def busy(replicas=2):
    made = web(replicas, "Parallel")
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    return made


def status(cluster, name="web"):
    return cluster.get(HORIZONTAL_POD_AUTOSCALERS, name)["status"]


def replicas(cluster):
    return cluster.get(STATEFUL_SETS, "web")["spec"]["replicas"]


def reason(cluster, kind, name="web"):
    found = {one["type"]: one["reason"] for one in status(cluster, name).get("conditions") or ()}
    return found.get(kind)


def told(cluster, reason):
    return [one["message"] for one in cluster.objects(EVENTS, "default") if one["reason"] == reason]


def test_w82_a_set_grows_with_its_use_and_shrinks_five_minutes_later(cluster):
    cluster.apply(busy(), autoscaler())
    cluster.run_until(lambda: reason(cluster, "ScalingActive") == "ValidMetricFound", within_s=60)
    assert replicas(cluster) == 2
    cluster.meters.cpu = "900m"
    cluster.run_until(lambda: replicas(cluster) == 4, within_s=20)
    cluster.run_until(lambda: replicas(cluster) == 8, within_s=60)
    cluster.meters.cpu = "100m"
    cluster.run_for(240)
    assert replicas(cluster) >= 8
    assert reason(cluster, "AbleToScale") == "ScaleDownStabilized"
    cluster.run_until(lambda: replicas(cluster) == 2, within_s=200)
    used = "cpu resource utilization (percentage of request)"
    assert f"New size: 4; reason: {used} above target" in told(cluster, "SuccessfulRescale")
    assert "New size: 2; reason: All metrics below target" in told(cluster, "SuccessfulRescale")


def test_w82_policies_count_what_was_changed_before(cluster):
    slow = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}]}}
    cluster.apply(busy(), autoscaler(behavior=slow))
    cluster.meters.cpu = "900m"
    cluster.run_until(lambda: replicas(cluster) == 3, within_s=60)
    cluster.run_for(90)
    assert replicas(cluster) == 3
    assert reason(cluster, "ScalingLimited") == "ScaleUpLimit"
    cluster.run_until(lambda: replicas(cluster) == 4, within_s=60)


def test_w83_whoever_sets_zero_is_left_alone_until_he_sets_more(cluster):
    cluster.apply(busy(), autoscaler())
    cluster.run_until(lambda: reason(cluster, "ScalingActive") == "ValidMetricFound", within_s=60)
    cluster.scale("web", 0)
    cluster.run_until(lambda: reason(cluster, "ScalingActive") == "ScalingDisabled", within_s=60)
    cluster.run_for(60)
    assert replicas(cluster) == 0
    cluster.scale("web", 1)
    cluster.run_until(lambda: reason(cluster, "ScalingActive") == "ValidMetricFound", within_s=60)


def test_w83_a_target_that_comes_later_is_found(cluster):
    cluster.apply(autoscaler(least=3))
    cluster.run_until(lambda: reason(cluster, "AbleToScale") == "FailedGetScale", within_s=20)
    assert told(cluster, "FailedGetScale") == ['statefulsets.apps "web" not found']
    cluster.apply(busy(1))
    cluster.run_until(lambda: replicas(cluster) == 3, within_s=20)
    assert "New size: 3; reason: Current number of replicas below Spec.MinReplicas" in told(
        cluster, "SuccessfulRescale"
    )


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"apiVersion": "apps/v1", "kind": "Nothing"}, 'no matches for kind "Nothing" in group "apps"'),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, 'deployments/scale.apps "web" not found'),
        ({"apiVersion": "apps/v1", "kind": "DaemonSet"}, "the server could not find the requested resource"),
    ],
)
def test_w83_what_cannot_be_scaled_is_told(cluster, reference, message):
    cluster.apply(autoscaler(scaleTargetRef={**reference, "name": "web"}))
    cluster.run_until(lambda: told(cluster, "FailedGetScale") == [message], within_s=20)


def test_w83_two_autoscalers_of_the_same_pods_do_nothing(cluster):
    other = autoscaler(cpu(20))
    other["metadata"]["name"] = "other"
    cluster.meters.cpu = "100m"
    cluster.apply(busy(), autoscaler(), other)
    cluster.run_until(lambda: reason(cluster, "ScalingActive", "other") == "AmbiguousSelector", within_s=60)
    cluster.run_until(lambda: reason(cluster, "ScalingActive") == "AmbiguousSelector", within_s=60)
    cluster.delete(HORIZONTAL_POD_AUTOSCALERS, "other")
    cluster.run_until(lambda: reason(cluster, "ScalingActive") == "ValidMetricFound", within_s=60)


def test_w82_custom_kinds_are_scaled_by_where_they_say_their_replicas_are(cluster):
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    paths = {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "metadata": {"name": "fleets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Fleet", "plural": "fleets"},
            "versions": [{**version, "subresources": {"scale": paths}}],
        },
    }
    cluster.do(cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition))
    cluster.run_for(5)
    [fleets] = resources_of(cluster.get(CUSTOM_RESOURCE_DEFINITIONS, "fleets.example.com"))
    fleet = {
        "apiVersion": "example.com/v1",
        "kind": "Fleet",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"size": 2},
        "status": {"size": 2, "selector": "app=nginx"},
    }
    cluster.do(cluster.client.create(fleets, fleet))
    cluster.meters.cpu = "900m"
    reference = {"apiVersion": "example.com/v1", "kind": "Fleet", "name": "web"}
    cluster.apply(busy(), autoscaler(scaleTargetRef=reference))
    cluster.run_until(lambda: cluster.get(fleets, "web")["spec"]["size"] == 4, within_s=60)


def test_w83_a_server_without_metrics_says_so():
    with simulate(0) as cluster:
        cluster.apply(busy(), autoscaler())
        cluster.run_until(lambda: reason(cluster, "ScalingActive") == "FailedGetResourceMetric", within_s=60)
        assert "(get pods.metrics.k8s.io)" in told(cluster, "FailedGetResourceMetric")[0]
