"""One autoscaler in two versions: what v1 cannot say is in its annotations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.autoscaling.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALERS as V2
from holdfast.api.autoscaling.horizontal_pod_autoscaler_v1 import HORIZONTAL_POD_AUTOSCALERS_V1 as V1
from holdfast.api.autoscaling.older_form import BEHAVIOR, CONDITIONS, CURRENT_METRICS, METRICS
from holdfast.api.resource import Manifest

TARGET = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
SELECTOR = {"matchLabels": {"a": "b"}}
OTHERS: list[Manifest] = [
    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
    {"type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 40}}},
    {"type": "Pods", "pods": {
        "metric": {"name": "qps", "selector": SELECTOR}, "target": {"type": "AverageValue", "averageValue": "10"}}},
    {"type": "Object", "object": {
        "describedObject": {"kind": "Ingress", "name": "main"}, "metric": {"name": "hits"},
        "target": {"type": "Value", "value": "2k"}}},
    {"type": "External", "external": {
        "metric": {"name": "queue", "selector": SELECTOR}, "target": {"type": "AverageValue", "averageValue": "30"}}},
]  # fmt: skip


def newer(**spec: Any) -> Manifest:
    autoscaler: Manifest = {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v2",
        "metadata": {"name": "a", "annotations": {"mine": "x"}},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {**TARGET}, **spec},
    }
    V2.default(autoscaler)
    return autoscaler


def older(annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    metadata = {"name": "a", "annotations": annotations} if annotations else {"name": "a"}
    head = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1"}
    autoscaler: Manifest = {
        **head,
        "metadata": metadata,
        "spec": {"maxReplicas": 3, "scaleTargetRef": {**TARGET}, **spec},
    }
    V1.default(autoscaler)
    return autoscaler


def read(autoscaler: Manifest) -> Manifest:
    assert V1.stored_as
    return V1.stored_as.read(autoscaler)


def write(autoscaler: Manifest) -> Manifest:
    assert V1.stored_as
    return V1.stored_as.write(autoscaler)


def texts(errors: Any) -> list[str]:
    return [str(error) for error in errors]


def test_cpu_is_the_one_metric_that_the_older_version_has_a_field_for() -> None:
    shown = read(newer(metrics=[CPU]))
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 60
    assert shown["metadata"]["annotations"] == {"mine": "x"}
    assert write(older(targetCPUUtilizationPercentage=60))["spec"]["metrics"] == [CPU]


def test_without_a_target_the_older_version_gets_the_newer_ones_default() -> None:
    assert read(write(older()))["spec"]["targetCPUUtilizationPercentage"] == 80


def test_other_metrics_are_annotations_in_the_older_members() -> None:
    shown = json.loads(read(newer(metrics=[CPU, *OTHERS]))["metadata"]["annotations"][METRICS])
    assert shown == [
        {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}},
        {
            "type": "ContainerResource",
            "containerResource": {"name": "cpu", "targetAverageUtilization": 40, "container": "app"},
        },
        {"type": "Pods", "pods": {"metricName": "qps", "targetAverageValue": "10", "selector": SELECTOR}},
        {
            "type": "Object",
            "object": {"target": {"kind": "Ingress", "name": "main"}, "metricName": "hits", "targetValue": "2k"},
        },
        {
            "type": "External",
            "external": {"metricName": "queue", "metricSelector": SELECTOR, "targetAverageValue": "30"},
        },
    ]


def test_nothing_is_lost_on_the_way_to_the_older_version_and_back() -> None:
    autoscaler = newer(metrics=[CPU, *OTHERS], behavior={"scaleDown": {"stabilizationWindowSeconds": 60}})
    use = {"name": "cpu", "current": {"averageUtilization": 30, "averageValue": "300m"}}
    condition = {"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    autoscaler["status"] = {
        "currentMetrics": [{"type": "Resource", "resource": use}],
        "conditions": [condition],
        "desiredReplicas": 2,
        "currentReplicas": 1,
    }
    shown = read(autoscaler)
    assert shown["status"] == {"currentCPUUtilizationPercentage": 30, "desiredReplicas": 2, "currentReplicas": 1}
    assert set(shown["metadata"]["annotations"]) == {"mine", METRICS, BEHAVIOR, CURRENT_METRICS, CONDITIONS}
    assert json.loads(shown["metadata"]["annotations"][BEHAVIOR])["ScaleDown"]["StabilizationWindowSeconds"] == 60
    assert write(shown) == autoscaler


@pytest.mark.parametrize(
    "annotations",
    [
        {METRICS: "{", BEHAVIOR: "[]", CONDITIONS: "7"},
        {METRICS: '[{"type": "Resource", "resource": {"name": 5}}]', BEHAVIOR: '{"ScaleUp": 5}'},
        {METRICS: '[{"type": 7}]', CURRENT_METRICS: '[{"type": "Pods", "pods": {"currentAverageValue": "much"}}]'},
        {BEHAVIOR: '{"ScaleUp": {"Policies": [1]}}', CONDITIONS: '[{"type": 3}]'},
    ],
)
def test_annotations_that_make_no_sense_are_dropped(annotations: dict[str, str]) -> None:
    stored = write(older({**annotations, "mine": "x"}))
    assert stored == write(older({"mine": "x"}))
    assert V2.validate(stored) == []


def test_whoever_updates_the_older_version_does_not_take_away_what_status_knows() -> None:
    old = older({CONDITIONS: "[{}]", METRICS: "[]"})
    new = older({CURRENT_METRICS: "[{}]", "mine": "x"})
    V1.prepare_update(new, old)
    assert new["metadata"]["annotations"] == {CONDITIONS: "[{}]", "mine": "x"}


def test_both_versions_refuse_the_same_in_the_same_words() -> None:
    refusal = "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"
    assert texts(V2.validate(newer(minReplicas=5))) == [refusal]
    assert texts(V1.validate(older(minReplicas=5))) == [refusal]


def test_both_directions_have_rules_as_soon_as_one_has() -> None:
    behavior = newer(behavior={"scaleDown": {"selectPolicy": "Min"}})["spec"]["behavior"]
    percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
    assert behavior["scaleDown"] == {"selectPolicy": "Min", "policies": [percent]}
    assert behavior["scaleUp"] == {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, percent],
    }


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        (
            {"stabilizationWindowSeconds": 3601},
            "stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
        ),
        ({"policies": []}, "policies: Required value: must specify at least one Policy"),
        ({"selectPolicy": "Any"}, 'selectPolicy: Unsupported value: "Any": supported values: "Disabled", "Max", "Min"'),
        (
            {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1}]},
            "policies[0].value: Invalid value: 0: must be greater than zero",
        ),
        (
            {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]},
            "policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
        ),
    ],
)
def test_rules_for_scaling_are_checked(rules: Manifest, refusal: str) -> None:
    assert texts(V2.validate(newer(behavior={"scaleUp": rules}))) == [f"spec.behavior.scaleUp.{refusal}"]
