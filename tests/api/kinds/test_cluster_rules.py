"""What nodes, quotas, drivers, attachments, roles, leases and priorities may say, in upstream's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api import names
from holdfast.api.coordination.lease import LEASES
from holdfast.api.core.node import NODES
from holdfast.api.core.resource_quota import RESOURCE_QUOTAS
from holdfast.api.decode import decode_body
from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.rbac.role_binding import ROLE_BINDINGS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.scheduling.priority_class import PRIORITY_CLASSES
from holdfast.api.storage.csi_driver import CSI_DRIVERS
from holdfast.api.storage.csi_node import CSI_NODES
from holdfast.api.storage.volume_attachment import VOLUME_ATTACHMENTS


def made(resource: Resource, **body: Any) -> Manifest:
    manifest, _ = decode_body(resource, json.dumps({"metadata": {"name": "a"}, **body}).encode(), "application/json")
    resource.default(manifest)
    return manifest


def errors(resource: Resource, **body: Any) -> list[str]:
    return [str(error) for error in resource.validate(made(resource, **body))]


def change(resource: Resource, old: Manifest, new: Manifest) -> list[str]:
    return [str(error) for error in resource.validate_update(made(resource, **new), made(resource, **old))]


def test_a_node_is_refused() -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    blocks = ["10.0.0.0/24", "10.0.0.0/24"]
    shown = '{"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}'
    status = {"capacity": {"cpu": "-1", "pods": "500m"}}
    assert errors(NODES, spec={"taints": [taint, taint], "podCIDRs": blocks}, status=status) == [
        f"metadata.taints[1]: Duplicate value: {shown}: taints must be unique by key and effect pair",
        'status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0',
        'status.capacity.pods: Invalid value: "500m": must be an integer',
        'status.allocatable.cpu: Invalid value: "-1": must be greater than or equal to 0',
        'status.allocatable.pods: Invalid value: "500m": must be an integer',
        'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.0.0/24"]: '
        "may specify no more than one CIDR for each IP family",
        'spec.podCIDRs[1]: Duplicate value: "10.0.0.0/24"',
    ]


def test_a_change_of_a_node() -> None:
    address = {"type": "InternalIP", "address": "1.2.3.4"}
    old = {"spec": {"providerID": "a", "externalID": "b"}}
    assert change(NODES, old, {"spec": {}, "status": {"addresses": [address, address]}}) == [
        'status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"1.2.3.4"}',
        'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
        "spec.externalID: Forbidden: may not be updated",
    ]


def selected(*scopes: tuple[str, str, list[str]]) -> Manifest:
    return {"matchExpressions": [{"scopeName": s, "operator": o, "values": v} for s, o, v in scopes]}


SELECTOR = "spec.scopeSelector.matchExpressions"


@pytest.mark.parametrize(
    ("spec", "refusals"),
    [
        ({"hard": {"pods": "1"}, "scopes": ["BestEffort"]}, []),
        (
            {"hard": {"storage": "1"}},
            ['spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota'],
        ),
        (
            {"hard": {"pods": "1", "cpu": "1"}, "scopes": ["BestEffort", "NotBestEffort"]},
            [
                'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: unsupported scope applied to resource',
                'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
            ],
        ),
        (
            {"hard": {"secrets": "1"}, "scopeSelector": selected(("PriorityClass", "In", ["high"]))},
            [
                f'{SELECTOR}: Invalid value: {{"MatchExpressions":[{{"ScopeName":"PriorityClass","Operator":"In",'
                '"Values":["high"]}]}: unsupported scope applied to resource'
            ],
        ),
        (
            {"scopeSelector": selected(("Best", "Is", []), ("PriorityClass", "In", []))},
            [
                f'{SELECTOR}.scopeName: Invalid value: "Best": unsupported scope',
                f'{SELECTOR}.operator: Invalid value: "Is": not a valid selector operator',
                f"{SELECTOR}.values: Required value: "
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ],
        ),
        (
            {"scopeSelector": selected(("Terminating", "Exists", ["a"]), ("NotTerminating", "Exists", []))},
            [
                f'{SELECTOR}.values: Invalid value: ["a"]: '
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
                f"{SELECTOR}: Invalid value: null: conflicting scopes",
            ],
        ),
    ],
)
def test_scopes_of_a_quota(spec: Manifest, refusals: list[str]) -> None:
    assert errors(RESOURCE_QUOTAS, spec=spec) == refusals


def test_what_a_driver_may_say_and_change() -> None:
    requests = [{"audience": "a", "expirationSeconds": 1}, {"audience": "a"}]
    spec = {"tokenRequests": requests, "nodeAllocatableUpdatePeriodSeconds": 9, "volumeLifecycleModes": ["Once"]}
    assert errors(CSI_DRIVERS, spec=spec) == [
        "spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
        'spec.tokenRequests[1].audience: Duplicate value: "a"',
        'spec.volumeLifecycleModes: Unsupported value: "Once": supported values: "Persistent", "Ephemeral"',
        "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
    ]
    assert change(CSI_DRIVERS, {"spec": {}}, {"spec": {"attachRequired": False}}) == [
        "spec.attachedRequired: Invalid value: false: field is immutable"
    ]


def test_drivers_of_a_node() -> None:
    driver = {"name": "a.b", "nodeID": "n", "topologyKeys": ["k", "k"], "allocatable": {"count": -1}}
    assert errors(CSI_NODES, spec={"drivers": [driver]}) == [
        "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
        'spec.drivers[0]: Duplicate value: "k"',
    ]
    old = {"spec": {"drivers": [{"name": "a.b", "nodeID": "n"}]}}
    assert (
        change(CSI_NODES, old, {"spec": {"drivers": [{**old["spec"]["drivers"][0], "allocatable": {"count": 1}}]}})
        == []
    )
    assert change(CSI_NODES, old, {"spec": {"drivers": [{"name": "a.b", "nodeID": "m"}]}}) == [
        'spec.drivers: Invalid value: {"Name":"a.b","NodeID":"m","TopologyKeys":null,"Allocatable":null}: '
        "field is immutable"
    ]


def test_what_is_attached() -> None:
    exactly_one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    assert errors(VOLUME_ATTACHMENTS, spec={"source": {}}) == [
        "spec.attacher: Required value",
        f"spec.source: Required value: {exactly_one}",
        f'spec.nodeName: Invalid value: "": {names.dns_subdomain("")}',
    ]
    both = made(VOLUME_ATTACHMENTS, spec={"attacher": "A_", "source": {"persistentVolumeName": "B_"}, "nodeName": "n"})
    assert [str(error) for error in VOLUME_ATTACHMENTS.validate_create(both)] == [
        f'spec.attacher: Invalid value: "A_": {names.dns_subdomain("A_")}',
        f'spec.source.persistentVolumeName: Invalid value: "B_": {names.dns_subdomain("B_")}',
    ]


def test_which_roles_are_aggregated() -> None:
    field = "aggregationRule.clusterRoleSelectors"
    assert errors(CLUSTER_ROLES, aggregationRule={"clusterRoleSelectors": []}) == [
        f"{field}: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"
    ]
    malformed = {"matchExpressions": [{"key": "a", "operator": "In"}]}
    assert errors(CLUSTER_ROLES, aggregationRule={"clusterRoleSelectors": [malformed]}) == [
        f"{field}[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        f"{field}[0]: Invalid value: null: invalid label selector.",
    ]


def test_a_namespace_of_a_user_is_nobodys_business() -> None:
    subject = {"kind": "User", "name": "jane", "namespace": "x"}
    assert errors(ROLE_BINDINGS, roleRef={"kind": "Role", "name": "r"}, subjects=[subject]) == []


def test_a_lease_loses_what_belongs_to_a_gate_that_is_off() -> None:
    lease = made(LEASES, spec={"strategy": "OldestEmulationVersion", "preferredHolder": "b", "holderIdentity": "a"})
    LEASES.prepare_create(lease)
    assert lease["spec"] == {"holderIdentity": "a"}


def test_what_a_priority_may_change() -> None:
    assert change(PRIORITY_CLASSES, {"value": 1}, {"value": 2, "preemptionPolicy": "Never"}) == [
        "value: Forbidden: may not be changed in an update.",
        'preemptionPolicy: Invalid value: "Never": field is immutable',
    ]
