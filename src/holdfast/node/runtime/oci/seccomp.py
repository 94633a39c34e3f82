"""System calls that a container may not make (N178). Pure but for `load`.

`RuntimeDefault` refuses what the default profile of today's container runtimes refuses, written the other way
round: everything else is allowed, so that a kernel's new calls fail or not as the kernel itself says.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

DEFAULT = "runtime/default"
EPERM = 1

NEVER = (
    "_sysctl", "add_key", "create_module", "get_kernel_syms", "io_uring_enter", "io_uring_register", "io_uring_setup",
    "kexec_file_load", "kexec_load", "keyctl", "move_pages", "nfsservctl", "pivot_root", "query_module", "request_key",
    "swapoff", "swapon", "sysfs", "userfaultfd", "uselib", "ustat", "vm86", "vm86old",
)  # fmt: skip
WITH_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": ("open_by_handle_at",),
    "CAP_SYSLOG": ("syslog",),
    "CAP_SYS_ADMIN": (
        "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount", "mount_setattr",
        "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname",
        "setns", "umount", "umount2", "unshare",
    ),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_CHROOT": ("chroot",),
    "CAP_SYS_MODULE": ("delete_module", "finit_module", "init_module"),
    "CAP_SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
    "CAP_SYS_PACCT": ("acct",),
    "CAP_SYS_RAWIO": ("ioperm", "iopl"),
    "CAP_SYS_TIME": ("clock_settime", "clock_settime64", "settimeofday", "stime"),
    "CAP_SYS_TTY_CONFIG": ("vhangup",),
}  # fmt: skip
"""Refused to containers that do not hold the capability."""
NAMESPACE_FLAGS = (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000)
"""Of `clone`: cgroup, uts, ipc, user, pid, network, mount."""
ENOSYS = 38


def default_profile(capabilities: Collection[str]) -> dict[str, Any]:
    """The `linux.seccomp` of a container that holds these."""
    refused = set(NEVER)
    for capability, calls in WITH_CAPABILITY.items():
        if capability not in capabilities:
            refused.update(calls)
    rules = [{"names": sorted(refused), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}]
    if "CAP_SYS_ADMIN" not in capabilities:
        rules += [
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": EPERM,
                "args": [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}],
            }
            for flag in NAMESPACE_FLAGS
        ]
        # Its flags are behind a pointer, where no filter sees them: programs fall back on `clone`.
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def load(path: str) -> dict[str, Any]:
    """A profile of the machine's own. Raises OSError, ValueError."""
    profile = msgspec.json.decode(Path(path).read_bytes())
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise ValueError(f"{path} is not a seccomp profile")
    return profile
