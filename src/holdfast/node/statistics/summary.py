"""Two samples as the kubelet's `/stats/summary` shows them. Pure.

Source: Kubernetes, k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from holdfast.api.times import format_time
from holdfast.node.runtime import Usage

if TYPE_CHECKING:
    from .sampling import ContainerSample, Sample, VolumeSample

Part = dict[str, object]


def document(node_name: str, base: Sample, last: Sample) -> Part:
    """A rate (`usageNanoCores`) is missing of whatever was not there in the first of the samples."""
    before = {(each.pod_uid, each.name, each.started): each.usage for each in base.containers}
    node: Part = {"nodeName": node_name}
    if last.machine:
        node |= _usage(last.machine, base.machine)
    grouped = groupby(last.containers, key=lambda each: each.pod_uid)
    pods = []
    for uid, members in grouped:
        pod = _pod(list(members), before)
        if volumes := [_volume(each, last.at) for each in last.volumes if each.pod_uid == uid]:
            pod["volume"] = volumes
        pods.append(pod)
    return {"node": node, "pods": pods}


def _volume(sample: VolumeSample, at: datetime) -> Part:
    use = sample.use
    told: Part = {
        "time": format_time(at),
        "availableBytes": use.available_bytes,
        "capacityBytes": use.capacity_bytes,
        "usedBytes": use.used_bytes,
        "inodesFree": use.inodes_free,
        "inodes": use.inodes,
        "inodesUsed": use.inodes_used,
        "name": use.name,
    }
    return told | ({"pvcRef": {"name": use.claim, "namespace": sample.namespace}} if use.claim else {})


def _pod(members: Sequence[ContainerSample], before: dict[tuple[str, str, datetime], Usage]) -> Part:
    first = members[0]
    bases = [before.get((each.pod_uid, each.name, each.started)) for each in members]
    known = [base for base in bases if base]
    return {
        "podRef": {"name": first.pod, "namespace": first.namespace, "uid": first.pod_uid},
        "startTime": format_time(min(each.started for each in members)),
        "containers": [
            {"name": each.name, "startTime": format_time(each.started), **_usage(each.usage, base)}
            for each, base in zip(members, bases, strict=True)
        ],
        **_usage(_sum([each.usage for each in members]), _sum(known) if len(known) == len(members) else None),
    }


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(
        usages[0].at,
        sum(each.cpu_usage_ns for each in usages),
        sum(each.memory_working_set_bytes for each in usages),
        sum(each.memory_rss_bytes for each in usages),
    )


def _usage(usage: Usage, base: Usage | None) -> Part:
    cpu: Part = {"time": format_time(usage.at)}
    if base and (nanoseconds := (usage.at - base.at).total_seconds() * 1e9) > 0:
        cpu["usageNanoCores"] = max(0, round((usage.cpu_usage_ns - base.cpu_usage_ns) / nanoseconds * 1e9))
    cpu["usageCoreNanoSeconds"] = usage.cpu_usage_ns
    memory = {
        "time": format_time(usage.at),
        "workingSetBytes": usage.memory_working_set_bytes,
        "rssBytes": usage.memory_rss_bytes,
    }
    return {"cpu": cpu, "memory": memory}
