"""Rules that the three kinds share, in the words of a custom resource's validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.api.errors import FieldError, invalid, not_supported, required
from holdfast.api.resource import Manifest


def needed(at: str, manifest: Manifest, fields: Sequence[str]) -> Iterator[FieldError]:
    """Fields that the schema requires to be there, whatever their value."""
    for field in fields:
        if manifest.get(field) is None:
            yield required(f"{at}.{field}" if at else field)


def one_of(field: str, value: str | None, values: Sequence[str]) -> Iterator[FieldError]:
    if value is not None and value not in values:
        yield not_supported(field, value, values)


def exactly_one(field: str, source: Manifest, members: tuple[str, str], names: str) -> Iterator[FieldError]:
    if sum(source.get(member) is not None for member in members) != 1:
        yield invalid(field, "object", f"exactly one of {names} must be set")


def kept(field: str, now: Manifest, then: Manifest, member: str) -> Iterator[FieldError]:
    """What is set once stays, and stays what it is."""
    if then.get(member) is None:
        return
    if now.get(member) is None:
        yield invalid(field, "object", f"{member} is required once set")
    elif now[member] != then[member]:
        yield invalid(f"{field}.{member}", "string", f"{member} is immutable")
