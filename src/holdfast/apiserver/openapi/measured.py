"""Definitions of what is measured, in the form of upstream's bundle, which has only Kubernetes' own kinds (A277).

Source: Kubernetes, k8s.io/metrics/pkg/apis/metrics/v1beta1/types.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PACKAGE = "io.k8s.metrics.pkg.apis.metrics.v1beta1"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"

Schema = dict[str, Any]


def definition_name(group: str, version: str, kind: str) -> str:
    """Of a measured kind or its list; empty for another one."""
    name = f"{PACKAGE}.{kind}"
    return name if (group, version) == ("metrics.k8s.io", "v1beta1") and name in DEFINITIONS else ""


def _reference(name: str, description: str = "") -> Schema:
    return {**({"description": description} if description else {}), "$ref": f"#/definitions/{name}"}


def _list_of(name: str, description: str = "") -> Schema:
    return {"type": "array", "items": _reference(name), **({"description": description} if description else {})}


_USAGE: Schema = {
    "type": "object",
    "description": "The memory usage is the memory working set.",
    "additionalProperties": _reference("io.k8s.apimachinery.pkg.api.resource.Quantity"),
}
_MOMENT: Schema = {
    "timestamp": _reference(
        f"{_META}.Time",
        "The following fields define time interval from which metrics were collected from the interval "
        "[Timestamp-Window, Timestamp].",
    ),
    "window": _reference(f"{_META}.Duration"),
}


def _kind(kind: str, description: str, properties: Schema, required: Sequence[str]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **properties},
        "x-kubernetes-group-version-kind": [{"group": "metrics.k8s.io", "version": "v1beta1", "kind": kind}],
    }


def _metrics(kind: str, description: str, member: str, schema: Schema) -> Schema:
    properties = {"metadata": _reference(f"{_META}.ObjectMeta"), **_MOMENT, member: schema}
    return _kind(kind, description, properties, ("timestamp", "window", member))


def _metrics_list(kind: str) -> Schema:
    items = _list_of(f"{PACKAGE}.{kind}", f"List of {kind}.")
    properties = {"metadata": _reference(f"{_META}.ListMeta"), "items": items}
    return _kind(f"{kind}List", f"{kind}List is a list of {kind}.", properties, ("items",))


DEFINITIONS: dict[str, Schema] = {
    f"{_META}.Duration": {
        "type": "string",
        "description": "Duration is a wrapper around time.Duration which supports correct marshaling to YAML and JSON.",
    },
    f"{PACKAGE}.ContainerMetrics": {
        "type": "object",
        "description": "ContainerMetrics sets resource usage metrics of a container.",
        "required": ["name", "usage"],
        "properties": {
            "name": {
                "type": "string",
                "description": "Container name corresponding to the one from pod.spec.containers.",
            },
            "usage": _USAGE,
        },
    },
    f"{PACKAGE}.NodeMetrics": _metrics(
        "NodeMetrics", "NodeMetrics sets resource usage metrics of a node.", "usage", _USAGE
    ),
    f"{PACKAGE}.NodeMetricsList": _metrics_list("NodeMetrics"),
    f"{PACKAGE}.PodMetrics": _metrics(
        "PodMetrics",
        "PodMetrics sets resource usage metrics of a pod.",
        "containers",
        _list_of(
            f"{PACKAGE}.ContainerMetrics", "Metrics for all containers are collected within the same time window."
        ),
    ),
    f"{PACKAGE}.PodMetricsList": _metrics_list("PodMetrics"),
}
