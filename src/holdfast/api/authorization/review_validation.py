"""What is wrong with a question about rights. Source: Kubernetes, pkg/apis/authorization/validation."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.resource import Manifest
from holdfast.api.selector_validation import validate_requirement, values_fit


def validate_own(review: Manifest) -> Iterator[FieldError]:
    yield from _spec(review.get("spec") or {})
    yield from _no_metadata(review, (), "must be empty")


def validate_of_subject(review: Manifest) -> Iterator[FieldError]:
    yield from _subject(review.get("spec") or {})
    yield from _no_metadata(review, (), "must be empty")


def validate_local(review: Manifest, namespace: str) -> Iterator[FieldError]:
    """`namespace` is the URL's."""
    spec = review.get("spec") or {}
    yield from _subject(spec)
    yield from _no_metadata(review, ("namespace",), "must be empty except for namespace")
    if (attributes := spec.get("resourceAttributes")) is not None and attributes.get("namespace", "") != namespace:
        at = "spec.resourceAttributes.namespace"
        yield invalid(at, attributes.get("namespace", ""), "must match metadata.namespace")
    if (path := spec.get("nonResourceAttributes")) is not None:
        yield invalid("spec.nonResourceAttributes", _shown_path(path), "disallowed on this kind of request")


def _subject(spec: Manifest) -> Iterator[FieldError]:
    attributes, selectors = [*_one_of_both(spec)], [*_selectors(spec)]
    yield from attributes
    if not spec.get("user") and not spec.get("groups"):
        yield invalid("spec.user", "", "at least one of user or group must be specified")
    yield from selectors


def _spec(spec: Manifest) -> Iterator[FieldError]:
    yield from _one_of_both(spec)
    yield from _selectors(spec)


def _one_of_both(spec: Manifest) -> Iterator[FieldError]:
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if of_resource is not None and of_path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        yield invalid("spec.nonResourceAttributes", _shown_path(of_path), detail)
    if of_resource is None and of_path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield invalid("spec.resourceAttributes", None, detail)


def _shown_path(attributes: Manifest) -> Manifest:
    """As upstream prints it, whose internal structure has no JSON names."""
    return {"Path": attributes.get("path", ""), "Verb": attributes.get("verb", "")}


def _selectors(spec: Manifest) -> Iterator[FieldError]:
    attributes = spec.get("resourceAttributes") or {}
    for name in ("fieldSelector", "labelSelector"):
        field, selector = f"spec.resourceAttributes.{name}", attributes.get(name)
        if selector is None:
            continue
        raw, requirements = selector.get("rawSelector"), selector.get("requirements") or ()
        if raw and requirements:
            yield invalid(f"{field}.rawSelector", raw, "may not specified at the same time as requirements")
        if not raw and not requirements:
            detail = f"when {field} is specified, requirements or rawSelector is required"
            yield required(f"{field}.requirements", detail)
        for i, requirement in enumerate(requirements):
            at = f"{field}.requirements[{i}]"
            yield from validate_requirement(at, requirement) if name == "labelSelector" else _of_field(at, requirement)


def _of_field(field: str, requirement: Manifest) -> Iterator[FieldError]:
    if not requirement.get("key"):
        yield required(f"{field}.key", "must be specified")
    yield from values_fit(field, requirement)


def _no_metadata(review: Manifest, but: tuple[str, ...], detail: str) -> Iterator[FieldError]:
    metadata = review.get("metadata") or {}
    if any(value for name, value in metadata.items() if name not in (*but, "managedFields")):
        yield invalid("metadata", metadata, detail)
