"""Whether a pod uses more disk than it may: emptyDirs with a size, limits of ephemeral storage (N145). Pure.

Source: Kubernetes, pkg/kubelet/eviction/eviction_manager.go (localStorageEviction).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.api import quantity
from holdfast.api.core.pod_resources import pod_amounts
from holdfast.node.pod import Pod

STORAGE = "ephemeral-storage"


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Of one pod, in bytes."""

    empty_dirs: Mapping[str, int] = field(default_factory=dict)
    """By volume; those in memory too."""
    containers: Mapping[str, int] = field(default_factory=dict)
    """By container: what it has written to its root filesystem, and its logs."""
    in_memory: frozenset[str] = frozenset()
    """Volumes that take no disk."""

    @property
    def total(self) -> int:
        on_disk = sum(used for name, used in self.empty_dirs.items() if name not in self.in_memory)
        return on_disk + sum(self.containers.values())


def is_limited(pod: Pod) -> bool:
    """Whether the pod's use of the disk has to be measured at all."""
    return any(True for _ in _sized(pod)) or STORAGE in pod_amounts(pod.spec, "limits")


def excess(pod: Pod, use: DiskUse) -> str:
    """What the pod is told that it has used too much of; empty if it has not."""
    for volume, limit in _sized(pod):
        if use.empty_dirs.get(volume, 0) > quantity.whole(limit):
            return f'Usage of EmptyDir volume "{volume}" exceeds the limit "{limit}". '
    limit = _limit_of_all(pod)
    if limit and use.total > quantity.whole(limit):
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "
    for container in pod.app_containers:
        limit = (container.resources.get("limits") or {}).get(STORAGE, "")
        if limit and use.containers.get(container.name, 0) > quantity.whole(limit):
            return f'Container {container.name} exceeded its local ephemeral storage limit "{limit}". '
    return ""


def _sized(pod: Pod) -> Iterator[tuple[str, str]]:
    for volume in pod.spec.get("volumes") or ():
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit and quantity.parse(limit) > 0:
            yield volume["name"], quantity.canonical(limit)


def _limit_of_all(pod: Pod) -> str:
    return pod_amounts(pod.spec, "limits").get(STORAGE, "")
