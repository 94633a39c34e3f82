"""The OCI configuration of a container: a pure function of what the pod wants and what the machine can (R15-R22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.node.runtime import BlockDevice, ContainerResources, ContainerSpec, ImageRecord, Mount, RuntimeFailure
from holdfast.node.runtime.oci import seccomp
from holdfast.node.runtime.oci.cgroups import CONTROLLERS
from holdfast.node.runtime.oci.users import Identity

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOFILE_LIMIT = 1_048_576
"""Enough for anything, and below the values at which old MySQL versions lose themselves (N180)."""

DEFAULT_CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Device:
    """A device node of this machine, for privileged containers."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine allows; anything beyond is clamped, never a reason to fail a pod (R21)."""

    capabilities: frozenset[str]
    nofile_hard: int
    oom_score_floor: int
    """The lowest oom_score_adj a child may get; -1000 if any."""
    has_cgroups: bool
    controllers: frozenset[str] = CONTROLLERS
    """What groups can limit; not all, where they are an ordinary user's."""
    ends_whole_groups: bool = False
    """Whether the kernel can end a whole container when its memory runs out, not just one process (v2)."""
    devices: tuple[Device, ...] = ()
    is_rootless: bool = False
    """Whether the agent is root in a user namespace only."""
    has_many_ids: bool = True
    """Whether containers know users and groups beside root: not where only one user's id is at hand (R72)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the pod's sandbox lends to each of its containers."""

    namespaces: Mapping[str, str]
    """OCI namespace type to the file it is pinned at; an empty path asks for a new one."""
    hostname: str
    shm: str
    """Directory to appear as /dev/shm; empty for this machine's own."""
    root: str
    root_mounts: Sequence[Mapping[str, Any]]
    """Mounts that are part of the root filesystem, before all others."""
    cgroup: str
    host_network: bool = False


def command_line(spec: ContainerSpec, image: ImageRecord) -> list[str]:
    """What to run: `command` drops the image's whole command, `args` its arguments only (N68)."""
    if spec.command:
        return [*spec.command, *spec.args]
    words = [*image.entrypoint, *(spec.args or image.cmd)]
    if not words:
        raise RuntimeFailure("CreateContainerError", "no command specified")
    return words


def environment(spec: ContainerSpec, image: ImageRecord, home: str, hostname: str) -> dict[str, str]:
    """The image's variables under the container's; PATH, HOME, HOSTNAME and TERM where nobody set them."""
    result = {"PATH": DEFAULT_PATH}
    result.update(text.partition("=")[::2] for text in image.env)
    result.update(spec.env)
    result.setdefault("HOSTNAME", hostname)
    result.setdefault("HOME", home)
    if spec.tty:
        result.setdefault("TERM", "xterm")
    return result


def capabilities(spec: ContainerSpec, machine: Machine) -> list[str]:
    """The set of the container, sorted; only what this machine itself holds."""
    if spec.privileged:
        return sorted(machine.capabilities)
    wanted = set(DEFAULT_CAPABILITIES)
    added, dropped = map(_capability_names, (spec.add_capabilities, spec.drop_capabilities))
    if "CAP_ALL" in added:
        wanted = set(machine.capabilities)
    if "CAP_ALL" in dropped:
        wanted = set()
    wanted |= added - {"CAP_ALL"}
    wanted -= dropped
    return sorted(wanted & machine.capabilities)


def _capability_names(names: Sequence[str]) -> set[str]:
    """Kubernetes writes `NET_ADMIN`, the kernel `CAP_NET_ADMIN`; both are accepted, in any case."""
    return {name.upper() if name.upper().startswith("CAP_") else f"CAP_{name.upper()}" for name in names}


def process(
    spec: ContainerSpec, image: ImageRecord, identity: Identity, machine: Machine, hostname: str
) -> dict[str, Any]:
    """The first process; `exec` changes its `args` and `terminal` only, so that it has the same rights (R55)."""
    held = capabilities(spec, machine)
    nofile = min(NOFILE_LIMIT, machine.nofile_hard)
    result: dict[str, Any] = {
        "terminal": spec.tty,
        "user": {
            "uid": identity.uid,
            "gid": identity.gid,
            "additionalGids": list(identity.supplementary_gids) if machine.has_many_ids else [],
        },
        "args": command_line(spec, image),
        "env": [f"{name}={value}" for name, value in environment(spec, image, identity.home, hostname).items()],
        "cwd": spec.working_dir or image.working_dir or "/",
        "capabilities": {"bounding": held, "effective": held, "permitted": held},
        "noNewPrivileges": spec.no_new_privileges and not spec.privileged,
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": nofile, "soft": nofile}],
    }
    if spec.resources.oom_score_adj is not None:
        result["oomScoreAdj"] = max(machine.oom_score_floor, min(1000, spec.resources.oom_score_adj))
    return result


