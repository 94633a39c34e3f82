"""What workloads that keep pods may say of selector, template, strategy and status, in upstream's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest, Resource

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}]},
}
SELECTOR = {"matchLabels": {"app": "web"}}
MALFORMED: Manifest = {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}
NO_VALUES = (
    "spec.selector.matchExpressions[0].values: Forbidden: "
    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
)
SHOWN = 'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]}'
NO_MATCH = "`selector` does not match template `labels`"


def made(resource: Resource, **spec: Any) -> Manifest:
    whole = {"selector": SELECTOR, "template": TEMPLATE, **spec}
    body = {"metadata": {"name": "web"}, "spec": {name: value for name, value in whole.items() if value is not None}}
    manifest, _ = decode_body(resource, json.dumps(body).encode(), "application/json")
    resource.default(manifest)
    return manifest


def errors(resource: Resource, **spec: Any) -> list[str]:
    return [str(error) for error in resource.validate(made(resource, **spec))]


@pytest.mark.parametrize(
    ("resource", "selector", "refusals"),
    [
        (DEPLOYMENTS, MALFORMED, [NO_VALUES, f"{SHOWN}: invalid label selector"]),
        (REPLICA_SETS, MALFORMED, [NO_VALUES, f"{SHOWN}: invalid label selector"]),
        (STATEFUL_SETS, MALFORMED, [NO_VALUES, SHOWN]),
        (DAEMON_SETS, MALFORMED, [NO_VALUES]),
        (DEPLOYMENTS, {}, ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
        (REPLICA_SETS, {}, ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
        (STATEFUL_SETS, {}, ["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"]),
        (DAEMON_SETS, {}, ["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"]),
        (DAEMON_SETS, None, [f'spec.template.metadata.labels: Invalid value: {{"app":"web"}}: {NO_MATCH}']),
    ],
)
def test_a_selector_of_a_workload(resource: Resource, selector: Manifest | None, refusals: list[str]) -> None:
    assert errors(resource, selector=selector) == refusals


def test_a_template_is_not_looked_at_while_the_selector_is_malformed() -> None:
    assert errors(DEPLOYMENTS, selector=MALFORMED, template={}) == [NO_VALUES, f"{SHOWN}: invalid label selector"]


@pytest.mark.parametrize(
    ("rolling", "refusals"),
    [
        (
            {"maxUnavailable": "00%", "maxSurge": 0},
            ['maxUnavailable: Invalid value: "00%": may not be 0 when `maxSurge` is 0'],
        ),
        ({"maxUnavailable": -1}, ["maxUnavailable: Invalid value: -1: must be greater than or equal to 0"]),
    ],
)
def test_a_deployments_pace(rolling: Manifest, refusals: list[str]) -> None:
    found = errors(DEPLOYMENTS, strategy={"rollingUpdate": rolling})
    assert [error.removeprefix("spec.strategy.rollingUpdate.") for error in found] == refusals


def test_a_daemon_sets_pace() -> None:
    field, percent = "spec.updateStrategy.rollingUpdate", "must not be greater than 100%"
    rolling = {"maxUnavailable": "101%", "maxSurge": "102%"}
    assert errors(DAEMON_SETS, updateStrategy={"rollingUpdate": rolling}) == [
        f'{field}.maxUnavailable: Invalid value: "101%": {percent}',
        f'{field}.maxSurge: Invalid value: "102%": {percent}',
        f'{field}.maxSurge: Invalid value: "102%": may not be set when maxUnavailable is non-zero',
    ]


def test_a_replication_controller_needs_a_template() -> None:
    assert errors(REPLICATION_CONTROLLERS, selector=None, template=None) == [
        "spec.selector: Required value",
        "spec.template: Required value",
    ]
    assert errors(REPLICATION_CONTROLLERS, selector={"app": "other"}) == [
        f'spec.template.metadata.labels: Invalid value: {{"app":"web"}}: {NO_MATCH}'
    ]


@pytest.mark.parametrize(
    ("resource", "status", "refusals"),
    [
        (
            DEPLOYMENTS,
            {"replicas": 1, "updatedReplicas": 2, "availableReplicas": 1, "unavailableReplicas": -1},
            [
                "status.unavailableReplicas: Invalid value: -1: must be greater than or equal to 0",
                "status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
                "status.collisionCount: Invalid value: 0: cannot be decremented",
            ],
        ),
        (
            REPLICA_SETS,
            {"replicas": 0, "fullyLabeledReplicas": 1},
            ["status.fullyLabeledReplicas: Invalid value: 1: cannot be greater than status.replicas"],
        ),
        (
            REPLICATION_CONTROLLERS,
            {"replicas": 1, "readyReplicas": 2},
            ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"],
        ),
        (
            DAEMON_SETS,
            {"numberReady": -1},
            [
                "status.numberReady: Invalid value: -1: must be greater than or equal to 0",
                "status.collisionCount: Invalid value: 0: cannot be decremented",
            ],
        ),
    ],
)
def test_a_status_is_refused(resource: Resource, status: Manifest, refusals: list[str]) -> None:
    selector = {"app": "web"} if resource is REPLICATION_CONTROLLERS else SELECTOR
    old = {**made(resource, selector=selector), "status": {"collisionCount": 1}}
    new = {**old, "status": status}
    assert [str(error) for error in resource.validate_status_update(new, old)] == refusals
