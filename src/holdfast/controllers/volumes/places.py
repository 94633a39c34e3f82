"""Where the volumes that are made here are, and how their objects say so."""

from __future__ import annotations

import re

from holdfast.api.resource import Manifest
from holdfast.api.storage import binding

from .provisioners import DRIVER, SERVED

SNAPSHOTS = ".snapshots"
"""Below the directory of volumes: snapshots, by their handles."""
IMAGE = "image"
BACKING = "holdfast.dev/backing"
"""The volume attribute that says what a volume with a size is made of."""
FILE_SYSTEM = "ext4"

_HANDLE = re.compile(r"[a-z0-9][a-z0-9.-]*")


def directory_source(root: str, name: str) -> Manifest:
    """Of a plain directory. An absent one is an error at mount, never made anew: data would seem to be gone."""
    return {"hostPath": {"path": f"{root}/{name}", "type": "Directory"}}


def image_source(name: str, mode: str) -> Manifest:
    """Of a volume with a size: to be mounted or attached by a node, as the volume of a driver."""
    kind = {} if mode == "Block" else {"fsType": FILE_SYSTEM}
    return {"csi": {"driver": DRIVER, "volumeHandle": name, **kind, "volumeAttributes": {BACKING: IMAGE}}}


def is_sized(volume: Manifest) -> bool:
    """Whether it is kept in an image made here."""
    source = volume["spec"].get("csi") or {}
    return source.get("driver") == DRIVER and (source.get("volumeAttributes") or {}).get(BACKING) == IMAGE


def path_of(volume: Manifest, root: str) -> str:
    """The volume's directory on this machine; empty if it has none (V136)."""
    if is_sized(volume):
        handle = str(volume["spec"]["csi"].get("volumeHandle") or "")
        return f"{root}/{handle}" if _HANDLE.fullmatch(handle) else ""
    return str((volume["spec"].get("hostPath") or {}).get("path", ""))


def is_ours(volume: Manifest, root: str) -> bool:
    """Whether the volume was provisioned here."""
    return binding.annotation(volume, binding.PROVISIONED_BY) in SERVED and bool(path_of(volume, root))
