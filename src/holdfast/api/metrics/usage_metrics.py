"""NodeMetrics and PodMetrics: measured when asked for, never stored (A277)."""

from __future__ import annotations

from holdfast.api.resource import Column, Resource

COLUMNS = (
    Column("Name", format="name", text="Name of the resource"),
    Column("cpu", format="quantity"),
    Column("memory", format="quantity"),
    Column("Window", format="duration"),
)
"""As metrics-server has them."""

NODE_METRICS = Resource(
    group="metrics.k8s.io",
    version="v1beta1",
    kind="NodeMetrics",
    plural="nodes",
    namespaced=False,
    verbs=("get", "list"),
    columns=COLUMNS,
    is_measured=True,
)

POD_METRICS = Resource(
    group="metrics.k8s.io",
    version="v1beta1",
    kind="PodMetrics",
    plural="pods",
    verbs=("get", "list"),
    columns=COLUMNS,
    is_measured=True,
)
