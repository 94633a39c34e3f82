"""A sample as Prometheus reads it: the kubelet's `/metrics/resource`. Pure.

Source: Kubernetes, pkg/kubelet/metrics/collectors/resource_metrics.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sampling import ContainerSample, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Line = tuple[str, float, datetime | None]
"""Labels, value, time."""


def text(sample: Sample) -> str:
    """Metrics in alphabetical order; one without a value is left out."""
    containers, pods, machine = sample.containers, list(_pods(sample)), sample.machine
    families: list[tuple[str, str, str, Iterable[Line]]] = [
        ("container_cpu_usage_seconds_total", "counter",
         "Cumulative cpu time consumed by the container in core-seconds",
         ((_of_container(each), each.usage.cpu_usage_ns / 1e9, each.usage.at) for each in containers)),
        ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes",
         ((_of_container(each), each.usage.memory_working_set_bytes, each.usage.at) for each in containers)),
        ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds",
         ((_of_container(each), each.started.timestamp(), None) for each in containers)),
        ("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds",
         [("", machine.cpu_usage_ns / 1e9, machine.at)] if machine else []),
        ("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes",
         [("", machine.memory_working_set_bytes, machine.at)] if machine else []),
        ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds",
         ((_of_pod(each[0]), sum(one.usage.cpu_usage_ns for one in each) / 1e9, each[0].usage.at) for each in pods)),
        ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes",
         ((_of_pod(each[0]), sum(one.usage.memory_working_set_bytes for one in each), each[0].usage.at)
          for each in pods)),
        ("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise",
         [("", 0 if machine else 1, None)]),
    ]  # fmt: skip
    return "".join(_family(*family) for family in families)


def _family(name: str, kind: str, help_text: str, lines: Iterable[Line]) -> str:
    written = [f"{name}{labels} {_number(value)}{_time(at)}\n" for labels, value, at in lines]
    return f"# HELP {name} [STABLE] {help_text}\n# TYPE {name} {kind}\n{''.join(written)}" if written else ""


def _number(value: float) -> str:
    return repr(value) if value != int(value) else str(int(value))


def _time(at: datetime | None) -> str:
    return f" {round(at.timestamp() * 1000)}" if at else ""


def _of_container(sample: ContainerSample) -> str:
    return f'{{container="{sample.name}",namespace="{sample.namespace}",pod="{sample.pod}"}}'


def _of_pod(sample: ContainerSample) -> str:
    return f'{{namespace="{sample.namespace}",pod="{sample.pod}"}}'


def _pods(sample: Sample) -> Iterator[list[ContainerSample]]:
    for _, members in groupby(sample.containers, key=lambda each: each.pod_uid):
        yield list(members)
