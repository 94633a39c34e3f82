"""From a container of the manifest to what the runtime is asked to run. Pure.

Source: rules N141-N143, N178; Kubernetes, pkg/kubelet/kuberuntime and cm/helpers_linux.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from holdfast.api import quantity
from holdfast.api.core.pod_resources import pod_amounts, with_overhead
from holdfast.api.resource import Manifest

from .environment import ConfigError, expand_all
from .pod import Container, Pod
from .runtime import BlockDevice, ContainerResources, ContainerSpec, ImageRecord, Mount, User

PERIOD_US = 100_000
LEAST_QUOTA_US = 1_000
LEAST_SHARES = 2
MOST_SHARES = 262_144
PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What was made ready for one run."""

    attempt: int
    variables: Mapping[str, str]
    mounts: tuple[Mount, ...]
    image: ImageRecord
    log_path: str
    memory_capacity_bytes: int
    seccomp_dir: str = ""
    """Where profiles of this machine's own are."""
    target_id: str = ""
    """The run whose processes an ephemeral container shares."""
    devices: tuple[BlockDevice, ...] = ()


def container_spec(pod: Pod, container: Container, parts: Parts) -> ContainerSpec:
    """One run of the container. Raises ConfigError where the pod's wishes cannot be met (N44)."""
    manifest = container.manifest
    security = manifest.get("securityContext") or {}
    capabilities = security.get("capabilities") or {}
    variables = dict(parts.variables)
    if manifest.get("tty"):
        variables.setdefault("TERM", "xterm")
    return ContainerSpec(
        pod_uid=pod.uid,
        name=container.name,
        attempt=parts.attempt,
        image=container.image,
        command=expand_all(manifest.get("command") or (), variables),
        args=expand_all(manifest.get("args") or (), variables),
        working_dir=str(manifest.get("workingDir") or ""),
        env=variables,
        mounts=parts.mounts,
        devices=parts.devices,
        user=user(pod, container, parts.image),
        privileged=bool(security.get("privileged")),
        read_only_root=bool(security.get("readOnlyRootFilesystem")),
        add_capabilities=tuple(capabilities.get("add") or ()),
        drop_capabilities=tuple(capabilities.get("drop") or ()),
        no_new_privileges=security.get("allowPrivilegeEscalation") is False,
        seccomp=seccomp(pod, container, parts.seccomp_dir),
        unmet=tuple(unmet(pod, container)),
        process_namespace_of=parts.target_id,
        resources=resources(pod, container, parts.memory_capacity_bytes),
        log_path=parts.log_path,
        stdin=bool(manifest.get("stdin")),
        stdin_once=bool(manifest.get("stdinOnce")),
        tty=bool(manifest.get("tty")),
    )


def user(pod: Pod, container: Container, image: ImageRecord) -> User:
    """Whom it runs as: the container's wish over the pod's (N178). Raises ConfigError."""
    of_pod = pod.spec.get("securityContext") or {}
    of_container = container.manifest.get("securityContext") or {}
    uid = of_container.get("runAsUser", of_pod.get("runAsUser"))
    gid = of_container.get("runAsGroup", of_pod.get("runAsGroup"))
    if of_container.get("runAsNonRoot", of_pod.get("runAsNonRoot")):
        _refuse_root(pod, container, uid, image)
    groups = [int(group) for group in of_pod.get("supplementalGroups") or ()]
    if of_pod.get("fsGroup") is not None:
        groups.append(int(of_pod["fsGroup"]))
    return User(
        None if uid is None else int(uid),
        None if gid is None else int(gid),
        tuple(dict.fromkeys(groups)),
        with_groups_of_image=of_pod.get("supplementalGroupsPolicy") != "Strict",
    )


def seccomp(pod: Pod, container: Container, profiles: str) -> str:
    """The container's wish over the pod's, in the words of `ContainerSpec.seccomp` (N178)."""
    of_pod, of_container = ((each.get("securityContext") or {}) for each in (pod.spec, container.manifest))
    profile = of_container.get("seccompProfile") or of_pod.get("seccompProfile") or {}
    match profile.get("type"):
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return f"{profiles}/{profile.get('localhostProfile', '')}"
    return ""


def unmet(pod: Pod, container: Container) -> Iterator[str]:
    """What no runtime gives, in words for an event (N178)."""
    of_pod, of_container = ((each.get("securityContext") or {}) for each in (pod.spec, container.manifest))
    if pod.spec.get("hostUsers") is False:
        yield "its users are the machine's (hostUsers)"
    if of_container.get("procMount") == "Unmasked":
        yield "/proc is masked (procMount)"
    profile = of_container.get("appArmorProfile") or of_pod.get("appArmorProfile") or {}
    if profile.get("type", "Unconfined") != "Unconfined":
        yield "no AppArmor profile is applied"


