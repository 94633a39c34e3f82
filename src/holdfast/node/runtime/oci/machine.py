"""What this machine lets containers have, found once when the driver opens."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
from pathlib import Path

from holdfast.node import delegation
from holdfast.node.runtime import ContainerSpec
from holdfast.node.runtime.oci.cgroups import Groups, Layout
from holdfast.node.runtime.oci.spec import Device, Machine
from holdfast.world import user_namespace

_CAPABILITY_NAMES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
_OWN_DEVICES = {"console", "full", "null", "ptmx", "random", "tty", "urandom", "zero"}
"""Every container has these already."""


def capability_names(mask: int) -> frozenset[str]:
    """The names of the bits in a capability mask as /proc shows it."""
    return frozenset(f"CAP_{name}" for bit, name in enumerate(_CAPABILITY_NAMES) if mask >> bit & 1)


def effective_capabilities() -> frozenset[str]:
    """What this process holds; a container can be given no more."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return capability_names(int(line.split()[1], 16))
    return frozenset()


def find_machine(groups: Groups) -> Machine:
    held = effective_capabilities()
    _, nofile_hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    may_raise = "CAP_SYS_RESOURCE" in held and not user_namespace.is_inside()  # limits are the whole machine's
    floor = -1000 if may_raise else int(Path("/proc/self/oom_score_adj").read_text())
    return Machine(
        capabilities=held,
        nofile_hard=1 << 30 if may_raise or nofile_hard == resource.RLIM_INFINITY else nofile_hard,
        oom_score_floor=floor,
        has_cgroups=groups.layout is not Layout.NONE,
        controllers=groups.controllers if groups.layout is not Layout.NONE else frozenset(),
        ends_whole_groups=groups.layout is Layout.V2,
        devices=tuple(_devices()),
        is_rootless=user_namespace.is_inside(),
        has_many_ids=user_namespace.ids() > 1,
    )


def shortcomings(spec: ContainerSpec, machine: Machine) -> list[str]:
    """What the container asks for and cannot have here."""
    lacks = []
    none = "since there are no control groups (see holdfast doctor)"
    wanted = {"cpu": spec.resources.cpu_quota_us, "memory": spec.resources.memory_limit_bytes}
    limited = {name for name, limit in wanted.items() if limit is not None}
    if limited and not machine.has_cgroups:
        lacks.append(f"resource limits are not enforced, {none}")
    elif words := " and ".join(delegation.missing(machine.controllers | wanted.keys() - limited)):
        lacks.append(
            f"limits of {words} are not enforced, since these are not the user's to limit (see holdfast doctor)"
        )
    if any(device.read_only for device in spec.devices) and (machine.is_rootless or not machine.has_cgroups):
        why = none if not machine.has_cgroups else "since only root can refuse it"
        lacks.append(f"block volumes can be written to, {why}")
    return lacks


def _devices() -> list[Device]:
    found = []
    with contextlib.suppress(OSError), os.scandir("/dev") as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
            if not kind or entry.name in _OWN_DEVICES or entry.name.startswith(("tty", "vcs")):
                continue
            major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
            mode = stat.S_IMODE(status.st_mode)
            found.append(Device(entry.path, kind, major, minor, mode, status.st_uid, status.st_gid))
    return found
