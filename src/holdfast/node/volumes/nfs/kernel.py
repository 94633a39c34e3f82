"""NFS mounts by the kernel: through mount(8), which knows versions, options and the server's name."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from holdfast.node.runtime.oci.processes import run as run_to_end
from holdfast.node.volumes import bounded
from holdfast.world import user_namespace

from .plan import Export, failure

SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
MOUNTED_WITHIN_S = 120.0
"""What mount.nfs itself takes for a server that does not answer."""
UNMOUNTED_WITHIN_S = 5.0


class CannotMount(Exception):
    """In kubelet's words."""


def helper() -> str:
    """The path of mount.nfs; empty if it is not installed."""
    return shutil.which("mount.nfs", path=SEARCH) or ""


def knows_nfs(filesystems: Path = Path("/proc/filesystems")) -> bool:
    """Whether NFS is in the kernel now; a module is listed once it is loaded (R138)."""
    with contextlib.suppress(OSError):
        return any(line.split("\t")[-1] in ("nfs", "nfs4") for line in filesystems.read_text().splitlines())
    return False


async def can_mount() -> bool:
    """Loads the module if there is one. Never inside a user namespace: the kernel lets nobody mount NFS there."""
    if not helper() or user_namespace.is_inside():
        return False
    if not knows_nfs() and (modprobe := shutil.which("modprobe", path=SEARCH)):
        await run_to_end([modprobe, "--quiet", "nfs"])
    return knows_nfs()


async def mount(export: Export, point: Path, address: str) -> None:
    """`address` stands in for a name that only the cluster knows. Raises CannotMount.

    A server that refuses is told of at once, and asked again by whoever asked for the volume: the helper would do that
    for two minutes and say nothing.
    """
    options = export.all_options
    if not any(option.startswith("retry=") for option in options):
        options = [*options, "retry=0"]
    source = Export(address or export.server, export.path, ()).source
    command = ["mount", "-t", "nfs", "-o", ",".join(options), source, str(point)]
    try:
        code, output = await bounded.run(str(point), command, MOUNTED_WITHIN_S)
    except bounded.NoAnswer:
        raise CannotMount(failure(export, str(point), "signal: killed", "mount.nfs: Connection timed out")) from None
    if code:
        raise CannotMount(failure(export, str(point), f"exit status {code}", output))


async def unmount(point: Path) -> None:
    """Gently, then by force, then by letting go of it: a dead server must not keep a pod (V94). Raises OSError."""
    reasons = []
    for how in ([], ["-f"], ["-f", "-l"]):
        try:
            code, output = await bounded.run(
                " ".join((str(point), *how)), ["umount", *how, str(point)], UNMOUNTED_WITHIN_S
            )
        except bounded.NoAnswer as error:
            reasons.append(str(error))
            continue
        if code == 0:
            return
        reasons.append(output.strip())
    raise OSError(reasons[-1])
