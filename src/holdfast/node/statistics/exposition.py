"""A sample as Prometheus reads it: the kubelet's `/metrics`, `/metrics/cadvisor` and `/metrics/resource`. Pure.

Source: Kubernetes, pkg/kubelet/metrics/collectors; cAdvisor, metrics/prometheus.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from holdfast.wire.prometheus import CONTENT_TYPE, Family, Sample, written

if TYPE_CHECKING:
    from holdfast.node.node_status import Machine

    from .sampling import ContainerSample, VolumeSample
    from .sampling import Sample as NodeSample

__all__ = ["CONTENT_TYPE", "cadvisor", "kubelet", "resources"]


def resources(sample: NodeSample) -> str:
    """`/metrics/resource`, in alphabetical order."""
    containers, pods, machine = sample.containers, list(_pods(sample)), sample.machine
    return written(
        Family(name, kind, f"[STABLE] {text}", samples)
        for name, kind, text, samples in (
            ("container_cpu_usage_seconds_total", "counter",
             "Cumulative cpu time consumed by the container in core-seconds",
             [Sample(each.usage.cpu_usage_ns / 1e9, _of_container(each), each.usage.at) for each in containers]),
            ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes",
             [Sample(each.usage.memory_working_set_bytes, _of_container(each), each.usage.at) for each in containers]),
            ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds",
             [Sample(each.started.timestamp(), _of_container(each)) for each in containers]),
            ("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds",
             [Sample(machine.cpu_usage_ns / 1e9, at=machine.at)] if machine else []),
            ("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes",
             [Sample(machine.memory_working_set_bytes, at=machine.at)] if machine else []),
            ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds",
             [Sample(sum(one.usage.cpu_usage_ns for one in each) / 1e9, _of_pod(each[0]), each[0].usage.at)
              for each in pods]),
            ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes",
             [Sample(sum(one.usage.memory_working_set_bytes for one in each), _of_pod(each[0]), each[0].usage.at)
              for each in pods]),
            ("resource_scrape_error", "gauge",
             "1 if there was an error while getting container metrics, 0 otherwise", [Sample(0 if machine else 1)]),
        )
    )  # fmt: skip


def cadvisor(sample: NodeSample, machine: Machine | None) -> str:
    """`/metrics/cadvisor`: what containers use, and what they may."""
    containers = sample.containers
    spec = [(each, each.resources) for each in containers if each.resources is not None]
    return written(
        Family(name, kind, text, samples)
        for name, kind, text, samples in (
            ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.",
             [Sample(each.usage.cpu_usage_ns / 1e9, {**_in_cadvisor(each), "cpu": "total"}, each.usage.at)
              for each in containers]),
            ("container_last_seen", "gauge", "Last time a container was seen by the exporter",
             [Sample(each.usage.at.timestamp(), _in_cadvisor(each), each.usage.at) for each in containers]),
            ("container_memory_rss", "gauge", "Size of RSS in bytes.",
             [Sample(each.usage.memory_rss_bytes, _in_cadvisor(each), each.usage.at) for each in containers]),
            ("container_memory_usage_bytes", "gauge",
             "Current memory usage in bytes, including all memory regardless of when it was accessed",
             [Sample(each.usage.memory_usage_bytes, _in_cadvisor(each), each.usage.at) for each in containers]),
            ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.",
             [Sample(each.usage.memory_working_set_bytes, _in_cadvisor(each), each.usage.at) for each in containers]),
            ("container_oom_events_total", "counter", "Count of out of memory events observed for the container",
             [Sample(each.usage.oom_kills, _in_cadvisor(each), each.usage.at) for each in containers]),
            ("container_spec_cpu_period", "gauge", "CPU period of the container.",
             [Sample(one.cpu_period_us, _in_cadvisor(each)) for each, one in spec]),
            ("container_spec_cpu_quota", "gauge", "CPU quota of the container.",
             [Sample(one.cpu_quota_us, _in_cadvisor(each)) for each, one in spec if one.cpu_quota_us is not None]),
            ("container_spec_cpu_shares", "gauge", "CPU share of the container.",
             [Sample(one.cpu_shares, _in_cadvisor(each)) for each, one in spec if one.cpu_shares is not None]),
            ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.",
             [Sample(one.memory_limit_bytes or 0, _in_cadvisor(each)) for each, one in spec]),
            ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.",
             [Sample(each.started.timestamp(), _in_cadvisor(each)) for each in containers]),
            ("machine_cpu_cores", "gauge", "Number of logical CPU cores.",
             [Sample(machine.cpus, _of_machine(machine))] if machine else []),
            ("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.",
             [Sample(machine.memory_bytes, _of_machine(machine))] if machine else []),
        )
    )  # fmt: skip


def kubelet(
    node_name: str, version: str, pods: int, containers: Mapping[str, int], volumes: Iterable[VolumeSample]
) -> list[Family]:
    """`/metrics` of the agent itself; `containers` counts them by state."""
    claims = [one for one in volumes if one.use.claim]
    return [
        Family("kubelet_node_name", "gauge", "[ALPHA] The node's name. The count is always 1.",
               [Sample(1, {"node": node_name})]),
        Family("kubelet_running_containers", "gauge", "[ALPHA] Number of containers currently running",
               [Sample(count, {"container_state": state}) for state, count in sorted(containers.items())]),
        Family("kubelet_running_pods", "gauge", "[ALPHA] Number of pods that have a running pod sandbox",
               [Sample(pods)]),
        *(Family(f"kubelet_volume_stats_{name}", "gauge", f"[ALPHA] {text}",
                 [Sample(getattr(one.use, name), {"namespace": one.namespace, "persistentvolumeclaim": one.use.claim})
                  for one in claims])
          for name, text in _VOLUME_STATS),
        Family("kubernetes_build_info", "gauge", "[BETA] What this was built from; the value is always 1.",
               [Sample(1, {"git_version": version, "major": "1", "minor": "36"})]),
    ]  # fmt: skip


_VOLUME_STATS = (
    ("available_bytes", "Number of available bytes in the volume"),
    ("capacity_bytes", "Capacity in bytes of the volume"),
    ("inodes", "Maximum number of inodes in the volume"),
    ("inodes_free", "Number of free inodes in the volume"),
    ("inodes_used", "Number of used inodes in the volume"),
    ("used_bytes", "Number of used bytes in the volume"),
)


def _of_container(sample: ContainerSample) -> dict[str, str]:
    return {"container": sample.name, "namespace": sample.namespace, "pod": sample.pod}


def _in_cadvisor(sample: ContainerSample) -> dict[str, str]:
    return {**_of_container(sample), "id": f"/{sample.pod_uid}/{sample.id}", "image": sample.image, "name": sample.id}


def _of_pod(sample: ContainerSample) -> dict[str, str]:
    return {"namespace": sample.namespace, "pod": sample.pod}


def _of_machine(machine: Machine) -> dict[str, str]:
    ids = {"boot_id": machine.boot_id, "machine_id": machine.machine_id, "system_uuid": machine.system_uuid}
    return {name: value for name, value in ids.items() if value}


def _pods(sample: NodeSample) -> Iterator[list[ContainerSample]]:
    for _, members in groupby(sample.containers, key=lambda each: each.pod_uid):
        yield list(members)
