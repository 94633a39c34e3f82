"""What autoscalers may say, and what is filled into their behavior, in upstream's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.autoscaling.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALERS
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
KINDS = '"ContainerResource", "External", "Object", "Pods", "Resource"'


def autoscaler(**spec: Any) -> Manifest:
    body = {"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": TARGET, **spec}}
    manifest, _ = decode_body(HORIZONTAL_POD_AUTOSCALERS, json.dumps(body).encode(), "application/json")
    HORIZONTAL_POD_AUTOSCALERS.default(manifest)
    return manifest


def errors(**spec: Any) -> list[str]:
    return [str(error) for error in HORIZONTAL_POD_AUTOSCALERS.validate(autoscaler(**spec))]


@pytest.mark.parametrize(
    ("metric", "refusals"),
    [
        (CPU, []),
        ({"type": "Guess"}, [f'type: Unsupported value: "Guess": supported values: {KINDS}'] * 2),
        ({"type": "Pods"}, ["pods: Required value: must populate information for the given metric source"]),
        ({**CPU, "pods": {}}, None),
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}},
            [
                "resource.target.averageUtilization: Required value: "
                "must set either a target raw value or a target utilization"
            ],
        ),
        (
            {"type": "External", "external": {"metric": {"name": "a/b"}, "target": {"type": "Value", "value": "0"}}},
            [
                "external.metric.name: Invalid value: \"a/b\": may not contain '/'",
                'external.target.value: Invalid value: "0": must be positive',
            ],
        ),
        (
            {"type": "ContainerResource", "containerResource": {"name": "bananas", "target": {}}},
            [
                'containerResource.name: Invalid value: "bananas": must be a standard resource type or fully qualified',
                'containerResource.name: Invalid value: "bananas": must be a standard resource for containers',
                "containerResource.container: Required value: must specify a container",
                "containerResource.target.type: Required value: must specify a metric target type",
                'containerResource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
                "containerResource.target.averageUtilization: Required value: "
                "must set either a target raw value or a target utilization",
            ],
        ),
    ],
)
def test_metrics(metric: Manifest, refusals: list[str] | None) -> None:
    found = [error.removeprefix("spec.metrics[0].") for error in errors(metrics=[metric])]
    if refusals is None:
        assert found[-1] == "pods: Forbidden: must populate the given metric source only"
    else:
        assert found == refusals


def test_nothing_is_too_few_unless_it_was_allowed_before() -> None:
    outside = {"type": "External", "external": {"metric": {"name": "a"}, "target": {"type": "Value", "value": "1"}}}
    assert errors(minReplicas=0, metrics=[outside]) == [
        "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"
    ]
    old = autoscaler(minReplicas=0, metrics=[outside])
    assert HORIZONTAL_POD_AUTOSCALERS.validate_update(old, old) == []


def test_behavior_is_filled_in() -> None:
    share = {"type": "Percent", "value": 100, "periodSeconds": 15}
    assert autoscaler(behavior={"scaleDown": {"stabilizationWindowSeconds": 60}})["spec"]["behavior"] == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, share],
        },
        "scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Max", "policies": [share]},
    }
    assert "behavior" not in autoscaler()["spec"]


def test_behavior_is_checked() -> None:
    policy = {"type": "Pod", "value": 0, "periodSeconds": 1801}
    rules = {"stabilizationWindowSeconds": 3601, "selectPolicy": "Mean", "policies": [policy], "tolerance": "-1"}
    found = [error.removeprefix("spec.behavior.scaleUp.") for error in errors(behavior={"scaleUp": rules})]
    assert found == [
        "stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
        'selectPolicy: Unsupported value: "Mean": supported values: "Disabled", "Max", "Min"',
        'policies[0].type: Unsupported value: "Pod": supported values: "Percent", "Pods"',
        "policies[0].value: Invalid value: 0: must be greater than zero",
        "policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
        'tolerance: Invalid value: "-1": must be greater than or equal to 0',
    ]
