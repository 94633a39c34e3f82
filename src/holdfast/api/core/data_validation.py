"""The data of ConfigMaps and Secrets: keys, size, and the promise never to change it."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names
from holdfast.api.errors import FieldError, forbidden, too_long
from holdfast.api.field_rules import named
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest

MOST_BYTES = 1024 * 1024


def validate_keys(field: str, data: dict[str, str]) -> Iterator[FieldError]:
    for key in data:
        yield from named(f"{field}[{key}]", key, names.config_key)


def within_limit(field: str, total_bytes: int) -> Iterator[FieldError]:
    if total_bytes > MOST_BYTES:
        yield too_long(field, MOST_BYTES)


def encoded_bytes(data: dict[str, str]) -> int:
    """The size of base64 values once decoded."""
    return sum(len(value) * 3 // 4 - value[-2:].count("=") for value in data.values() if value)


def validate_kept(new: Manifest, old: Manifest, members: tuple[str, ...]) -> Iterator[FieldError]:
    """Nothing of an immutable object changes, its being immutable included."""
    if not old.get("immutable"):
        return
    refusal = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        yield forbidden("immutable", refusal)
    for member in members:
        if not same(new.get(member), old.get(member)):
            yield forbidden(member, refusal)
