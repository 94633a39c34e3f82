"""Volumes that are directories of an NFS share, as csi-driver-nfs has them: parameters of classes, and handles (V97).

Source: kubernetes-csi/csi-driver-nfs, pkg/nfs/controllerserver.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.api.resource import Manifest

DRIVER = "nfs.csi.k8s.io"
DELETE, RETAIN, ARCHIVE = "delete", "retain", "archive"
ARCHIVED = ".tar.gz"
_SEPARATOR = "#"


class BadParameter(Exception):
    """In the driver's words."""


@dataclass(frozen=True, slots=True)
class Share:
    """One directory of a share."""

    server: str
    base: str
    """Of the share; without slashes at its ends, as is the next."""
    sub_dir: str
    uuid: str = ""
    """The volume's name, where the directory is not called so."""
    on_delete: str = ""

    @property
    def handle(self) -> str:
        on_delete = self.on_delete if self.on_delete.lower() in (RETAIN, ARCHIVE) else ""
        return _SEPARATOR.join((self.server, self.base, self.sub_dir, self.uuid, on_delete))

    @property
    def name(self) -> str:
        """Of the volume."""
        return self.uuid or self.sub_dir

    @property
    def path(self) -> str:
        """On the server."""
        return "/" + "/".join(part for part in (self.base, self.sub_dir) if part)

    @property
    def base_path(self) -> str:
        return f"/{self.base}"


def from_class(parameters: dict[str, str], claim: Manifest, volume_name: str) -> tuple[Share, str]:
    """Where a claim's volume is to be, and the mode, octal, of its directory ("0": as it comes).

    Raises BadParameter.
    """
    known = {"server": "", "share": "", "subdir": "", "ondelete": "", "mountpermissions": ""}
    for key, value in parameters.items():
        if key.startswith("csi.storage.k8s.io/"):
            continue
        if key.lower() not in known:
            raise BadParameter(f'invalid parameter "{key}" in storage class')
        known[key.lower()] = value
    mode = known["mountpermissions"] or "0"
    if not mode.isdecimal() or not set(mode) <= set("01234567"):
        raise BadParameter(f"invalid mountPermissions {mode} in storage class")
    for key in ("server", "share"):
        if not known[key]:
            raise BadParameter(f"{key} is a required parameter")
    on_delete = known["ondelete"]
    if on_delete.lower() not in ("", DELETE, RETAIN, ARCHIVE):
        raise BadParameter(f"invalid value {on_delete} for OnDelete, supported values are [delete retain archive]")
    sub_dir = _filled_in(known["subdir"], claim, volume_name).strip("/")
    if ".." in sub_dir.split("/"):
        raise BadParameter(f"subDir {sub_dir} must not contain ..")
    server, base = known["server"].strip("/"), known["share"].strip("/")
    if not sub_dir:
        return Share(server, base, volume_name, "", on_delete), mode
    return Share(server, base, sub_dir, volume_name, on_delete), mode


def _filled_in(template: str, claim: Manifest, volume_name: str) -> str:
    words = {
        "${pvc.metadata.name}": claim["metadata"]["name"],
        "${pvc.metadata.namespace}": claim["metadata"]["namespace"],
        "${pv.metadata.name}": volume_name,
    }
    for name, value in words.items():
        template = template.replace(name, value)
    return template


def of_handle(handle: str) -> Share | None:
    """None if it is no handle of this driver's."""
    parts = handle.split(_SEPARATOR)
    if len(parts) < 3 or not parts[0] or not parts[2] or ".." in parts[2].split("/"):
        return None
    server, base, sub_dir, uuid, on_delete = (*parts, "", "")[:5]
    return Share(server, base, sub_dir, uuid, on_delete)


def of_volume(volume: Manifest) -> Share | None:
    """None if the volume is no such directory."""
    source = volume["spec"].get("csi") or {}
    return of_handle(str(source.get("volumeHandle") or "")) if source.get("driver") == DRIVER else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was in a directory of a share at some time, packed, on the same share."""

    share: Share
    """With the directory in which it is."""
    source: str
    """The name of the volume."""

    @property
    def handle(self) -> str:
        return _SEPARATOR.join(
            (self.share.server, self.share.base, self.share.sub_dir, self.share.sub_dir, self.source)
        )

    @property
    def archive(self) -> str:
        """Below the share."""
        return f"{self.share.sub_dir}/{self.source}{ARCHIVED}"


def snapshot_of(share: Share, name: str) -> Snapshot:
    return Snapshot(Share(share.server, share.base, name), share.name.replace("/", "-"))


def of_snapshot(handle: str) -> Snapshot | None:
    """None if it is no handle of this driver's."""
    parts = handle.split(_SEPARATOR)
    if len(parts) != 5 or not all((parts[0], parts[2], parts[4])) or {"..", "."} & {parts[2], parts[4]}:
        return None
    if "/" in parts[2] or "/" in parts[4]:
        return None
    return Snapshot(Share(parts[0], parts[1], parts[2]), parts[4])


def mount_of(source: Manifest) -> Manifest | None:
    """The `nfs` source that means the same as a `csi` source of this driver.

    None if it is another's, or says too little. The attributes decide: a volume that was made by hand may have any
    handle.
    """
    if source.get("driver") != DRIVER:
        return None
    attributes = {key.lower(): value for key, value in (source.get("volumeAttributes") or {}).items()}
    server, share = attributes.get("server", ""), attributes.get("share", "")
    if not server or not share:
        return None
    parts = [part for part in (*share.split("/"), *attributes.get("subdir", "").split("/")) if part]
    return {"server": server, "path": "/" + "/".join(parts)}
