"""Sandboxes: the namespaces of a pod pinned as files, its shared memory; no process keeps them (R17, R18).

With `shareProcessNamespace` there is one process after all: it holds the process namespace and reaps.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from holdfast.node.runtime import RuntimeFailure, SandboxSpec
from holdfast.node.runtime.oci import pause
from holdfast.node.runtime.oci.processes import ProcessIdentity, identify, open_process
from holdfast.node.runtime.oci.records import StoredSandbox
from holdfast.node.runtime.oci.rootfs import remove_tree
from holdfast.node.runtime.oci.supervisor import kill
from holdfast.world import linux, mount_table

SHM_OPTIONS = "mode=1777,size=65536k"
DEFAULT_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""As today's container runtimes set them in every pod's own network namespace."""
KINDS = {
    "network": ("net", linux.CLONE_NEWNET),
    "ipc": ("ipc", linux.CLONE_NEWIPC),
    "uts": ("uts", linux.CLONE_NEWUTS),
}
"""OCI's name of a namespace: the kernel's name, and the flag."""


def own_namespaces(spec: SandboxSpec) -> tuple[str, ...]:
    """Which of `KINDS` the pod does not share with this machine. A pod's name lives with its network."""
    kinds = () if spec.host_network else ("network", "uts")
    return kinds if spec.host_ipc else (*kinds, "ipc")


def has_pause(spec: SandboxSpec) -> bool:
    return spec.share_process_namespace and not spec.host_pid


class SandboxDirectory:
    """The files of one sandbox. All methods block; none touches the set-up of the network."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pin(self, kind: str) -> str:
        return str(self.path / "ns" / KINDS[kind][0])

    @property
    def network_namespace(self) -> str:
        return self.pin("network")

    @property
    def shm(self) -> str:
        return str(self.path / "shm")

    def make(self, spec: SandboxSpec) -> ProcessIdentity | None:
        """Namespaces, shared memory, and the pause process where there is one, whose identity comes back.

        Raises OSError and RuntimeFailure; what was made until then is for `remove`.
        """
        (self.path / "ns").mkdir(parents=True, exist_ok=True)
        kinds = own_namespaces(spec)
        for kind in kinds:
            Path(self.pin(kind)).touch()
        if kinds:
            linux.in_new_thread(lambda: self._unshare_and_pin(spec, kinds))
        if not spec.host_ipc:
            os.makedirs(self.shm, exist_ok=True)
            linux.mount("shm", self.shm, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, SHM_OPTIONS)
        return self._start_pause() if has_pause(spec) else None

    def _unshare_and_pin(self, spec: SandboxSpec, kinds: tuple[str, ...]) -> None:
        """Runs in a thread that ends afterwards."""
        flags = 0
        for kind in kinds:
            flags |= KINDS[kind][1]
        linux.unshare(flags)
        if "uts" in kinds:
            linux.sethostname(spec.hostname)
        _apply_sysctls(spec, kinds)
        for kind in kinds:
            linux.mount(f"/proc/thread-self/ns/{KINDS[kind][0]}", self.pin(kind), flags=linux.MS_BIND)

    def _start_pause(self) -> ProcessIdentity:
        empty = self.path / "empty"
        empty.mkdir(exist_ok=True)
        arguments = [sys.executable, "-I", "-S", pause.__file__, str(empty)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, start_new_session=True)
        identity = identify(int(done.stdout)) if done.returncode == 0 else None
        if identity is None:
            raise RuntimeFailure("CreatePodSandboxError", f"no shared process namespace: {done.stderr.strip()}")
        return identity

    def is_healthy(self, stored: StoredSandbox, boot_id: str) -> bool:
        """Whether everything that `make` made is still there."""
        if stored.boot_id != boot_id:
            return False
        if not all(linux.is_pinned_namespace(self.pin(kind)) for kind in own_namespaces(stored.spec)):
            return False
        if not stored.spec.host_ipc and not os.path.ismount(self.shm):
            return False
        return not has_pause(stored.spec) or _is_alive(stored.pause)

    def namespaces(self, stored: StoredSandbox, has_cgroups: bool) -> Mapping[str, str]:
        """For a container's configuration: the kind to the file to join, an empty path for a new one (R17)."""
        result = {kind: self.pin(kind) for kind in own_namespaces(stored.spec)}
        result["mount"] = ""
        if has_cgroups:
            result["cgroup"] = ""
        if stored.pause is not None:
            result["pid"] = f"/proc/{stored.pause.pid}/ns/pid"
        elif not stored.spec.host_pid:
            result["pid"] = ""
        return result

    def remove(self, stored: StoredSandbox | None) -> None:
        """Nothing is left of it; safe to repeat. Raises OSError rather than delete through a mount."""
        if stored is not None and stored.pause is not None:
            kill(stored.pause)
        if not self.path.exists():
            return
        for target in mount_table.below(self.path):
            with contextlib.suppress(OSError):
                linux.unmount(target, linux.MNT_DETACH)
        remove_tree(self.path)


def _is_alive(identity: ProcessIdentity | None) -> bool:
    descriptor = open_process(identity) if identity is not None else None
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _apply_sysctls(spec: SandboxSpec, kinds: tuple[str, ...]) -> None:
    """Written by a thread inside the namespaces: the kernel shows each its own. The pod's wishes must be
    obeyed, the defaults may be missing from a kernel."""
    for name, value in spec.sysctls.items():
        if not _is_of_the_pod(name, kinds):
            raise RuntimeFailure("CreatePodSandboxError", f'sysctl "{name}" is not of the pod\'s own namespaces')
        try:
            _sysctl(name).write_text(value)
        except OSError as error:
            raise RuntimeFailure("CreatePodSandboxError", f"sysctl {name}={value}: {error.strerror}") from None
    if "network" in kinds:
        for name, value in DEFAULT_SYSCTLS.items():
            if name not in spec.sysctls:
                with contextlib.suppress(OSError):
                    _sysctl(name).write_text(value)


def _sysctl(name: str) -> Path:
    return Path("/proc/sys", name.replace(".", "/"))


def _is_of_the_pod(sysctl: str, kinds: tuple[str, ...]) -> bool:
    """Only these exist once per namespace; writing any other would change the machine."""
    if sysctl.startswith("net."):
        return "network" in kinds
    return "ipc" in kinds and sysctl.startswith(("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."))
