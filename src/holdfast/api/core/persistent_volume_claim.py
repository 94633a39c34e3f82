"""PersistentVolumeClaims (V2, V6, V8, V12)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api import quantity
from holdfast.api.conditions import is_terminating
from holdfast.api.errors import FieldError, forbidden, invalid
from holdfast.api.meaning import same
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource
from holdfast.api.structure import Member, Shape, difference, fields, texts
from holdfast.api.table import age

from .claim_defaults import default_claim_spec, settle_data_source
from .claim_validation import validate_claim_spec
from .pod_structure import RESOURCES
from .pod_warnings import fraction_warnings
from .volume_table import access_modes

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_REFUSAL = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_SPEC = Shape(
    (
        *fields("accessModes", "selector"),
        Member("Resources", "resources", shape=Shape(RESOURCES.members[:2]), is_pointer=False),
        *texts("volumeName"),
        *fields("storageClassName", "volumeMode", "dataSource", "dataSourceRef", "volumeAttributesClassName"),
    )
)


def storage_class_of(claim: Manifest) -> str | None:
    """The class a claim asks for; None means the default class, the empty text none at all (V8)."""
    annotation = claim["metadata"].get("annotations", {}).get(CLASS_ANNOTATION)
    name = annotation if annotation is not None else claim["spec"].get("storageClassName")
    return None if name is None else str(name)


def default(claim: Manifest) -> None:
    default_claim_spec(claim.setdefault("spec", {}))
    status = claim.setdefault("status", {})
    status["phase"] = status.get("phase") or "Pending"
    for condition in status.get("conditions", ()):
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)


def prepare_create(claim: Manifest) -> None:
    claim["status"] = {"phase": "Pending"}
    settle_data_source(claim["spec"])


def validate(claim: Manifest) -> list[FieldError]:
    return [*validate_claim_spec("spec", claim["spec"])]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Bound claims may ask for more; one that is not bound yet may be given a volume, or a class if it had none."""
    now, then = new["spec"], old["spec"]
    kept = _with_what_may_change(new, old)
    errors = []
    if not same(kept, then):
        errors.append(forbidden("spec", f"{_REFUSAL}\n{difference(_SPEC, then, kept)}"))
    else:
        errors += _shrinking(now, old)
    if not same(now.get("volumeMode"), then.get("volumeMode")):
        errors.append(invalid("volumeMode", now.get("volumeMode"), "field is immutable"))
    return errors


def _with_what_may_change(new: Manifest, old: Manifest) -> Manifest:
    now, then = new["spec"], old["spec"]
    kept = dict(now)
    if not then.get("volumeName"):
        kept.pop("volumeName", None)
    if "storageClassName" not in then and storage_class_of(old) in (None, now.get("storageClassName")):
        kept.pop("storageClassName", None)
    if old.get("status", {}).get("phase") == "Bound":
        requests = then.get("resources", {}).get("requests", {})
        if "storage" in requests and "storage" in now.get("resources", {}).get("requests", {}):
            asked = {**now["resources"]["requests"], "storage": requests["storage"]}
            kept["resources"] = {**now["resources"], "requests": asked}
        kept["volumeAttributesClassName"] = then.get("volumeAttributesClassName")
    return kept


def _shrinking(now: Manifest, old: Manifest) -> list[FieldError]:
    """A claim may shrink only to take back an expansion, and not to what it already has (V6)."""
    asked = now.get("resources", {}).get("requests", {}).get("storage", "0")
    before = old["spec"].get("resources", {}).get("requests", {}).get("storage", "0")
    if quantity.compare(asked, before) >= 0:
        return []
    has = old.get("status", {}).get("capacity", {}).get("storage", "0")
    if quantity.compare(asked, has) > 0 and quantity.parse(has):
        return []
    return [forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")]


def warnings(claim: Manifest) -> list[str]:
    texts = []
    if CLASS_ANNOTATION in claim["metadata"].get("annotations", {}):
        text = 'deprecated since v1.8; use "storageClassName" attribute instead'
        texts.append(f"metadata.annotations[{CLASS_ANNOTATION}]: {text}")
    resources = claim["spec"].get("resources", {})
    for kind in ("requests", "limits"):
        texts += fraction_warnings(f"spec.resources.{kind}", resources.get(kind, {}), ("storage",))
    return texts


def cells(claim: Manifest, now: datetime) -> list[Any]:
    spec, status = claim["spec"], claim.get("status", {})
    is_bound = bool(spec.get("volumeName"))
    return [
        claim["metadata"]["name"],
        "Terminating" if is_terminating(claim) else status.get("phase", ""),
        spec.get("volumeName", ""),
        status.get("capacity", {}).get("storage", "0") if is_bound else "",
        access_modes(status.get("accessModes", ())) if is_bound else "",
        storage_class_of(claim) or "",
        spec.get("volumeAttributesClassName") or "<unset>",
        age(claim["metadata"].get("creationTimestamp"), now),
        spec.get("volumeMode") or "<unset>",
    ]


PERSISTENT_VOLUME_CLAIMS = Resource(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    subresources=(STATUS,),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    columns=(
        NAME,
        Column("Status", documents="core.v1.PersistentVolumeClaimStatus.phase"),
        Column("Volume", documents="core.v1.PersistentVolumeClaimSpec.volumeName"),
        Column("Capacity", documents="core.v1.PersistentVolumeClaimStatus.capacity"),
        Column("Access Modes", documents="core.v1.PersistentVolumeClaimStatus.accessModes"),
        Column("StorageClass", text="StorageClass of the pvc"),
        Column("VolumeAttributesClass", text="VolumeAttributesClass of the pvc"),
        AGE,
        Column("VolumeMode", priority=1, documents="core.v1.PersistentVolumeClaimSpec.volumeMode"),
    ),
    cells=cells,
    initial_status={"phase": "Pending"},
    delete_returns_object=True,
)
