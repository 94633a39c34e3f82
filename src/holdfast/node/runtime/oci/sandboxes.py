"""What the containers of a pod share: namespaces pinned as files, /dev/shm, an address; no process (R17, R18).

With `shareProcessNamespace` one process more: it holds the process namespace and reaps.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from holdfast.node.runtime import SandboxSpec
from holdfast.world import linux

SHM_OPTIONS = "mode=1777,size=65536k"
KINDS = {"network": ("net", linux.CLONE_NEWNET), "ipc": ("ipc", linux.CLONE_NEWIPC), "uts": ("uts", linux.CLONE_NEWUTS)}
"""OCI's name of a namespace: the kernel's name, and the flag."""


def own_namespaces(spec: SandboxSpec) -> list[str]:
    """Which of `KINDS` the pod does not share with this machine."""
    if spec.host_network:
        return [] if spec.host_ipc else ["ipc"]
    return ["network", "uts"] if spec.host_ipc else ["network", "ipc", "uts"]


def pin(directory: Path, kind: str) -> Path:
    return directory / "ns" / KINDS[kind][0]


def is_whole(directory: Path, spec: SandboxSpec) -> bool:
    """Whether everything that `make` makes is there."""
    pins = all(linux.is_pinned_namespace(str(pin(directory, kind))) for kind in own_namespaces(spec))
    return pins and (spec.host_ipc or os.path.ismount(directory / "shm"))


def make(directory: Path, spec: SandboxSpec) -> None:
    """Namespaces and /dev/shm below `directory`. Blocking, a thread of its own does it. Raises OSError."""
    kinds = own_namespaces(spec)
    (directory / "ns").mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        pin(directory, kind).touch()
    if kinds:
        linux.in_new_thread(lambda: _unshare_and_pin(directory, kinds, spec))
    if not spec.host_ipc:
        shm = directory / "shm"
        shm.mkdir(exist_ok=True)
        linux.mount("shm", str(shm), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, SHM_OPTIONS)


def _unshare_and_pin(directory: Path, kinds: list[str], spec: SandboxSpec) -> None:
    """Runs in a thread that ends afterwards."""
    flags = 0
    for kind in kinds:
        flags |= KINDS[kind][1]
    linux.unshare(flags)
    if "uts" in kinds:
        linux.sethostname(spec.hostname)
    for kind in kinds:
        source = f"/proc/thread-self/ns/{KINDS[kind][0]}"
        linux.mount(source, str(pin(directory, kind)), flags=linux.MS_BIND)
    for name, value in spec.sysctls.items():
        Path("/proc/sys", name.replace(".", "/")).write_text(value)


def remove(directory: Path, remove_tree: Callable[[Path], None]) -> None:
    """Lets go of the namespaces; the kernel ends them with their last process. Nothing if there are none."""
    for name, _ in KINDS.values():
        _unmount(directory / "ns" / name)
    _unmount(directory / "shm")
    remove_tree(directory)


def _unmount(path: Path) -> None:
    with contextlib.suppress(OSError):
        while True:  # a crash between two tries may have left one mount on the other
            linux.unmount(str(path), linux.MNT_DETACH)


def _is_of_the_pod(sysctl: str, kinds: tuple[str, ...]) -> bool:
    """Only these exist once per namespace; writing any other would change the machine."""
    if sysctl.startswith("net."):
        return "network" in kinds
    return "ipc" in kinds and sysctl.startswith(("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."))
