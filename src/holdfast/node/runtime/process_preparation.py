"""What a plain process is started with: a program of this machine, a user, a directory with its volumes in it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import ContainerSpec, ImageRecord, Mount, RuntimeFailure
from .oci.records import StoredSandbox

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def image_of(reference: str) -> ImageRecord:
    """Every reference is accepted; a program of this machine that is called like it is its entry point."""
    digest = hashlib.sha256(reference.encode()).hexdigest()
    program = shutil.which(reference.rpartition("/")[2].partition("@")[0].partition(":")[0], path=PATH)
    return ImageRecord(
        id=f"sha256:{digest}",
        references=(reference,),
        digests=(),
        size_bytes=0,
        entrypoint=(program,) if program else (),
    )


def run_of(spec: ContainerSpec, image: ImageRecord, sandbox: StoredSandbox, root: Path) -> dict[str, Any]:
    """What the supervisor is told. Raises RuntimeFailure."""
    own = {"HOLDFAST_ROOT": str(root), "HOLDFAST_POD_IP": sandbox.ips[0] if sandbox.ips else "127.0.0.1"}

    def expanded(text: str) -> str:
        for name, value in own.items():
            text = text.replace(f"$({name})", value)
        return text

    arguments = [*spec.command, *spec.args] if spec.command else [*image.entrypoint, *spec.args]
    if not arguments or (not spec.command and not image.entrypoint):
        raise RuntimeFailure(
            "CreateContainerError",
            f"no command specified: the process runtime runs programs of this machine, and none is called like image "
            f'"{spec.image}"',
        )
    environment = {"PATH": PATH, "HOME": str(root), "HOSTNAME": sandbox.spec.hostname}
    environment |= {name: expanded(value) for name, value in spec.env.items()} | own
    directory = root / spec.working_dir.lstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    return {
        "arguments": [expanded(word) for word in arguments],
        "environment": environment,
        "directory": str(directory),
        "log": spec.log_path,
        **_user(spec),
    }


def _user(spec: ContainerSpec) -> dict[str, Any]:
    wanted = spec.user
    if os.geteuid() != 0:
        if wanted.uid not in (None, os.geteuid()):
            raise RuntimeFailure(
                "CreateContainerError", f"only root may run processes as user {wanted.uid}; this is user {os.geteuid()}"
            )
        return {"uid": None, "gid": None, "groups": None}
    groups = list(wanted.supplementary_gids) if wanted.supplementary_gids or wanted.uid is not None else None
    gid = wanted.gid if wanted.gid is not None else (0 if wanted.uid is not None else None)
    return {"uid": wanted.uid, "gid": gid, "groups": groups}


def is_missing(mount: Mount) -> bool:
    """/etc/hosts, the account's token and the like are in every pod: programs go on without them."""
    return not mount.container_path.startswith(("/etc/", "/dev/", "/var/run/secrets/kubernetes.io/"))


def make_root(root: Path, mounts: Sequence[Mount]) -> None:
    """The working directory, with a link to each volume where its mountPath would be below it."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    for mount in sorted(mounts, key=lambda mount: mount.container_path):
        link = root / mount.container_path.lstrip("/")
        if link == root or any(parent.is_symlink() for parent in link.parents):
            continue  # a mount inside another is reached through that one, if at all
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(mount.host_path)


def unlink_mounts(root: Path, mounts: Sequence[Mount]) -> None:
    """Before anything is removed recursively: no way leads into a volume (N201)."""
    for mount in mounts:
        link = root / mount.container_path.lstrip("/")
        if link.is_symlink():
            link.unlink()
