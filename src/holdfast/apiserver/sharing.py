"""Objects out of their bytes, with what many of them have in common only once in memory.

The pods of a set differ in a few names. Whatever part of an object is like a part of another is the same part, so a
pod has for itself only the way from its root to those names: a tenth of its memory. It takes hardly longer, since a
part that is known is not decoded again. Nobody may change what comes out of here; that holds for every manifest of the
cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.api.resource import Manifest

from .fields import entries

SMALL = 512
"""Bytes of a part that is looked up whole; a longer one is taken apart."""

DEEPEST = 6
"""Levels of long parts that are taken apart; what lies below is each object's own."""

MANY = 64
"""Objects and lists in a small part that is not taken apart any more, which bounds how deep one is."""

LARGE = 64 << 10
"""Bytes of an object that is decoded as it is: there are not many of them."""

KNOWN_PARTS = 4096
KNOWN_HISTORIES = 256
"""Lists of managed fields that are known: objects made in one second by one writer have the same."""

IN_COMMON = ("annotations", "creationTimestamp", "labels", "namespace", "ownerReferences")
"""What of the metadata is worth a look; the rest is one object's alone."""

PARTS = ("kind", "apiVersion", "metadata", "spec", "status")
"""What many objects have much of in common."""

TYPED = ("", "apps", "batch")
"""Groups whose schemas leave no value in these parts open. Python takes 1 for true; there each has its place."""

_decode = msgspec.json.Decoder().decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_each_fields = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def decoded(value: bytes) -> Manifest:
    """The object of these bytes. Raises msgspec.DecodeError."""
    manifest: Manifest
    if len(value) <= LARGE:
        try:
            return {name: _DECODERS.get(name, _decode)(part) for name, part in _fields(value).items()}
        except msgspec.ValidationError:  # its metadata is not of the usual form
            pass
    manifest = _decode(value)
    return manifest


def like(manifest: Manifest, model: Manifest) -> Manifest:
    """The same object with those parts of `model`, one of its kind, that are equal."""
    return {name: _like(part, model.get(name)) if name in PARTS else part for name, part in manifest.items()}


def _like(part: Any, model: Any) -> Any:
    if part is model or part == model:
        return model
    if type(part) is dict and isinstance(model, dict):  # FieldsV1, which is one, stays what it is
        return {name: _like(inner, model[name]) if name in model else inner for name, inner in part.items()}
    if isinstance(part, list) and isinstance(model, list):
        return [*map(_like, part, model), *part[len(model) :]]
    return part


def _metadata(text: msgspec.Raw) -> Manifest:
    return {name: _METADATA_DECODERS.get(name, _decode)(part) for name, part in _fields(text).items()}


def _managed_fields(text: msgspec.Raw) -> list[Manifest]:
    return _history(bytes(text))


@lru_cache(KNOWN_HISTORIES)
def _history(written: bytes) -> list[Manifest]:
    return [
        {name: entries.decoded(bytes(part)) if name == "fieldsV1" else _in_parts(part) for name, part in entry.items()}
        for entry in _each_fields(written)
    ]


def _in_parts(text: msgspec.Raw, depth: int = DEEPEST) -> Any:
    written = bytes(text)
    if len(written) <= SMALL:
        return _shared(written)
    if not depth:
        return _decode(written)
    if written.startswith(b"{"):
        return {name: _in_parts(part, depth - 1) for name, part in _fields(written).items()}
    if written.startswith(b"["):
        return [_in_parts(part, depth - 1) for part in _items(written)]
    return _decode(written)


@lru_cache(KNOWN_PARTS)
def _shared(written: bytes) -> Any:
    if written.count(b"{") + written.count(b"[") > MANY:
        return _decode(written)
    if written.startswith(b"{"):
        return {name: _shared(bytes(part)) for name, part in _fields(written).items()}
    if written.startswith(b"["):
        return [_shared(bytes(part)) for part in _items(written)]
    return _decode(written)


_METADATA_DECODERS: Mapping[str, Any] = {"managedFields": _managed_fields} | dict.fromkeys(IN_COMMON, _in_parts)
_DECODERS: Mapping[str, Any] = dict.fromkeys(PARTS, _in_parts) | {"metadata": _metadata}
