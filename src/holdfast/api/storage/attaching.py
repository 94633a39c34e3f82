"""Which volumes have to be attached to a node before it can mount them, and what this is called in objects (V48).

What a cloud calls a disk is in one machine at a time: the volumes that stand in for such disks behave like them.
"""

from __future__ import annotations

import hashlib

from holdfast.api.resource import Manifest

from . import binding

DISKS = frozenset(
    {
        "cinder.csi.openstack.org",
        "csi.vsphere.vmware.com",
        "disk.csi.azure.com",
        "ebs.csi.aws.com",
        "pd.csi.storage.gke.io",
    }
)
"""Provisioners whose volumes are disks."""

_FOR_MANY = {"ReadOnlyMany", "ReadWriteMany"}


def attacher_of(volume: Manifest) -> str:
    """Who attaches the volume; empty if every node has it anyway."""
    provisioner = binding.annotation(volume, binding.PROVISIONED_BY) or ""
    return provisioner if provisioner in DISKS else ""


def may_be_shared(volume: Manifest) -> bool:
    """Whether several nodes may have it at once."""
    modes = volume["spec"].get("accessModes") or ()
    return not modes or not _FOR_MANY.isdisjoint(modes)


def attachment_name(attacher: str, volume_name: str, node_name: str) -> str:
    """Of the VolumeAttachment: it follows from what it is about, so that there is never a second one."""
    return f"csi-{hashlib.sha256(f'{volume_name}{attacher}{node_name}'.encode()).hexdigest()}"


def unique_name(attacher: str, volume_name: str) -> str:
    """As the status of a Node has it."""
    return f"kubernetes.io/csi/{attacher}^{volume_name}"


def is_attached(attachment: Manifest) -> bool:
    return bool((attachment.get("status") or {}).get("attached")) and not attachment["metadata"].get(
        "deletionTimestamp"
    )
