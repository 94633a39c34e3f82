"""The columns and cells of workloads, their revisions and their surroundings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api import registry
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.verbs import scale

NOW = datetime(2026, 1, 2, tzinfo=UTC)
METADATA = {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}
SELECTOR = {"matchExpressions": [{"key": "tier", "operator": "Exists"}], "matchLabels": {"app": "web"}}
TEMPLATE = {
    "spec": {
        "initContainers": [{"name": "init", "image": "init:1"}],
        "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}],
    }
}


def resource(api_version: str, kind: str) -> Resource:
    found = registry.by_api_version(api_version, kind)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("api_version", "kind", "always", "wide"),
    [
        ("apps/v1", "StatefulSet", ["Ready", "Age"], ["Containers", "Images"]),
        ("apps/v1", "ControllerRevision", ["Controller", "Revision", "Age"], []),
        (
            *("apps/v1", "Deployment"),
            ["Ready", "Up-to-date", "Available", "Age"],
            ["Containers", "Images", "Selector"],
        ),
        ("apps/v1", "ReplicaSet", ["Desired", "Current", "Ready", "Age"], ["Containers", "Images", "Selector"]),
        (
            *("v1", "PersistentVolumeClaim"),
            ["Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass", "Age"],
            ["VolumeMode"],
        ),
        (
            *("v1", "PersistentVolume"),
            [
                *["Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass"],
                *["VolumeAttributesClass", "Reason", "Age"],
            ],
            ["VolumeMode"],
        ),
        (
            *("storage.k8s.io/v1", "StorageClass"),
            ["Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"],
            [],
        ),
        ("v1", "Service", ["Type", "Cluster-IP", "External-IP", "Port(s)", "Age"], ["Selector"]),
        ("v1", "Endpoints", ["Endpoints", "Age"], []),
        ("discovery.k8s.io/v1", "EndpointSlice", ["AddressType", "Ports", "Endpoints", "Age"], []),
        (
            *("v1", "Node"),
            ["Status", "Roles", "Age", "Version"],
            ["Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"],
        ),
        ("v1", "Namespace", ["Status", "Age"], []),
    ],
)
def test_s194_columns_and_which_of_them_are_for_wide_output(
    api_version: str, kind: str, always: list[str], wide: list[str]
) -> None:
    columns = resource(api_version, kind).columns
    assert [(column.name, column.priority) for column in columns] == [
        *[(name, 0) for name in ("Name", *always)],
        *[(name, 1) for name in wide],
    ]


def test_s194_of_an_event_some_wide_columns_stand_in_between() -> None:
    columns = resource("v1", "Event").columns
    assert [column.name for column in columns if column.priority == 0] == [
        *["Last Seen", "Type", "Reason", "Object", "Message"]
    ]
    assert [column.name for column in columns if column.priority == 1] == [
        *["Subobject", "Source", "First Seen", "Count", "Name"]
    ]


def test_s194_types_of_columns() -> None:
    for api_version, kind, column, type in (
        ("apps/v1", "StatefulSet", "Ready", "string"),
        ("apps/v1", "ControllerRevision", "Revision", "string"),
        ("apps/v1", "Deployment", "Up-to-date", "string"),
        ("apps/v1", "ReplicaSet", "Desired", "integer"),
    ):
        (found,) = [each for each in resource(api_version, kind).columns if each.name == column]
        assert found.type == type
        (name,) = [each for each in resource(api_version, kind).columns if each.name == "Name"]
        assert name.format == "name"
    assert [column.type for column in scale.COLUMNS] == ["string", "integer", "integer", "string"]


@pytest.mark.parametrize(
    ("api_version", "kind", "members", "cells"),
    [
        (
            *("apps/v1", "StatefulSet"),
            {"spec": {"replicas": 3, "template": TEMPLATE}, "status": {"replicas": 3, "readyReplicas": 2}},
            ["web", "2/3", "24h", "a,b", "a:1,b:1"],
        ),
        (
            *("apps/v1", "StatefulSet"),
            {"spec": {"replicas": 0, "template": TEMPLATE}, "status": {}},
            ["web", "0/0", "24h", "a,b", "a:1,b:1"],
        ),
        (
            *("apps/v1", "Deployment"),
            {
                "spec": {"replicas": 3, "template": TEMPLATE, "selector": SELECTOR},
                "status": {"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
            },
            ["web", "2/3", 1, 2, "24h", "a,b", "a:1,b:1", "app=web,tier"],
        ),
        (
            *("apps/v1", "ReplicaSet"),
            {
                "spec": {"replicas": 3, "template": TEMPLATE, "selector": SELECTOR},
                "status": {"replicas": 2, "readyReplicas": 1},
            },
            ["web", 3, 2, 1, "24h", "a,b", "a:1,b:1", "app=web,tier"],
        ),
        ("apps/v1", "ControllerRevision", {"revision": 4}, ["web", "<none>", 4, "24h"]),
        ("v1", "Namespace", {"status": {"phase": "Active"}}, ["web", "Active", "24h"]),
    ],
)
def test_s194_a_workload_as_it_is_printed(api_version: str, kind: str, members: Manifest, cells: list[Any]) -> None:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": METADATA, **members}
    assert resource(api_version, kind).cells(manifest, NOW) == cells
