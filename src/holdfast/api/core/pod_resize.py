"""What a resize may change: how much processor and memory a pod and its containers have (N148).

Source: Kubernetes, pkg/apis/core/validation (ValidatePodResize) and pkg/registry/core/pod (dropNonResizeUpdates).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.api.errors import FieldError, forbidden, invalid
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest

from .pod_structure import pod_spec_difference
from .quality_of_service import qos_class

_LISTS = ("containers", "initContainers")
_RESIZABLE = ("cpu", "memory")
_RESIZED = ("resources", "resizePolicy")


def resized_spec(wanted: Manifest, before: Manifest) -> Manifest:
    """`before` with the resources that are wanted; `wanted` itself where its containers are others: that is refused."""
    if any(_names(wanted, field) != _names(before, field) for field in _LISTS):
        return wanted
    spec = _with(before, wanted, ("resources",))
    for field in _LISTS:
        if field in before:
            pairs = zip(before[field], wanted[field], strict=True)
            spec[field] = [_with(container, asked, _RESIZED) for container, asked in pairs]
    return spec


def validate_resize(new: Manifest, old: Manifest) -> list[FieldError]:
    """All that is wrong with it, beside what is wrong with any pod."""
    now, then = new["spec"], old["spec"]
    errors: list[FieldError] = []
    if (before := qos_class(old)) != qos_class(new):
        errors.append(invalid("spec", before, "Pod QOS Class may not change as a result of resizing"))
    if others := [error for field in _LISTS for error in _others(field, _names(now, field), _names(then, field))]:
        return errors + others
    for at, given, had in _resources(now, then):
        errors += _removals(at, given, had)
    kept = _with_amounts_of(now, then)
    if not same(kept, then):
        difference = pod_spec_difference(then, kept)
        errors.append(forbidden("spec", f"only cpu and memory resources are mutable\n{difference}"))
    return errors


def _names(spec: Manifest, field: str) -> list[str]:
    return [container.get("name", "") for container in spec.get(field) or ()]


def _with(before: Manifest, wanted: Manifest, members: Sequence[str]) -> Manifest:
    kept = {name: value for name, value in before.items() if name not in members}
    return kept | {name: wanted[name] for name in members if name in wanted}


def _others(field: str, now: list[str], then: list[str]) -> Iterator[FieldError]:
    if len(now) != len(then):
        yield forbidden(f"spec.{field}", f"{field} may not be added or removed on resize")
        return
    for i, (name, before) in enumerate(zip(now, then, strict=True)):
        if name != before:
            yield forbidden(f"spec.{field}[{i}].name", f"{field} may not be renamed or reordered on resize")


def _resources(now: Manifest, then: Manifest) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Where they are, as they are wanted and as they were."""
    yield "spec.resources", now.get("resources") or {}, then.get("resources") or {}
    for field in _LISTS:
        for i, (given, had) in enumerate(zip(now.get(field) or (), then.get(field) or (), strict=True)):
            yield f"spec.{field}[{i}].resources", given.get("resources") or {}, had.get("resources") or {}


def _removals(field: str, given: Manifest, had: Manifest) -> Iterator[FieldError]:
    for kind in ("requests", "limits"):
        if had.get(kind, {}).keys() - given.get(kind, {}).keys():
            yield forbidden(f"{field}.{kind}", f"resource {kind} cannot be removed")


def _with_amounts_of(now: Manifest, then: Manifest) -> Manifest:
    """`now` with the processor and memory of `then`: what differs still should not."""
    spec = _restored(now, then)
    for field in _LISTS:
        if field in now:
            spec[field] = [_restored(given, had) for given, had in zip(now[field], then[field], strict=True)]
    return spec


def _restored(given: Manifest, had: Manifest) -> Manifest:
    if "resources" not in given:
        return dict(given)
    resources = dict(given.get("resources") or {})
    for kind in ("requests", "limits"):
        before = (had.get("resources") or {}).get(kind, {})
        amounts = {name: amount for name, amount in resources.get(kind, {}).items() if name not in _RESIZABLE}
        resources[kind] = amounts | {name: before[name] for name in _RESIZABLE if name in before}
    return {**given, "resources": {member: value for member, value in resources.items() if value}}
