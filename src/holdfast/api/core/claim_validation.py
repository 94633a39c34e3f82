"""The spec of a claim, in claims and in the claim templates of sets and ephemeral volumes (V2, V4)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names, quantity
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import named, only, present, supported
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_label_selector

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def validate_claim_spec(field: str, spec: Manifest) -> Iterator[FieldError]:
    modes = spec.get("accessModes", ())
    if not modes:
        yield required(f"{field}.accessModes", "at least 1 access mode is required")
    yield from validate_label_selector(f"{field}.selector", spec.get("selector"))
    yield from only(f"{field}.accessModes", modes, ACCESS_MODES)
    yield from exclusive_access_mode(f"{field}.accessModes", modes)
    yield from positive_storage(f"{field}.resources[storage]", spec.get("resources", {}).get("requests", {}))
    if name := spec.get("storageClassName"):
        yield from named(f"{field}.storageClassName", name, names.dns_subdomain)
    if "volumeMode" in spec:
        yield from supported(f"{field}.volumeMode", spec["volumeMode"], VOLUME_MODES)
    yield from _sources(field, spec.get("dataSource"), spec.get("dataSourceRef"))
    if name := spec.get("volumeAttributesClassName"):
        yield from named(f"{field}.volumeAttributesClassName", name, names.dns_subdomain)


def exclusive_access_mode(field: str, modes: list[str] | tuple[str, ...]) -> Iterator[FieldError]:
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden(field, "may not use ReadWriteOncePod with other access modes")


def positive_storage(field: str, amounts: dict[str, str]) -> Iterator[FieldError]:
    amount = amounts.get("storage")
    if amount is None:
        yield required(field)
    elif quantity.parse(amount) <= 0:
        yield invalid(field, amount, "must be greater than zero")


def _sources(field: str, source: Manifest | None, reference: Manifest | None) -> Iterator[FieldError]:
    """The older field and the newer one say the same, unless the newer one says what the older one cannot."""
    yield from _source(f"{field}.dataSource", source)
    yield from _source(f"{field}.dataSourceRef", reference)
    if not source or not reference:
        return
    if reference.get("namespace"):
        refusal = "may not be specified when dataSourceRef.namespace is specified"
        yield invalid(field, f"{field}.dataSource", refusal)
    elif any((source.get(member) or "") != (reference.get(member) or "") for member in ("apiGroup", "kind", "name")):
        yield invalid(field, f"{field}.dataSource", "must match dataSourceRef")


def _source(field: str, source: Manifest | None) -> Iterator[FieldError]:
    if not source:
        return
    yield from present(f"{field}.name", source.get("name"))
    yield from present(f"{field}.kind", source.get("kind"))
    group = source.get("apiGroup") or ""
    if not group and source.get("kind") != "PersistentVolumeClaim":
        kind = source.get("kind", "")
        yield invalid(field, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
