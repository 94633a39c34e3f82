"""Volumes of clouds and network systems, most of them of former days: what each must say.

No agent here mounts them; manifests that name them are checked as upstream checks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, not_supported, required, too_long
from holdfast.api.field_rules import between, named, present, required_name, supported
from holdfast.api.resource import Manifest

from .path_validation import descending_path

Rule = Callable[[str, Manifest], Iterator[FieldError]]

_is_iqn = re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$", re.ASCII).search
_is_eui = re.compile(r"eui.[A-Za-z0-9]{16}").fullmatch
_is_naa = re.compile(r"naa.[A-Za-z0-9]{32}").fullmatch
_INITIATORS = {"iqn": _is_iqn, "eui": _is_eui, "naa": _is_naa}
_MANAGED_DISKS = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_BLOB_DISKS = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_LONGEST_PORTAL = 64
_PORTAL_TOO_LONG = (
    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters "
    "if iscsi.initiatorName is specified."
)
_DEFAULTS: Mapping[str, Manifest] = {
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_network_volume(volume: Manifest) -> None:
    """What the server fills into the source of a pod's volume or a PersistentVolume."""
    for kind, defaults in _DEFAULTS.items():
        if kind in volume:
            for member, value in defaults.items():
                if volume[kind].get(member) in (None, ""):
                    volume[kind][member] = value


def _needs(*members: str) -> Rule:
    def rule(field: str, source: Manifest) -> Iterator[FieldError]:
        for member in members:
            yield from present(f"{field}.{member}", source.get(member))

    return rule


def _reference(field: str, reference: Manifest | None, *members: str) -> Iterator[FieldError]:
    if reference is not None:
        yield from _needs(*members)(field, reference)


def _disk(member: str) -> Rule:
    def rule(field: str, source: Manifest) -> Iterator[FieldError]:
        yield from present(f"{field}.{member}", source.get(member))
        partition = source.get("partition", 0)
        if not 0 <= partition <= 255:
            yield invalid(f"{field}.partition", partition, "must be between 1 and 255, inclusive")

    return rule


