"""CustomResourceDefinitions, which define further kinds (A196-A201); what they make of them is in `api/custom`."""

from __future__ import annotations

from holdfast.api.errors import FieldError
from holdfast.api.resource import CREATED_COLUMNS, STATUS, Manifest, Resource, created_cells

from .definition_validation import validate, validate_status, validate_update

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer of a definition whose objects have to go first."""


def default(definition: Manifest) -> None:
    spec = definition.setdefault("spec", {})
    for field in ("group", "scope"):
        spec.setdefault(field, "")
    spec.setdefault("versions", None)
    _default_names(spec.setdefault("names", {}))
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    for version in spec["versions"] or ():
        version.setdefault("name", "")
        for flag in ("served", "storage"):
            version.setdefault(flag, False)
    status = definition.setdefault("status", {})
    for field in ("kind", "plural"):
        status.setdefault("acceptedNames", {}).setdefault(field, "")
    for field in ("conditions", "storedVersions"):
        status.setdefault(field, None)


def _default_names(names: Manifest) -> None:
    for field in ("plural", "kind"):
        names.setdefault(field, "")
    if not names.get("singular"):
        names["singular"] = names["kind"].lower()
    if not names.get("listKind") and names["kind"]:
        names["listKind"] = f"{names['kind']}List"


def prepare_create(definition: Manifest) -> None:
    stored = _storage_version(definition)
    accepted = {"kind": "", "plural": ""}
    definition["status"] = {"acceptedNames": accepted, "conditions": None, "storedVersions": stored[:1] or None}


def prepare_update(new: Manifest, old: Manifest) -> None:
    """A version in which objects have once been stored is remembered (A197)."""
    status = new.get("status", {})
    known = status.get("storedVersions") or []
    new["status"] = {**status, "storedVersions": [*known, *(v for v in _storage_version(new)[:1] if v not in known)]}


def _storage_version(definition: Manifest) -> list[str]:
    return [version["name"] for version in definition["spec"]["versions"] or () if version.get("storage")]


def warnings(definition: Manifest) -> list[str]:
    """What of a definition has no effect here."""
    from holdfast.api.custom.rules import unevaluated

    spec = definition["spec"]
    told = []
    for version in spec["versions"] or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        told += [
            f"spec.versions[{version['name']}]: holdfast does not evaluate the rule {rule!r} of {path}: {reason}"
            for path, rule, reason in unevaluated(schema)
        ]
    return told


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*validate_status(new.get("status", {}))]


def prepare_delete(definition: Manifest, now: str) -> Manifest:
    """Its objects go first (A201)."""
    metadata, status = definition["metadata"], definition["status"]
    finalizers = metadata.get("finalizers") or []
    kept = finalizers if CLEANUP in finalizers else [*finalizers, CLEANUP]
    others = [one for one in status.get("conditions") or () if one["type"] != "Terminating"]
    told = {"type": "Terminating", "status": "True", "lastTransitionTime": now, **_PENDING}
    return {
        **definition,
        "metadata": {**metadata, "finalizers": kept},
        "status": {**status, "conditions": [*others, told]},
    }


_PENDING = {
    "reason": "InstanceDeletionPending",
    "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
}

CUSTOM_RESOURCE_DEFINITIONS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=(STATUS,),
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    warnings=warnings,
    columns=CREATED_COLUMNS,
    cells=created_cells,
    prepare_delete=prepare_delete,
    initial_status={},
    has_generation=True,
    allows_unconditional_update=False,
)
