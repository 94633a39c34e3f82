"""The Node object: labels, addresses, capacity, conditions (N215-N218, N149). Pure but for `read_machine`."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api import quantity
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time, parse_time

from .config import AgentConfig
from .runtime import ImageRecord, Runtime

KUBELET_VERSION = "v1.36.2+holdfast"
AGENT_ADDRESS = "holdfast.dev/agent-address"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
HARD_EVICTION_BYTES = 100 << 20
DECLARED_FEATURES = (
    "ExtendWebSocketsToKubelet",
    "GuaranteedQoSPodCPUResize",
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScalingInitContainers",
    "RestartAllContainersOnContainerExits",
)
"""What a node of this version can that one of before could not, in the words of upstream's feature gates."""
MOST_IMAGES = 50
MOST_NAMES = 5
"""Of one image."""
REPORT_EVERY_S = 300.0

_PRESSURES = {
    ("MemoryPressure", "False"): ("HasSufficientMemory", "has sufficient memory available"),
    ("MemoryPressure", "True"): ("HasInsufficientMemory", "has insufficient memory available"),
    ("DiskPressure", "False"): ("HasNoDiskPressure", "has no disk pressure"),
    ("DiskPressure", "True"): ("HasDiskPressure", "has disk pressure"),
    ("PIDPressure", "False"): ("HasSufficientPID", "has sufficient PID available"),
    ("PIDPressure", "True"): ("HasInsufficientPID", "has insufficient PID available"),
}
"""By type and status, in the order of N217: how reason, message and event end."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the node has, and what it is."""

    cpus: int
    memory_bytes: int
    disk_bytes: int
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    system_uuid: str
    boot_id: str


def read_machine(disk: str) -> Machine:
    """This machine; `disk` is a path on the disk that pods write to."""
    status = os.statvfs(disk)
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        disk_bytes=status.f_blocks * status.f_frsize,
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        kernel=platform.release(),
        os_image=_os_image(),
        machine_id=_line("/etc/machine-id"),
        system_uuid=_line("/sys/class/dmi/id/product_uuid"),
        boot_id=_line("/proc/sys/kernel/random/boot_id"),
    )


def imagined_machine(node_name: str) -> Machine:
    """For containers that do not run."""
    return Machine(8, 16 << 30, 100 << 30, "amd64", "0.0.0", "simulated", node_name, node_name, node_name)


def _os_image() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            for line in file:
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip().strip('"')
    except OSError:
        pass
    return platform.system()


def _line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except OSError:
        return ""


def labels(config: AgentConfig, machine: Machine) -> dict[str, str]:
    """N215."""
    result = {
        "beta.kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
    }
    if config.is_control_plane:
        result[CONTROL_PLANE] = ""
    return result | dict(config.labels)


def agent_annotations(config: AgentConfig, server_port: int) -> dict[str, str]:
    """Where the agent's endpoint is, for the API server."""
    return {AGENT_ADDRESS: f"{config.server_host}:{server_port}"} if server_port else {}


