"""What all kinds have in common: the rules of metadata, and small questions to it (A65-A68, A79)."""

from __future__ import annotations

from typing import Any

from . import names
from .errors import FieldError, forbidden, invalid, required, show, too_long
from .resource import Manifest, Resource

MAX_ANNOTATIONS_BYTES = 256 * 1024
BARE_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


def key(manifest: Manifest) -> str:
    """`namespace/name`, or the name alone for a cluster-scoped object."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def controller_of(manifest: Manifest) -> dict[str, Any] | None:
    """The owner reference with `controller: true`, if there is one."""
    references = manifest["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def is_terminating(manifest: Manifest) -> bool:
    """It has a deletionTimestamp."""
    return bool(manifest["metadata"].get("deletionTimestamp"))


def validate_metadata(manifest: Manifest, resource: Resource) -> list[FieldError]:
    """All that is wrong with an object's metadata, whatever its kind. The namespace must be set by now."""
    metadata = manifest.get("metadata") or {}
    return [
        *_validate_names(metadata, resource),
        *_validate_namespace(metadata, resource),
        *validate_labels(metadata.get("labels"), "metadata.labels"),
        *validate_annotations(metadata.get("annotations"), "metadata.annotations"),
        *_validate_owners(metadata.get("ownerReferences") or []),
        *_validate_finalizers(metadata.get("finalizers") or [], resource),
    ]


def validate_metadata_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """What may not change (A79). Left out, uid and the times count as kept.

    Each error comes twice, as in upstream's causes, which check metadata for all kinds and again for each;
    the message lists it once.
    """
    now, then = new.get("metadata") or {}, old.get("metadata") or {}
    errors: list[FieldError] = []
    if then.get("deletionTimestamp"):
        errors += _validate_no_new_finalizers(now.get("finalizers") or [], then.get("finalizers") or [])
    errors += [
        invalid(f"metadata.{member}", now[member], "field is immutable")
        for member in ("name", "namespace", "uid", "creationTimestamp")
        if now.get(member) and now[member] != then.get(member, "")
    ]
    if not then.get("deletionTimestamp") and now.get("deletionTimestamp"):
        errors.append(invalid("metadata.deletionTimestamp", now["deletionTimestamp"], "field is immutable"))
    return errors + errors


def validate_labels(labels: dict[str, str] | None, field: str) -> list[FieldError]:
    """Keys and values of labels, selectors, node selectors."""
    errors = []
    for label, value in (labels or {}).items():
        errors += [invalid(field, label, error) for error in names.qualified_name.every(label)]
        errors += [invalid(field, value, error) for error in names.label_value.every(value)]
    return errors


def validate_annotations(annotations: dict[str, str] | None, field: str) -> list[FieldError]:
    """Keys, whose case does not matter, and the size of all together."""
    annotations = annotations or {}
    errors = [
        invalid(field, annotation, error)
        for annotation in annotations
        for error in names.qualified_name.every(annotation.lower())
    ]
    size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in annotations.items())
    if size_bytes > MAX_ANNOTATIONS_BYTES:
        errors.append(too_long(field, MAX_ANNOTATIONS_BYTES))
    return errors


def _validate_names(metadata: Manifest, resource: Resource) -> list[FieldError]:
    check = resource.validate_name or names.dns_subdomain
    errors = []
    prefix = metadata.get("generateName", "")
    # Names end in a letter or digit that generation adds, so the prefix may end in a dash.
    if prefix:
        named = prefix[:-1] + "a" if prefix.endswith("-") else prefix
        errors += [invalid("metadata.generateName", prefix, error) for error in names.every(check, named)]
    name = metadata.get("name")
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += [invalid("metadata.name", name, error) for error in names.every(check, name)]
    return errors


def _validate_namespace(metadata: Manifest, resource: Resource) -> list[FieldError]:
    namespace = metadata.get("namespace")
    if not resource.namespaced:
        return [forbidden("metadata.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [required("metadata.namespace")]
    return [invalid("metadata.namespace", namespace, error) for error in names.dns_label.every(namespace)]


def _validate_owners(references: list[Manifest]) -> list[FieldError]:
    errors, controller = [], ""
    field = "metadata.ownerReferences"
    for reference in references:
        errors += _validate_owner(reference, field)
        if reference.get("controller"):
            this = f"{reference.get('kind', '')}/{reference.get('name', '')}"
            if controller:
                detail = "Only one reference can have Controller set to true. "
                detail += f'Found "true" in references for {controller} and {this}'
                errors.append(invalid(field, [_in_order(reference) for reference in references], detail))
            controller = controller or this
    return errors


def _in_order(reference: Manifest) -> Manifest:
    """Messages show the members in upstream's order."""
    members = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
    return {member: reference[member] for member in members if member in reference}


def _validate_owner(reference: Manifest, field: str) -> list[FieldError]:
    api_version, kind = reference.get("apiVersion", ""), reference.get("kind", "")
    errors = []
    if not api_version.rpartition("/")[2]:
        errors.append(invalid(f"{field}.apiVersion", api_version, "version must not be empty"))
    errors += [
        invalid(f"{field}.{member}", "", "must not be empty")
        for member in ("kind", "name", "uid")
        if not reference.get(member)
    ]
    if (api_version, kind) == ("v1", "Event"):
        errors.append(invalid(field, reference, "/v1, Kind=Event is disallowed from being an owner"))
    return errors


def _validate_finalizers(finalizers: list[str], resource: Resource) -> list[FieldError]:
    errors = []
    may_be_bare = resource.custom is not None or resource.group == "apiextensions.k8s.io"
    for number, finalizer in enumerate(finalizers):
        wrong = names.qualified_name.every(finalizer)
        errors += [invalid("metadata.finalizers", finalizer, error) for error in wrong]
        if not wrong and "/" not in finalizer and finalizer not in BARE_FINALIZERS and not may_be_bare:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(invalid(f"metadata.finalizers[{number}]", finalizer, detail))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        errors.append(invalid("metadata.finalizers", finalizers, detail))
    return errors


def _validate_no_new_finalizers(new: list[str], old: list[str]) -> list[FieldError]:
    extra = sorted(set(new) - set(old))
    if not extra:
        return []
    shown = f"[]string{{{', '.join(show(name) for name in extra)}}}"
    detail = f"no new finalizers can be added if the object is being deleted, found new finalizers {shown}"
    return [forbidden("metadata.finalizers", detail)]