def _git_repo(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.repository", source.get("repository"))
    yield from descending_path(f"{field}.directory", source.get("directory", ""))


def _iscsi(of_pod: bool) -> Rule:
    """Upstream's words differ a little between pods and PersistentVolumes."""
    unknown = "must be valid format starting with iqn, eui, or naa" if of_pod else "must be valid format"

    def initiator(field: str, name: str) -> Iterator[FieldError]:
        check = _INITIATORS.get(name[:3])
        if check is None:
            yield invalid(field, name, unknown)
        elif not check(name):
            yield invalid(field, name, "must be valid format")

    def rule(field: str, source: Manifest) -> Iterator[FieldError]:
        yield from present(f"{field}.targetPortal", source.get("targetPortal"))
        if source.get("iqn"):
            yield from initiator(f"{field}.iqn", source["iqn"])
        else:
            yield required(f"{field}.iqn")
        yield from between(f"{field}.lun", source.get("lun", 0), 0, 255)
        if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and "secretRef" not in source:
            yield required(f"{field}.secretRef")
        if not of_pod:
            yield from _reference(f"{field}.secretRef", source.get("secretRef"), "name")
        if "initiatorName" in source:
            yield from initiator(f"{field}.initiatorname", source["initiatorName"])

    return rule


def portal_fits(field: str, shown: str, volume_name: str, source: Manifest) -> Iterator[FieldError]:
    """With an initiator of its own, both names become one, which has a limit; `shown` is what `field` holds."""
    if "initiatorName" in source and len(f"{volume_name}:{source.get('targetPortal', '')}") > _LONGEST_PORTAL:
        yield invalid(field, shown, _PORTAL_TOO_LONG)


def _fibre_channel(field: str, source: Manifest) -> Iterator[FieldError]:
    targets, wwids, lun = source.get("targetWWNs"), source.get("wwids"), source.get("lun")
    if not targets and not wwids:
        yield required(f"{field}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if targets and wwids:
        refusal = "targetWWNs and wwids can not be specified simultaneously"
        yield invalid(f"{field}.targetWWNs", targets, refusal)
    if targets and lun is None:
        yield required(f"{field}.lun", "lun is required if targetWWNs is specified")
    elif targets:
        yield from between(f"{field}.lun", lun, 0, 255)


def _flocker(field: str, source: Manifest) -> Iterator[FieldError]:
    name, uuid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uuid:
        yield required(field, "one of datasetName and datasetUUID is required")
    if name and uuid:
        yield invalid(field, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        yield invalid(f"{field}.datasetName", name, "must not contain '/'")


def _quobyte(field: str, source: Manifest) -> Iterator[FieldError]:
    registry, pairs = source.get("registry", ""), "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        yield required(f"{field}.registry", pairs)
    elif len(source.get("tenant", "")) >= 65:
        refusal = "must be a UUID and may not exceed a length of 64 characters"
        yield required(f"{field}.tenant", refusal)
    else:
        for pair in registry.split(","):
            if not re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:\[\]]*", pair):
                yield invalid(f"{field}.registry", registry, pairs)
    yield from present(f"{field}.volume", source.get("volume"))


def _gluster_of_volume(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _needs("endpoints", "path")(field, source)
    namespace = source.get("endpointsNamespace")
    if namespace == "":
        refusal = "if the endpointnamespace is set, it must be a valid namespace name"
        yield invalid(f"{field}.endpointsNamespace", namespace, refusal)
    elif namespace is not None:
        yield from named(f"{field}.endpointsNamespace", namespace, names.dns_label)


def _cinder(*of_secret: str) -> Rule:
    def rule(field: str, source: Manifest) -> Iterator[FieldError]:
        yield from present(f"{field}.volumeID", source.get("volumeID"))
        yield from _reference(f"{field}.secretRef", source.get("secretRef"), *of_secret)

    return rule


def _flex(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.driver", source.get("driver"))
    for key in source.get("options", {}):
        domain = f".{key.partition('/')[0].lower()}"
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            refusal = "kubernetes.io and k8s.io namespaces are reserved"
            yield invalid(f"{field}.options[{key}]", key, refusal)


def _azure_file_of_volume(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _needs("secretName", "shareName")(field, source)
    if source.get("secretNamespace") == "":
        yield required(f"{field}.secretNamespace")


def _azure_disk(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _needs("diskName", "diskURI")(field, source)
    address, kind = source.get("diskURI", ""), source.get("kind", "Shared")
    yield from supported(f"{field}.cachingMode", source.get("cachingMode", "None"), ("None", "ReadOnly", "ReadWrite"))
    yield from supported(f"{field}.kind", kind, ("Dedicated", "Managed", "Shared"))
    if kind == "Managed" and not address.startswith("/subscriptions/"):
        yield not_supported(f"{field}.diskURI", address, (_MANAGED_DISKS,))
    if kind != "Managed" and not address.startswith("https://"):
        yield not_supported(f"{field}.diskURI", address, (_BLOB_DISKS,))


def _storage_os(*of_secret: str) -> Rule:
    def rule(field: str, source: Manifest) -> Iterator[FieldError]:
        yield from required_name(f"{field}.volumeName", source.get("volumeName", ""), names.dns_label)
        if namespace := source.get("volumeNamespace"):
            yield from named(f"{field}.volumeNamespace", namespace, names.dns_label)
        yield from _reference(f"{field}.secretRef", source.get("secretRef"), *of_secret)

    return rule


def csi_driver_name(field: str, name: str) -> Iterator[FieldError]:
    """Upstream says two things of an empty one."""
    if not name:
        yield required(field)
    if len(name) > 63:
        yield too_long(field, 63)
    for error in names.dns_subdomain.every(name.lower()):
        yield invalid(field, name, error)


def _csi_of_pod(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from csi_driver_name(f"{field}.driver", source.get("driver", ""))
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        yield from required_name(f"{field}.nodePublishSecretRef.name", secret.get("name", ""), names.dns_subdomain)


def _csi_of_volume(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from csi_driver_name(f"{field}.driver", source.get("driver", ""))
    yield from present(f"{field}.volumeHandle", source.get("volumeHandle"))
    for member in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        at, secret = f"{field}.{member}SecretRef", source.get(f"{member}SecretRef")
        if secret is not None:
            yield from required_name(f"{at}.name", secret.get("name", ""), names.dns_subdomain)
            yield from required_name(f"{at}.namespace", secret.get("namespace", ""), names.dns_label)


_OF_BOTH: Mapping[str, Rule] = {
    "gcePersistentDisk": _disk("pdName"),
    "awsElasticBlockStore": _disk("volumeID"),
    "flocker": _flocker,
    "rbd": _needs("monitors", "image"),
    "cephfs": _needs("monitors"),
    "quobyte": _quobyte,
    "fc": _fibre_channel,
    "flexVolume": _flex,
    "vsphereVolume": _needs("volumePath"),
    "photonPersistentDisk": _needs("pdID"),
    "portworxVolume": _needs("volumeID"),
    "azureDisk": _azure_disk,
    "scaleIO": _needs("gateway", "system", "volumeName"),
}
OF_PODS: Mapping[str, Rule] = {
    **_OF_BOTH,
    "gitRepo": _git_repo,
    "iscsi": _iscsi(of_pod=True),
    "glusterfs": _needs("endpoints", "path"),
    "cinder": _cinder("name"),
    "azureFile": _needs("secretName", "shareName"),
    "storageos": _storage_os("name"),
    "csi": _csi_of_pod,
}
OF_VOLUMES: Mapping[str, Rule] = {
    **_OF_BOTH,
    "iscsi": _iscsi(of_pod=False),
    "glusterfs": _gluster_of_volume,
    "cinder": _cinder("name", "namespace"),
    "azureFile": _azure_file_of_volume,
    "storageos": _storage_os("name", "namespace"),
    "csi": _csi_of_volume,
}
