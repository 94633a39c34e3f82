"""Which provisioners' classes are served here with local volumes, and under which names."""

from __future__ import annotations

from holdfast.api.storage import shares
from holdfast.api.storage.attaching import DISKS

LOCAL = "holdfast.dev/local"
DRIVER = "local.holdfast.dev"
"""The same provisioner where the name has to be a CSI driver's."""

_CSI_NAMES = {
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
}

_EVERYWHERE = {"file.csi.azure.com", "k8s.io/minikube-hostpath", "pxd.portworx.com", "rancher.io/local-path"}

SERVED = DISKS | _EVERYWHERE | {LOCAL}
"""Names, translated, for which the local provisioner makes volumes: tutorials written for a cloud run as they are."""

HERE = SERVED | {shares.DRIVER}
"""Names of all provisioners that there are."""

DRIVERS = SERVED | {DRIVER, "hostpath.csi.k8s.io"}
"""Names of drivers by which classes of snapshots may mean this one."""


def csi_name(provisioner: str) -> str:
    """The CSI driver that took over an in-tree provisioner; any other name as it is (V46)."""
    return _CSI_NAMES.get(provisioner, provisioner)
