"""PersistentVolumes (V1, V7, V12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from holdfast.api import names
from holdfast.api.conditions import is_terminating
from holdfast.api.errors import FieldError, forbidden, invalid, required, show
from holdfast.api.field_rules import immutable, named, only, supported
from holdfast.api.meaning import same
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.structure import Member, Shape, difference, fields, go_name, texts
from holdfast.api.table import age

from .claim_validation import ACCESS_MODES, VOLUME_MODES, exclusive_access_mode, positive_storage
from .network_volumes import OF_VOLUMES, Rule, default_network_volume, portal_fits
from .node_labels import NEWER_LABELS, term_warnings
from .path_validation import no_backsteps
from .placement_validation import validate_node_selector
from .pod_warnings import GO_NAMES, OLD_VOLUMES
from .volume_table import access_modes
from .volume_validation import host_path, nfs, validate_sources

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_OLD_ANNOTATIONS = {
    CLASS_ANNOTATION: 'deprecated since v1.8; use "storageClassName" attribute instead',
    "volume.beta.kubernetes.io/mount-options": 'deprecated since v1.31; use "mountOptions" attribute instead',
}
_SOURCES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)
_REQUIREMENTS = ("matchExpressions", "matchFields")
_HOST_PATH = Shape((*texts("path"), Member("Type", "type")))
_NFS = Shape((*texts("server", "path"), Member("ReadOnly", "readOnly", False)))
_LOCAL = Shape((*texts("path"), *fields("fsType")))
_STRUCTURE = Shape(
    (
        Member("GCEPersistentDisk", "gcePersistentDisk"),
        Member("AWSElasticBlockStore", "awsElasticBlockStore"),
        Member("HostPath", "hostPath", shape=_HOST_PATH),
        *fields("glusterfs"),
        Member("NFS", "nfs", shape=_NFS),
        Member("RBD", "rbd"),
        *fields("quobyte"),
        Member("ISCSI", "iscsi"),
        *fields("flexVolume", "cinder"),
        Member("CephFS", "cephfs"),
        *fields("fc", "flocker", "azureFile", "vsphereVolume", "azureDisk", "photonPersistentDisk"),
        *fields("portworxVolume", "scaleIO"),
        Member("Local", "local", shape=_LOCAL),
        Member("StorageOS", "storageos"),
        *fields("csi"),
    )
)


def storage_class_of(volume: Manifest) -> str:
    annotation = volume["metadata"].get("annotations", {}).get(CLASS_ANNOTATION)
    return str(annotation if annotation is not None else volume["spec"].get("storageClassName", ""))


def default(volume: Manifest) -> None:
    spec = volume.setdefault("spec", {})
    spec["persistentVolumeReclaimPolicy"] = spec.get("persistentVolumeReclaimPolicy") or "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")
    default_network_volume(spec)
    status = volume.setdefault("status", {})
    status["phase"] = status.get("phase") or "Pending"


def prepare_create(volume: Manifest) -> None:
    """The creation time must be set by now: it is also that of the first phase."""
    volume["status"] = {"phase": "Pending"}
    if created := volume["metadata"].get("creationTimestamp"):
        volume["status"]["lastPhaseTransitionTime"] = created


def validate(volume: Manifest) -> list[FieldError]:
    return [*validate_volume_spec("spec", volume["spec"], volume["metadata"].get("name", ""))]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    now, then = new["spec"], old["spec"]
    before = {kind: then[kind] for kind in _SOURCES if kind in then}
    after = {kind: now[kind] for kind in _SOURCES if kind in now}
    errors = []
    if not same(after, before):
        field = "spec.persistentvolumesource"
        changed = difference(_STRUCTURE, before, after)
        errors.append(forbidden(field, f"{field} is immutable after creation\n{changed}"))
    errors += immutable("volumeMode", now.get("volumeMode"), then.get("volumeMode"))
    if then.get("nodeAffinity"):
        errors += _affinity_kept(now.get("nodeAffinity"), then["nodeAffinity"])
    return errors


def _affinity_kept(new: Manifest | None, old: Manifest) -> Iterator[FieldError]:
    """Where a volume is does not change, but its labels may be called by their newer names."""
    new_terms, old_terms = ((each or {}).get("required", {}).get("nodeSelectorTerms", []) for each in (new, old))
    if new is None or not same(new_terms, _renamed(old_terms, new_terms)):
        refusal = "field is immutable, except for updating from beta label to GA"
        yield invalid("nodeAffinity", None if new is None else _affinity_structure(new), refusal)


def _renamed(old: list[Manifest], new: list[Manifest]) -> list[Manifest]:
    """The old terms with those keys in their newer form that the new terms have so."""
    newer = {
        each["key"] for term in new for kind in _REQUIREMENTS for each in term.get(kind, ()) if each.get("key")
    } & set(NEWER_LABELS.values())
    return [
        {
            kind: [
                {**each, "key": NEWER_LABELS[key]} if NEWER_LABELS.get(key := each.get("key", "")) in newer else each
                for each in term[kind]
            ]
            for kind in _REQUIREMENTS
            if kind in term
        }
        for term in old
    ]


def _affinity_structure(affinity: Manifest) -> Manifest:
    """Upstream's message shows its internal structure."""
    required_terms = affinity.get("required")
    if required_terms is None:
        return {"Required": None}
    terms = [
        {
            go_name(kind): [
                {"Key": each.get("key", ""), "Operator": each.get("operator", ""), "Values": each.get("values")}
                for each in term.get(kind, ())
            ]
            or None
            for kind in _REQUIREMENTS
        }
        for term in required_terms.get("nodeSelectorTerms", ())
    ]
    return {"Required": {"NodeSelectorTerms": terms or None}}


