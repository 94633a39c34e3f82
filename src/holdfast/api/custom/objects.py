"""All that is wrong with an object of a custom kind, in upstream's order (A202, A205, A208).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/registry/customresource/strategy.go and validator.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.resource import Manifest

from . import paths
from .lists import repeated
from .structural import ABSENT, Structural
from .validation import value_errors

if TYPE_CHECKING:
    from .resources import Custom, ScalePaths

MOST_REPLICAS = 2**31 - 1
BLOCKING = ("NotSupported", "Required", "TooLong", "TooMany", "TypeInvalid")
UNCHECKED = invalid(
    "<nil>",
    None,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete"
    " validation",
)


def object_errors(custom: Custom, manifest: Manifest, old: Manifest | None = None) -> list[FieldError]:
    """What an object breaks; `old` is its state before an update."""
    before = ABSENT if old is None else old
    errors = [
        *_kind_errors(custom, manifest),
        *value_errors(custom.given_schema, manifest, "", before),
        *_scale_errors(custom.scale, manifest),
        *_embedded(custom.schema, manifest, ""),
        *_new_repetitions(custom.schema, manifest, old),
    ]
    if custom.schema.has_rules:
        if any(error.reason.removeprefix("FieldValue") in BLOCKING for error in errors):
            return [*errors, UNCHECKED]
        from .rules import broken

        errors += broken(custom.schema, manifest, old)
    return errors


def _kind_errors(custom: Custom, manifest: Manifest) -> Iterator[FieldError]:
    for name, wanted in (("kind", custom.kind), ("apiVersion", custom.api_version)):
        if manifest.get(name) != wanted:
            yield invalid(name, manifest.get(name, ""), f"must be {wanted}")


def _new_repetitions(schema: Structural, manifest: Manifest, old: Manifest | None) -> list[FieldError]:
    """What is repeated, but not if it was before: an update may leave alone what an older schema let in."""
    found = list(repeated(schema, manifest))
    if not found or old is None:
        return found
    known = set(repeated(schema, old))
    return [error for error in found if error not in known]


def _scale_errors(scale: ScalePaths | None, manifest: Manifest) -> Iterator[FieldError]:
    if scale is None:
        return
    for path in (scale.spec_replicas, scale.status_replicas):
        for replicas in paths.find(path, manifest)[:1]:
            if not isinstance(replicas, int) or isinstance(replicas, bool):
                continue  # the schema says so, or nobody minds
            if replicas < 0:
                yield invalid(path, replicas, "should be a non-negative integer")
            elif replicas > MOST_REPLICAS:
                yield invalid(path, replicas, f"should be less than or equal to {MOST_REPLICAS}")


def _embedded(schema: Structural, value: Any, path: str) -> Iterator[FieldError]:
    """Whole objects inside of another need to say what they are."""
    if isinstance(value, list):
        if schema.items is not None:
            for index, entry in enumerate(value):
                yield from _embedded(schema.items, entry, f"{path}[{index}]")
        return
    if not isinstance(value, dict):
        return
    if schema.is_embedded:
        for name in ("apiVersion", "kind"):
            if name not in value:
                yield required(f"{path}.{name}", "must not be empty")
            elif not value[name]:
                yield invalid(f"{path}.{name}", value[name], "must not be empty")
    for name, entry in value.items():
        member = schema.member(name)
        if member is not None and (path or name != "metadata"):
            yield from _embedded(member, entry, f"{path}.{name}" if path else name)