def new_node(config: AgentConfig, machine: Machine, server_port: int) -> Manifest:
    """The Node as it is registered, without status."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": config.node_name,
            "labels": labels(config, machine),
            "annotations": agent_annotations(config, server_port),
        },
        "spec": {"podCIDR": config.pod_cidrs[0], "podCIDRs": [*config.pod_cidrs]} if config.pod_cidrs else {},
    }


def node_status(
    config: AgentConfig,
    machine: Machine,
    runtime: Runtime,
    images: list[Manifest],
    server_port: int,
    now: datetime,
    old: Manifest,
    problem: str = "",
    pressures: frozenset[str] = frozenset(),
    volumes_in_use: Sequence[str] = (),
) -> Manifest:
    """The whole status but what others write of it; `problem` is why it is not ready.

    `pressures` are the types of conditions that say what the node is short of.
    """
    capacity = resources(config, machine)
    allocatable = capacity | {
        "memory": quantity.canonical(f"{max(0, quantity.whole(capacity['memory']) - HARD_EVICTION_BYTES) >> 10}Ki"),
    }
    return {
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in config.node_ips),
            {"type": "Hostname", "address": config.hostname or config.node_name},
        ],
        "allocatable": allocatable,
        "capacity": capacity,
        "conditions": conditions(old.get("conditions") or [], now, problem, pressures),
        "declaredFeatures": list(DECLARED_FEATURES),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server_port}},
        "features": {"supplementalGroupsPolicy": True},
        "images": images,
        "nodeInfo": {
            "architecture": machine.architecture,
            "bootID": machine.boot_id,
            "containerRuntimeVersion": f"{runtime.name}://{runtime.version}",
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": machine.system_uuid,
        },
        "runtimeHandlers": [{"name": "", "features": _features(runtime)}],
        "volumesInUse": list(volumes_in_use) or None,
    }


def _features(runtime: Runtime) -> Manifest:
    return {"recursiveReadOnlyMounts": runtime.has_recursive_read_only, "userNamespaces": False}


def resources(config: AgentConfig, machine: Machine) -> dict[str, str]:
    """What the machine has, or what the configuration says instead, as the server would write it back."""
    amounts = {
        "cpu": str(machine.cpus),
        "ephemeral-storage": f"{machine.disk_bytes >> 10}Ki",
        "memory": f"{machine.memory_bytes >> 10}Ki",
        "pods": str(config.most_pods),
        **config.capacity,
    }
    return {name: quantity.canonical(amount) for name, amount in amounts.items()}


def conditions(
    old: list[Manifest], now: datetime, problem: str, pressures: frozenset[str] = frozenset()
) -> list[Manifest]:
    """In the order of N217; conditions of others stay behind them."""
    before = {condition["type"]: condition for condition in old}
    wanted = [
        (type, status, f"Kubelet{reason}", f"kubelet {message}")
        for (type, status), (reason, message) in _PRESSURES.items()
        if status == ("True" if type in pressures else "False")
    ]
    if problem:
        wanted.append(("Ready", "False", "KubeletNotReady", problem))
    else:
        wanted.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    result = []
    for type, status, reason, message in wanted:
        known = before.pop(type, None)
        since = format_time(now)
        if known is not None and known.get("status") == status:
            since = known.get("lastTransitionTime") or since
        result.append(
            {
                "type": type,
                "status": status,
                "lastHeartbeatTime": format_time(now),
                "lastTransitionTime": since,
                "reason": reason,
                "message": message,
            }
        )
    return result + list(before.values())


def differs(old: Manifest, new: Manifest) -> bool:
    """Whether anything but the heartbeats changed."""
    return _still(old) != _still(new)


def is_due(old: Manifest, now: datetime) -> bool:
    """Whether the last report is so old that a new one is written although nothing changed (N181)."""
    beats = [c["lastHeartbeatTime"] for c in old.get("conditions") or () if c.get("lastHeartbeatTime")]
    return not beats or (now - parse_time(max(beats))).total_seconds() >= REPORT_EVERY_S


def _still(status: Manifest) -> Manifest:
    """Without what others write, and what changes by itself."""
    still = {
        key: value for key, value in status.items() if value not in (None, "", [], {}) and key != "volumesAttached"
    }
    still["conditions"] = [
        {key: value for key, value in condition.items() if key not in ("lastHeartbeatTime", "lastTransitionTime")}
        for condition in status.get("conditions") or ()
    ]
    return still


def news(old: Manifest, new: Manifest) -> list[str]:
    """Reasons of the events for conditions that turned (N218)."""
    before = {condition["type"]: condition["status"] for condition in old.get("conditions") or ()}
    told = []
    for condition in new["conditions"]:
        type, status = condition["type"], condition["status"]
        if before.get(type) == status:
            continue
        if type == "Ready":
            told.append("NodeReady" if status == "True" else "NodeNotReady")
        elif known := _PRESSURES.get((type, status)):
            told.append(f"Node{known[0]}")
    return told


def has_rebooted(old: Manifest, new: Manifest) -> bool:
    """Whether the machine was started anew between the two reports (N199)."""
    before = (old.get("nodeInfo") or {}).get("bootID")
    return bool(before) and before != new["nodeInfo"]["bootID"]


def is_ready(status: Manifest) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())


def image_entries(images: Sequence[ImageRecord]) -> list[Manifest]:
    """Images as the Node lists them: the largest first, of each a few names."""
    return [_image_entry(image) for image in sorted(images, key=lambda image: -image.size_bytes)[:MOST_IMAGES]]


def _image_entry(image: ImageRecord) -> Manifest:
    """In the API's own form: a size of zero is left out, else it would always differ."""
    entry: Manifest = {"names": [*image.digests, *image.references][:MOST_NAMES]}
    return {**entry, "sizeBytes": image.size_bytes} if image.size_bytes else entry