def validate_volume_spec(field: str, spec: Manifest, volume_name: str) -> Iterator[FieldError]:
    modes, capacity = spec.get("accessModes", ()), spec.get("capacity", {})
    if not modes:
        yield required(f"{field}.accessModes")
    yield from only(f"{field}.accessModes", modes, ACCESS_MODES)
    yield from exclusive_access_mode(f"{field}.accessModes", modes)
    if not capacity:
        yield required(f"{field}.capacity")
    if list(capacity) != ["storage"]:
        yield _unsupported_capacity(f"{field}.capacity", capacity)
    elif capacity:
        yield from positive_storage(f"{field}.capacity[storage]", capacity)
    policy = spec.get("persistentVolumeReclaimPolicy", "")
    yield from supported(f"{field}.persistentVolumeReclaimPolicy", policy, ("Delete", "Recycle", "Retain"))
    yield from _affinity(f"{field}.nodeAffinity", spec)
    yield from validate_sources(field, spec, _RULES, _SOURCES)
    if "iscsi" in spec:
        portal = spec["iscsi"].get("targetPortal", "")
        yield from portal_fits(f"{field}.iscsi.targetportal", portal, volume_name, spec["iscsi"])
    if spec.get("hostPath", {}).get("path") == "/" and policy == "Recycle":
        refusal = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden(f"{field}.persistentVolumeReclaimPolicy", refusal)
    if name := spec.get("storageClassName"):
        yield from named(f"{field}.storageClassName", name, names.dns_subdomain)
    if "volumeMode" in spec:
        yield from supported(f"{field}.volumeMode", spec["volumeMode"], VOLUME_MODES)


def _unsupported_capacity(field: str, capacity: dict[str, str]) -> FieldError:
    """Upstream shows the whole list, null if there is none."""
    refusal = f'Unsupported value: {show(capacity or None)}: supported values: "storage"'
    return FieldError(field, "FieldValueNotSupported", refusal)


def _affinity(field: str, spec: Manifest) -> Iterator[FieldError]:
    affinity = spec.get("nodeAffinity")
    if affinity is None:
        if "local" in spec:
            yield required(field, "Local volume requires node affinity")
    elif "required" not in affinity:
        yield required(f"{field}.required", "must specify required node constraints")
    else:
        yield from validate_node_selector(f"{field}.required", affinity["required"])


def _local(field: str, source: Manifest) -> Iterator[FieldError]:
    if not source.get("path"):
        yield required(f"{field}.path")
    else:
        yield from no_backsteps(f"{field}.path", source["path"])


_RULES: Mapping[str, Rule] = {**OF_VOLUMES, "hostPath": host_path, "nfs": nfs, "local": _local}


def warnings(volume: Manifest) -> list[str]:
    return [*_warnings(volume["metadata"].get("annotations") or {}, volume["spec"])]


def _warnings(annotations: Manifest, spec: Manifest) -> Iterator[str]:
    for key, text in _OLD_ANNOTATIONS.items():
        if key in annotations:
            yield f"metadata.annotations[{key}]: {text}"
    for i, term in enumerate(spec.get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", ())):
        yield from term_warnings(f"spec.nodeAffinity.required.nodeSelectorTerms[{i}]", term)
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield (
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
            "Instead, the recommended approach is to use dynamic provisioning."
        )
    for kind, text in OLD_VOLUMES.items():
        if kind in spec:
            yield f"spec.{GO_NAMES.get(kind, kind)}: {text}"


def cells(volume: Manifest, now: datetime) -> list[Any]:
    spec, status = volume["spec"], volume.get("status", {})
    claim = spec.get("claimRef")
    return [
        volume["metadata"]["name"],
        spec.get("capacity", {}).get("storage", "0"),
        access_modes(spec.get("accessModes", ())),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if is_terminating(volume) else status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        storage_class_of(volume),
        spec.get("volumeAttributesClassName") or "<unset>",
        status.get("reason", ""),
        age(volume["metadata"].get("creationTimestamp"), now),
        spec.get("volumeMode") or "<unset>",
    ]


PERSISTENT_VOLUMES = Resource(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    short_names=("pv",),
    subresources=(STATUS,),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    columns=(
        NAME,
        Column("Capacity", documents="core.v1.PersistentVolumeSpec.capacity"),
        Column("Access Modes", documents="core.v1.PersistentVolumeSpec.accessModes"),
        Column("Reclaim Policy", documents="core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy"),
        Column("Status", documents="core.v1.PersistentVolumeStatus.phase"),
        Column("Claim", documents="core.v1.PersistentVolumeSpec.claimRef"),
        Column("StorageClass", text="StorageClass of the pv"),
        Column("VolumeAttributesClass", text="VolumeAttributesClass of the pv"),
        Column("Reason", documents="core.v1.PersistentVolumeStatus.reason"),
        AGE,
        Column("VolumeMode", priority=1, documents="core.v1.PersistentVolumeSpec.volumeMode"),
    ),
    cells=cells,
    initial_status={"phase": "Pending"},
    delete_returns_object=True,
)
