"""What limit ranges, ingress classes and namespaces may say, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.core.limit_range import LIMIT_RANGES
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.networking.ingress_class import INGRESS_CLASSES


def errors_of_limit(limit: dict[str, Any]) -> list[str]:
    limit_range = {"metadata": {"name": "a"}, "spec": {"limits": [limit]}}
    return [str(error).removeprefix("spec.limits[0].") for error in LIMIT_RANGES.validate(limit_range)]


@pytest.mark.parametrize(
    ("limit", "refusals"),
    [
        ({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}}, []),
        ({"type": "example.com/gpu"}, []),
        ({"type": "Node"}, ['type: Invalid value: "Node": must be a standard limit type or fully qualified']),
        (
            {"type": "PersistentVolumeClaim"},
            ["limits: Required value: either minimum or maximum storage value is required, but neither was provided"],
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}},
            ['maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1'],
        ),
        (
            {"type": "Container", "max": {"cpu": "3"}, "min": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "2"}},
            ['maxLimitRequestRatio[cpu]: Invalid value: "2": ratio 2 is greater than max/min = 1.500000'],
        ),
    ],
)
def test_limit_ranges(limit: dict[str, Any], refusals: list[str]) -> None:
    assert errors_of_limit(limit) == refusals


@pytest.mark.parametrize(
    ("parameters", "refusals"),
    [
        ({"kind": "Config", "name": "a", "scope": "Cluster"}, []),
        ({"kind": "Config", "name": "a", "scope": "Namespace", "namespace": "b"}, []),
        ({"scope": "Cluster"}, ["kind: Required value: kind is required", "name: Required value: name is required"]),
        (
            {"kind": "Config", "name": "a", "scope": "World"},
            ['scope: Unsupported value: "World": supported values: "Cluster", "Namespace"'],
        ),
        (
            {"kind": "Config", "name": "a", "scope": "Namespace"},
            ["namespace: Required value: `parameters.scope` is set to 'Namespace'"],
        ),
        (
            {"kind": "Config", "name": "a", "scope": "Cluster", "namespace": "b"},
            ["namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
        ),
    ],
)
def test_parameters_of_an_ingress_class(parameters: dict[str, Any], refusals: list[str]) -> None:
    ingress_class = {"metadata": {"name": "a"}, "spec": {"controller": "a.b/c", "parameters": parameters}}
    found = [str(error).removeprefix("spec.parameters.") for error in INGRESS_CLASSES.validate(ingress_class)]
    assert found == refusals


def test_a_finalizer_of_a_namespace_is_one_of_kubernetes_own_or_qualified() -> None:
    namespace = {"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes", "a.b/c", "mine"]}}
    assert [str(error) for error in NAMESPACES.validate(namespace)] == [
        'spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified'
    ]
