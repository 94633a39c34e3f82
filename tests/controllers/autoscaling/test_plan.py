"""What becomes of an autoscaler, its target and its conditions (W82, W83)."""

from __future__ import annotations

import pytest

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.times import format_time
from holdfast.controllers.actions import Emit, Update
from holdfast.controllers.autoscaling.limits import History
from holdfast.controllers.autoscaling.metrics import Measured
from holdfast.controllers.autoscaling.plan import Observed, Target, decide

from .made import NOW, ago, autoscaler, cpu, measured, pod


def target(replicas, *items, error="", selector="app=web", **more):
    scale = {"metadata": {"name": "web"}, "spec": {"replicas": replicas}, "status": {"replicas": replicas}}
    scale["status"] |= {"selector": selector} if selector else {}
    pods = [pod(number) for number in range(replicas)]
    return Target(STATEFUL_SETS, scale, pods, Measured(items, error), **more)


def decided(made, of, history=None):
    return decide(Observed(made, of, history or History(), NOW))


def conditions(decision, written="status"):
    found = getattr(decision.plan, written).manifest["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def events(decision):
    reports = [action.report for action in decision.plan.actions if isinstance(action, Emit)]
    return [(one.type, one.reason, one.message) for one in reports]


def write(decision):
    return next((action for action in decision.plan.actions if isinstance(action, Update)), None)


def told(decision):
    return decision.plan.status.manifest["status"]


def test_w82_more_pods_for_more_use():
    decision = decided(autoscaler(), target(2, measured(0, "900m"), measured(1, "700m")))
    scaled = write(decision)
    assert (scaled.resource, scaled.subresource, scaled.manifest["spec"]) == (STATEFUL_SETS, "scale", {"replicas": 4})
    reason = "cpu resource utilization (percentage of request)"
    assert scaled.on_success.message == f"New size: 4; reason: {reason} above target"
    assert (scaled.on_success.reason, scaled.on_failure.reason) == ("SuccessfulRescale", "FailedRescale")
    assert scaled.on_failure.message == f"New size: 4; reason: {reason} above target; error: {{error}}"
    assert conditions(decision) == {
        "AbleToScale": ("True", "SucceededRescale", "the HPA controller was able to update the target scale to 4"),
        "ScalingActive": (
            "True",
            "ValidMetricFound",
            f"the HPA was able to successfully calculate a replica count from {reason}",
        ),
        "ScalingLimited": ("False", "DesiredWithinRange", "the desired count is within the acceptable range"),
    }
    current = {"averageUtilization": 80, "averageValue": "800m"}
    status = told(decision)
    assert status["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
    assert status["lastScaleTime"] == format_time(NOW)
    assert decision.change == 2
    assert decision.plan.again_after_s == 15


def test_w82_a_scale_that_cannot_be_written_is_told_and_changes_nothing_else():
    before = {"currentMetrics": None, "desiredReplicas": 2, "currentReplicas": 2}
    decision = decided(autoscaler(status=before), target(2, measured(0, "900m"), measured(1, "700m")))
    able = ("False", "FailedUpdateScale", "the HPA controller was unable to update the target scale: {error}")
    assert conditions(decision, "failed_status")["AbleToScale"] == able
    failed = decision.plan.failed_status.manifest["status"]
    assert (failed["currentReplicas"], failed["desiredReplicas"]) == (2, 2)
    assert "lastScaleTime" not in failed


def test_w82_what_is_right_stays_and_is_not_written_again():
    pods = target(2, measured(0, "500m"), measured(1, "500m"))
    first = decided(autoscaler(), pods)
    assert write(first) is None
    assert first.change == 0
    assert told(first)["desiredReplicas"] == 2
    assert conditions(first)["AbleToScale"][1] == "ReadyForNewScale"
    assert decided(autoscaler(status=told(first)), pods).plan.status is None


def test_w82_fewer_pods_only_when_five_minutes_agree():
    pods = target(4, *(measured(number, "100m") for number in range(4)))
    first = decided(autoscaler(), pods)
    assert write(first) is None, "that there are four was a recommendation too"
    assert conditions(first)["AbleToScale"][1] == "ScaleDownStabilized"
    assert first.history.recommendations == ((NOW, 4), (NOW, 1))
    later = decided(autoscaler(), pods, History(recommendations=((ago(301), 4), (ago(290), 1))))
    assert write(later).manifest["spec"] == {"replicas": 1}
    assert write(later).on_success.message == "New size: 1; reason: All metrics below target"
    assert later.change == -3


@pytest.mark.parametrize(
    ("replicas", "size", "why"),
    [
        (12, 10, "Current number of replicas above Spec.MaxReplicas"),
        (1, 2, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_w82_bounds_hold_whatever_metrics_say(replicas, size, why):
    decision = decided(autoscaler(least=2), target(replicas))
    assert write(decision).manifest["spec"] == {"replicas": size}
    assert write(decision).on_success.message == f"New size: {size}; reason: {why}"
    assert told(decision)["currentMetrics"] is None


def test_w83_zero_by_hand_disables_it():
    decision = decided(autoscaler(), target(0))
    disabled = "scaling is disabled since the replica count of the target is zero"
    assert conditions(decision)["ScalingActive"] == ("False", "ScalingDisabled", disabled)
    assert (write(decision), events(decision)) == (None, [])


def test_w83_without_metrics_nothing_is_scaled():
    cause = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from "
    cause += "resource metrics API"
    decision = decided(autoscaler(), target(2))
    why = f"the HPA was unable to compute the replica count: {cause}"
    assert conditions(decision) == {
        "AbleToScale": ("True", "SucceededGetScale", "the HPA controller was able to get the target's current scale"),
        "ScalingActive": ("False", "FailedGetResourceMetric", why),
    }
    first = "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: "
    assert events(decision) == [
        ("Warning", "FailedGetResourceMetric", cause),
        ("Warning", "FailedComputeMetricsReplicas", first + cause),
    ]
    assert told(decision)["currentReplicas"] == 2


def test_w83_an_api_that_does_not_answer_is_named():
    unable = "the server is currently unable to handle the request (get pods.metrics.k8s.io)"
    [(_, _, message), _] = events(decided(autoscaler(), target(2, error=unable)))
    assert message.endswith(f"resource cpu: unable to fetch metrics from resource metrics API: {unable}")


def test_w82_one_metric_that_fails_stops_what_would_be_fewer_pods_only():
    pods = {"type": "Pods", "pods": {"metric": {"name": "packets"}, "target": {"averageValue": "1"}}}
    busy = decided(autoscaler(pods, cpu()), target(2, measured(0, "900m"), measured(1, "900m")))
    assert write(busy).manifest["spec"] == {"replicas": 4}
    assert told(busy)["currentMetrics"][0] == {"type": ""}
    [(_, reason, message)] = events(busy)
    none = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
    assert (reason, message) == ("FailedGetPodsMetric", f"unable to get metric packets: {none}")
    idle = decided(autoscaler(pods, cpu()), target(2, measured(0, "90m"), measured(1, "90m")))
    assert write(idle) is None
    assert events(idle)[-1][2].startswith("invalid metrics (1 invalid out of 2), first error is: failed to get pods ")


@pytest.mark.parametrize(
    ("metric", "reason", "cause"),
    [
        (
            {
                "type": "Object",
                "object": {
                    "metric": {"name": "rps"},
                    "describedObject": {"kind": "Ingress", "name": "main"},
                    "target": {"value": "1"},
                },
            },
            "FailedGetObjectMetric",
            "unable to get metric rps: Ingress on default main/unable to fetch metrics from custom metrics API: ",
        ),
        (
            {
                "type": "External",
                "external": {
                    "metric": {"name": "depth", "selector": {"matchLabels": {"queue": "mail"}}},
                    "target": {"averageValue": "1"},
                },
            },
            "FailedGetExternalMetric",
            "unable to get external metric default/depth/&LabelSelector{MatchLabels:map[string]string{queue: mail,},"
            "MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external metrics API: ",
        ),
    ],
)
def test_w83_metrics_of_other_apis_are_told_to_be_missing(metric, reason, cause):
    decision = decided(autoscaler(metric), target(2))
    assert conditions(decision)["ScalingActive"][1] == reason
    assert events(decision)[0][2].startswith(cause)


def test_w82_a_container_of_its_own():
    source = {"name": "cpu", "container": "main", "target": {"type": "Utilization", "averageUtilization": 50}}
    metric = {"type": "ContainerResource", "containerResource": source}
    decision = decided(autoscaler(metric), target(1, measured(0, "900m")))
    assert "cpu container resource utilization" in write(decision).on_success.message
    shown = {"averageUtilization": 90, "averageValue": "900m"}
    assert told(decision)["currentMetrics"][0]["containerResource"]["current"] == shown


def test_w82_an_amount_of_memory():
    source = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "32Mi"}}
    decision = decided(autoscaler({"type": "Resource", "resource": source}), target(1, measured(0, "1")))
    assert write(decision).on_success.message == "New size: 2; reason: memory resource above target"
    assert told(decision)["currentMetrics"][0]["resource"]["current"] == {"averageValue": "67108864"}


def test_w83_a_target_that_is_not_there():
    decision = decided(autoscaler(), 'statefulsets.apps "web" not found')
    message = 'the HPA controller was unable to get the target\'s current scale: statefulsets.apps "web" not found'
    assert conditions(decision) == {"AbleToScale": ("False", "FailedGetScale", message)}
    assert events(decision) == [("Warning", "FailedGetScale", 'statefulsets.apps "web" not found')]
    assert decision.plan.again_after_s == 15


def test_w83_pods_that_several_autoscalers_scale_by_are_left_alone():
    decision = decided(autoscaler(), target(2, rivals=("default/other", "default/web")))
    message = "pods by selector app=web are controlled by multiple HPAs: [default/other default/web]"
    assert conditions(decision)["ScalingActive"] == ("False", "AmbiguousSelector", message)
    assert [reason for _, reason, _ in events(decision)] == ["AmbiguousSelector", "FailedComputeMetricsReplicas"]


def test_w83_a_scale_without_selector_is_of_no_use():
    decision = decided(autoscaler(), target(2, selector=""))
    missing = "the HPA target's scale is missing a selector"
    assert conditions(decision)["ScalingActive"] == ("False", "InvalidSelector", missing)
    assert events(decision)[0] == ("Warning", "SelectorRequired", "selector is required")


def test_a_condition_keeps_its_time_while_it_holds():
    old = {
        "type": "AbleToScale",
        "status": "True",
        "lastTransitionTime": format_time(ago(60)),
        "reason": "",
        "message": "",
    }
    status = {"currentMetrics": None, "desiredReplicas": 2, "conditions": [old]}
    decision = decided(autoscaler(status=status), target(2, measured(0, "500m"), measured(1, "500m")))
    times = {one["type"]: one["lastTransitionTime"] for one in told(decision)["conditions"]}
    assert times == {
        "AbleToScale": format_time(ago(60)),
        "ScalingActive": format_time(NOW),
        "ScalingLimited": format_time(NOW),
    }