def configuration(
    spec: ContainerSpec, image: ImageRecord, identity: Identity, around: Surroundings, machine: Machine
) -> dict[str, Any]:
    """The whole config.json. Raises RuntimeFailure if there is no command to run."""
    linux: dict[str, Any] = {
        "namespaces": [
            {"type": kind, "path": path} if path else {"type": kind} for kind, path in around.namespaces.items()
        ],
        "maskedPaths": [] if spec.privileged else list(MASKED_PATHS),
        "readonlyPaths": [] if spec.privileged else list(READONLY_PATHS),
        "rootfsPropagation": _root_propagation(spec.mounts),
    }
    if _is_nested(identity, machine):
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = [{"containerID": identity.uid, "hostID": 0, "size": 1}]
        linux["gidMappings"] = [{"containerID": identity.gid, "hostID": 0, "size": 1}]
    if machine.has_cgroups:
        linux["cgroupsPath"] = around.cgroup
        linux["resources"] = resources(spec, machine)
        if machine.ends_whole_groups and "memory" in machine.controllers:
            linux["resources"]["unified"] = {"memory.oom.group": "1"}  # N141
    if profile := _seccomp(spec, machine):
        linux["seccomp"] = profile
    given = {device.container_path for device in spec.devices}
    of_machine = machine.devices if spec.privileged else ()
    if devices := [
        *(_device(device) for device in of_machine if device.path not in given),
        *map(_block_device, spec.devices),
    ]:
        linux["devices"] = devices
    base = _base_mounts(spec, around, identity, machine)
    return {
        "ociVersion": "1.0.2",
        "process": process(spec, image, identity, machine, around.hostname),
        "root": {"path": around.root, "readonly": spec.read_only_root},
        "mounts": [
            *_root_mounts(spec, around),
            *base,
            *map(_bind, spec.mounts),
        ],
        "linux": linux,
        "annotations": {"dev.holdfast.pod": spec.pod_uid, "dev.holdfast.container": spec.name},
    }


def _seccomp(spec: ContainerSpec, machine: Machine) -> dict[str, Any] | None:
    """Raises RuntimeFailure for a profile that cannot be read."""
    if spec.privileged or not spec.seccomp:
        return None
    if spec.seccomp == seccomp.DEFAULT:
        return seccomp.default_profile(capabilities(spec, machine))
    try:
        return seccomp.load(spec.seccomp)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f'cannot load seccomp profile "{spec.seccomp}": {str(reason).lower()}'
        raise RuntimeFailure("CreateContainerError", message) from error


def resources(spec: ContainerSpec, machine: Machine) -> dict[str, Any]:
    """Limits, as far as they can be had, and the device rules; swap is held to the memory limit (R62)."""
    rules: list[dict[str, Any]] = [{"allow": spec.privileged, "access": "rwm"}]
    if not spec.privileged:
        rules += [
            {
                "allow": True,
                "type": "b",
                "major": device.major,
                "minor": device.minor,
                "access": "r" if device.read_only else "rwm",
            }
            for device in spec.devices
        ]
    result: dict[str, Any] = {"devices": rules}
    limits: ContainerResources = spec.resources
    if limits.memory_limit_bytes is not None and "memory" in machine.controllers:
        result["memory"] = {"limit": limits.memory_limit_bytes, "swap": limits.memory_limit_bytes}
    cpu: dict[str, int] = {}
    if limits.cpu_shares is not None:
        cpu["shares"] = max(2, min(262_144, limits.cpu_shares))
    if limits.cpu_quota_us is not None:
        cpu["quota"] = max(1000, limits.cpu_quota_us)
        cpu["period"] = limits.cpu_period_us
    if cpu and "cpu" in machine.controllers:
        result["cpu"] = cpu
    return result


def _root_mounts(spec: ContainerSpec, around: Surroundings) -> list[dict[str, Any]]:
    extra = ["ro"] if spec.read_only_root else []
    return [{**mount, "options": [*mount["options"], *extra]} for mount in around.root_mounts]


def _is_nested(identity: Identity, machine: Machine) -> bool:
    """Whether the container is given a user namespace of its own, in which the only user there is has its id (R72)."""
    return not machine.has_many_ids and (identity.uid, identity.gid) != (0, 0)


def _base_mounts(
    spec: ContainerSpec, around: Surroundings, identity: Identity, machine: Machine
) -> list[dict[str, Any]]:
    writable = "rw" if spec.privileged else "ro"
    shm = around.shm or "/dev/shm"
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    if machine.has_many_ids:
        terminals.append("gid=5")
    mounts = [
        _processes(around, machine),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", *terminals),
        _mount("/dev/shm", "bind", shm, "bind", "nosuid", "noexec", "nodev"),
    ]
    if around.shm or not machine.is_rootless:
        mounts.append(_mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"))
    is_machines = around.host_network or _is_nested(identity, machine)
    if is_machines:
        # sysfs shows the network of whoever mounts it, and only its owner may mount it: the machine's own is bound.
        mounts.append(_mount("/sys", "bind", "/sys", "rbind", "nosuid", "noexec", "nodev", writable))
    else:
        mounts.append(_mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", writable))
    if machine.has_cgroups and (machine.is_rootless or not is_machines):
        mounts.append(_mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", writable))
    given = {mount.container_path.rstrip("/") for mount in spec.mounts}
    return [mount for mount in mounts if mount["destination"] not in given]


def _processes(around: Surroundings, machine: Machine) -> dict[str, Any]:
    """/proc; without root it cannot be mounted anew for processes that are this machine's."""
    if machine.is_rootless and "pid" not in around.namespaces:
        return _mount("/proc", "bind", "/proc", "rbind", "nosuid", "noexec", "nodev")
    return _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev")


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _bind(mount: Mount) -> dict[str, Any]:
    propagation = {"private": "rprivate", "slave": "rslave", "shared": "rshared"}.get(
        mount.propagation, mount.propagation
    )
    mode = ("rro" if mount.is_recursive else "ro") if mount.read_only else "rw"
    return _mount(mount.container_path, "bind", mount.host_path, "rbind", propagation, mode)


def _root_propagation(mounts: Sequence[Mount]) -> str:
    """A volume can pass mounts on only if the root does not cut them off."""
    wanted = {mount.propagation.removeprefix("r") for mount in mounts}
    if "shared" in wanted:
        return "rshared"
    return "rslave" if "slave" in wanted else "rprivate"


def _device(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def _block_device(device: BlockDevice) -> dict[str, Any]:
    owner = (device.mode, device.uid, device.gid)
    return _device(Device(device.container_path, "b", device.major, device.minor, *owner))
