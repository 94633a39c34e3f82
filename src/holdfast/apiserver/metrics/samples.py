"""What an agent's `/metrics/resource` says, and the rates between two such answers. Pure.

Source: metrics-server, pkg/storage.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

FRESH_S = 10.0
"""A container that began between two samples has a rate once it has run for this long."""

_LINE = re.compile(r"(\w+)(?:\{([^}]*)\})? (\S+)(?: (\d+))?")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

PodKey = tuple[str, str]
"""Namespace, name."""


@dataclass(slots=True)
class Point:
    """Totals and levels of a container, or of a node, at a moment. Times in seconds since 1970."""

    at_s: float = 0.0
    cpu_s: float | None = None
    memory_bytes: int | None = None
    started_s: float = 0.0


@dataclass(slots=True)
class Sample:
    """One answer of one agent."""

    node: Point = field(default_factory=Point)
    pods: dict[PodKey, dict[str, Point]] = field(default_factory=dict)
    """Of each pod its containers, by name."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used over a window that ended at `at_s`, and the memory then."""

    at_s: float
    window_s: float
    nanocores: int
    memory_bytes: int


def parse(text: str) -> Sample:
    """What is no such metric is passed over. Raises ValueError for a number that is none."""
    sample = Sample()
    for line in text.splitlines():
        if not line.startswith("#") and (found := _LINE.fullmatch(line)):
            metric, labels, value, at = found.groups()
            _note(sample, metric, dict(_LABEL.findall(labels or "")), float(value), int(at or 0) / 1000)
    return sample


def _note(sample: Sample, metric: str, labels: Mapping[str, str], value: float, at_s: float) -> None:
    subject, _, what = metric.partition("_")
    if subject == "node":
        point = sample.node
    elif subject == "container" and {"namespace", "pod", "container"} <= labels.keys():
        pod = sample.pods.setdefault((labels["namespace"], labels["pod"]), {})
        point = pod.setdefault(labels["container"], Point())
    else:
        return
    match what:
        case "cpu_usage_seconds_total":
            point.cpu_s, point.at_s = value, at_s
        case "memory_working_set_bytes":
            point.memory_bytes = int(value)
        case "start_time_seconds":
            point.started_s = value


def node_usage(base: Sample, last: Sample) -> Usage | None:
    return _usage(base.node, last.node)


def pod_usage(base: Sample, last: Sample, pod: PodKey) -> dict[str, Usage]:
    """Of every container, by name; empty if any has no rate yet: half a pod would look like an idle one."""
    before, usages = base.pods.get(pod, {}), {}
    for name, point in last.pods.get(pod, {}).items():
        known = before.get(name)
        if known is None or known.started_s != point.started_s:
            known = _beginning(point, base.node.at_s)
        usage = _usage(known, point) if known else None
        if usage is None:
            return {}
        usages[name] = usage
    return usages


def _beginning(point: Point, since_s: float) -> Point | None:
    """A container that began after the first sample had used nothing when it did."""
    if point.started_s < since_s or point.at_s - point.started_s < FRESH_S:
        return None
    return Point(point.started_s, 0.0, 0, point.started_s)


def _usage(base: Point, last: Point) -> Usage | None:
    """None if a value is missing, no time has passed, or the total has fallen: it is then of something else."""
    if base.cpu_s is None or last.cpu_s is None or last.memory_bytes is None:
        return None
    window_s = last.at_s - base.at_s
    if window_s <= 0 or last.cpu_s < base.cpu_s:
        return None
    return Usage(last.at_s, window_s, math.ceil((last.cpu_s - base.cpu_s) / window_s * 1e9), last.memory_bytes)