def _refuse_root(pod: Pod, container: Container, uid: int | None, image: ImageRecord) -> None:
    where = f'(pod: "{pod.full_name}", container: {container.name})'
    if uid is not None:
        if uid == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        return
    name = image.user.partition(":")[0]
    if name in ("", "0"):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
    if not name.isdigit():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root {where}"
        )


def resources(pod: Pod, container: Container, memory_capacity_bytes: int) -> ContainerResources:
    """Of one container."""
    declared = container.manifest.get("resources") or {}
    limits, requests = declared.get("limits") or {}, declared.get("requests") or {}
    score = oom_score_adj(pod, requests, memory_capacity_bytes)
    return replace(_as_the_kernel_takes_them(limits, requests), oom_score_adj=score)


def pod_resources(pod: Pod) -> ContainerResources:
    """Of all its containers together: limited where each of them is, or where the pod itself has a limit (N142)."""
    amounts = {kind: with_overhead(pod.spec, kind, pod_amounts(pod.spec, kind)) for kind in ("limits", "requests")}
    limits = {name: amount for name, amount in amounts["limits"].items() if is_limited(pod, name)}
    return _as_the_kernel_takes_them(limits, amounts["requests"])


def widest(one: ContainerResources, other: ContainerResources) -> ContainerResources:
    """What leaves room for both."""
    return replace(
        other,
        memory_limit_bytes=_larger(one.memory_limit_bytes, other.memory_limit_bytes),
        cpu_quota_us=_larger(one.cpu_quota_us, other.cpu_quota_us),
    )


def _larger(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def is_limited(pod: Pod, name: str) -> bool:
    """Whether the pod as a whole has a limit of that resource."""
    containers = (*pod.init_containers, *pod.app_containers)
    own = (pod.spec.get("resources") or {}).get("limits") or {}
    return name in own or all(name in (container.resources.get("limits") or {}) for container in containers)


def _as_the_kernel_takes_them(limits: Mapping[str, str], requests: Mapping[str, str]) -> ContainerResources:
    """N141."""
    cpu_limit, cpu_request = limits.get("cpu"), requests.get("cpu", limits.get("cpu"))
    shares = LEAST_SHARES if cpu_request is None else quantity.milli(cpu_request) * 1024 // 1000
    memory = quantity.whole(limits["memory"]) if "memory" in limits else 0
    quota = max(LEAST_QUOTA_US, quantity.milli(cpu_limit) * PERIOD_US // 1000) if cpu_limit is not None else None
    return ContainerResources(
        memory_limit_bytes=memory or None,
        cpu_quota_us=quota,
        cpu_period_us=PERIOD_US,
        cpu_shares=min(MOST_SHARES, max(LEAST_SHARES, shares)),
    )


def oom_score_adj(pod: Pod, requests: Manifest, memory_capacity_bytes: int) -> int:
    """N143."""
    qos = pod.status.get("qosClass")
    if qos == "Guaranteed" or pod.spec.get("priorityClassName") == "system-node-critical":
        return -997
    if qos == "BestEffort":
        return 1000
    requested = quantity.whole(requests.get("memory") or "0")
    if memory_capacity_bytes <= 0:
        return 999
    return min(999, max(3, 1000 - 1000 * requested // memory_capacity_bytes))


def mount_of(entry: Manifest, host_path: str, *, is_read_only: bool, has_recursive: bool) -> Mount:
    """One volumeMount of the container; `has_recursive` is what the runtime can. Raises ConfigError."""
    wish = entry.get("recursiveReadOnly")
    if wish == "Enabled" and not has_recursive:
        refusal = f'volume "{entry["name"]}" requested recursive read-only mode, but it is not supported by the runtime'
        raise ConfigError(f"failed to resolve recursive read-only mode: {refusal}")
    return Mount(
        host_path=host_path,
        container_path=entry["mountPath"],
        read_only=is_read_only or bool(entry.get("readOnly")),
        propagation=PROPAGATION.get(str(entry.get("mountPropagation") or ""), "private"),
        is_recursive=is_recursive(entry, has_recursive=has_recursive),
    )


def is_recursive(entry: Manifest, *, has_recursive: bool) -> bool:
    """Whether the volumeMount is read-only with all that is mounted below it."""
    return has_recursive and entry.get("recursiveReadOnly") in ("Enabled", "IfPossible")
