"""How stored objects look to a client: themselves, their metadata, rows of a table (A42, A43, A94, A118, A187, A188).

The object itself is the bytes the store holds. Everything else is derived from the manifest on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from holdfast.api.errors import BadRequest, NotAcceptable
from holdfast.api.resource import Column, Manifest, Resource
from holdfast.world import Clock

from .cache import Stored
from .conversion import is_converted, served
from .negotiation import Form

_encode = msgspec.json.Encoder().encode
BARE = ("kind", "apiVersion")
"""What the items of a list do without (A3)."""
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list found, at one revision; 0 if it is not stored and has none."""

    items: Sequence[Stored]
    revision: int
    continue_token: str = ""
    remaining: int | None = None

    def metadata(self) -> Manifest:
        metadata: Manifest = {"resourceVersion": str(self.revision)} if self.revision else {}
        if self.continue_token:
            metadata["continue"] = self.continue_token
        if self.remaining:
            metadata["remainingItemCount"] = self.remaining
        return metadata


class View(Protocol):
    """One way to show objects of one resource."""

    @property
    def key(self) -> Hashable:
        """Equal for views that give the same bytes: watchers share frames by it."""

    @property
    def introduces(self) -> bool:
        """The first event of a watch differs from the later ones."""

    @property
    def at_once(self) -> int:
        """Lists of more objects than this are made piece by piece, so that nobody else waits for them."""

    def one(self, stored: Stored, *, is_first: bool = True) -> bytes: ...

    def many(self, listed: Listed) -> Iterator[bytes]:
        """A list, in pieces that each take a moment to make."""

    def bookmark(self, revision: int, *, ends_initial: bool, is_first: bool) -> bytes: ...


def view_of(resource: Resource, form: Form, include: str, clock: Clock, *, is_list: bool) -> View:
    """Raises as `check_shape`."""
    check_shape(resource, form, include, is_list=is_list)
    if not form.shape:
        return plain(resource)
    if form.shape == "Table":
        return TableView(resource, form.version, include or "Metadata", clock)
    return MetadataView(resource, form.version)


def check_shape(resource: Resource, form: Form, include: str, *, is_list: bool) -> None:
    """Raises NotAcceptable for a shape that does not fit, BadRequest for a bad `includeObject`."""
    if form.shape == "Table" and include not in ("", "Metadata", "Object", "None"):
        text = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise BadRequest(f"Unable to convert to Table as requested: {text}")
    if is_list and form.shape == "PartialObjectMetadata":
        kind = f"*{_package(resource)}.{resource.list_kind}"
        raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({kind})")
    if not is_list and form.shape == "PartialObjectMetadataList":
        kind = f"*{_package(resource)}.{resource.kind}"
        raise NotAcceptable(f"you requested PartialObjectMetadataList, but the requested object is not a list ({kind})")


def plain(resource: Resource) -> PlainView:
    """The objects themselves."""
    if resource.custom is not None:
        return CustomView(resource)
    return ConvertedView(resource) if is_converted(resource) else PlainView(resource)


def _package(resource: Resource) -> str:
    """The Go package that upstream's message names."""
    return resource.group.split(".")[0] or "core"


class PlainView:
    """The stored bytes."""

    introduces = False
    at_once = 500

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self.key: Hashable = "plain"
        self._prefix = _encode({"kind": resource.kind, "apiVersion": resource.api_version})[:-1] + b","

    def one(self, stored: Stored, *, is_first: bool = True) -> bytes:
        return stored.value

    def many(self, listed: Listed) -> Iterator[bytes]:
        """Items leave out kind and apiVersion, which stand first in every stored object (A3)."""
        head = {"kind": self._resource.list_kind, "apiVersion": self._resource.api_version,
                "metadata": listed.metadata()}  # fmt: skip
        yield _encode(head)[:-1] + b',"items":['
        yield from _sliced(listed.items, self.at_once, self._bare, opening=b"{")
        yield b"]}"

    def _bare(self, stored: Stored) -> bytes | memoryview:
        """An item without its opening brace: what `join` can take as it lies in the store."""
        value = stored.value
        if value.startswith(self._prefix):
            return memoryview(value)[len(self._prefix) :]
        return _encode({name: part for name, part in stored.manifest.items() if name not in BARE})[1:]

    def bookmark(self, revision: int, *, ends_initial: bool, is_first: bool) -> bytes:
        metadata = _bookmark_metadata(revision, ends_initial)
        return _encode({"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata})


class ConvertedView(PlainView):
    """Objects that are stored as another kind."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self.key = ("converted", resource.api_version)

    def one(self, stored: Stored, *, is_first: bool = True) -> bytes:
        shown = served(self._resource, stored.manifest)
        return stored.value if shown is stored.manifest else _encode(shown)

    def _bare(self, stored: Stored) -> bytes:
        converted = served(self._resource, stored.manifest)
        return _encode({name: part for name, part in converted.items() if name not in BARE})[1:]


class CustomView(ConvertedView):
    """Objects of a kind that is defined: each says in lists what it is, and lists say that they are whole (A215)."""

    def many(self, listed: Listed) -> Iterator[bytes]:
        head = {"kind": self._resource.list_kind, "apiVersion": self._resource.api_version,
                "metadata": {"continue": "", **listed.metadata()}}  # fmt: skip
        yield _encode(head)[:-1] + b',"items":['
        yield from _sliced(listed.items, self.at_once, self.one)
        yield b"]}"


class MetadataView:
    """PartialObjectMetadata."""

    introduces = False
    at_once = 50

    def __init__(self, resource: Resource, version: str) -> None:
        self._version = version
        self._metadata = resource.metadata_alone
        self.key: Hashable = ("metadata", version)

    def one(self, stored: Stored, *, is_first: bool = True) -> bytes:
        return _encode(partial(self._metadata(stored.manifest), self._version))

    def many(self, listed: Listed) -> Iterator[bytes]:
        head = {**_meta("PartialObjectMetadataList", self._version), "metadata": listed.metadata()}
        if not listed.items:
            yield _encode({**head, "items": None})
            return
        yield _encode(head)[:-1] + b',"items":['
        yield from _sliced(listed.items, self.at_once, self.one)
        yield b"]}"

    def bookmark(self, revision: int, *, ends_initial: bool, is_first: bool) -> bytes:
        return _encode(partial(_bookmark_metadata(revision, ends_initial), self._version))


class TableView:
    """Rows of printed columns."""

    introduces = True
    at_once = 50

    def __init__(self, resource: Resource, version: str, include: str, clock: Clock) -> None:
        self._resource = resource
        self._version = version
        self._include = include
        self._clock = clock
        self.key: Hashable = ("table", version, include)

    def one(self, stored: Stored, *, is_first: bool = True) -> bytes:
        metadata = {"resourceVersion": stored.manifest["metadata"].get("resourceVersion", "")}
        return _encode(self._table(metadata, [self._row(stored.manifest, self._clock.now())], is_first))

    def many(self, listed: Listed) -> Iterator[bytes]:
        empty = _encode(self._table(listed.metadata(), [], True))
        yield empty[: -len(b"]}")]
        now = self._clock.now()
        yield from _sliced(listed.items, self.at_once, lambda stored: _encode(self._row(stored.manifest, now)))
        yield b"]}"

    def bookmark(self, revision: int, *, ends_initial: bool, is_first: bool) -> bytes:
        metadata = _bookmark_metadata(revision, ends_initial)
        row = {"cells": [None] * len(self._resource.columns), "object": partial(metadata, self._version)}
        return _encode(self._table({"resourceVersion": str(revision)}, [row], is_first))

    def _table(self, metadata: Manifest, rows: Sequence[Manifest], is_first: bool) -> Manifest:
        columns = definitions(self._resource.columns) if is_first else None
        return {**_meta("Table", self._version), "metadata": metadata, "columnDefinitions": columns, "rows": rows}

    def _row(self, manifest: Manifest, now: datetime) -> Manifest:
        manifest = served(self._resource, manifest)
        row: Manifest = {"cells": self._resource.cells(manifest, now)}
        if conditions := self._resource.row_conditions(manifest):
            row["conditions"] = conditions
        if self._include == "Metadata":
            row["object"] = partial(self._resource.metadata_alone(manifest), self._version)
        else:
            row["object"] = manifest if self._include == "Object" else None
        return row


def _sliced(
    items: Sequence[Stored], size: int, encode: Callable[[Stored], bytes | memoryview], opening: bytes = b""
) -> Iterator[bytes]:
    """The items with commas between them, `size` of them at a time; `opening` is what `encode` leaves out of each."""
    separator = b"," + opening
    for begin in range(0, len(items), size):
        yield separator if begin else opening
        yield separator.join(map(encode, items[begin : begin + size]))


def table_of(columns: Sequence[Column], rows: Iterable[Manifest], metadata: Manifest, version: str) -> bytes:
    """A table of what is no stored object, such as a Scale."""
    return _encode(
        {**_meta("Table", version), "metadata": metadata, "columnDefinitions": definitions(columns), "rows": list(rows)}
    )


def definitions(columns: Iterable[Column]) -> list[Manifest]:
    return [
        {"name": column.name, "type": column.type, "format": column.format, "description": column.description,
         "priority": column.priority}
        for column in columns
    ]  # fmt: skip


def partial(metadata: Manifest, version: str) -> Manifest:
    return {**_meta("PartialObjectMetadata", version), "metadata": metadata}


def _meta(kind: str, version: str) -> Manifest:
    return {"kind": kind, "apiVersion": f"meta.k8s.io/{version}"}


def _bookmark_metadata(revision: int, ends_initial: bool) -> Manifest:
    metadata: Manifest = {"resourceVersion": str(revision)}
    if ends_initial:
        metadata["annotations"] = INITIAL_EVENTS_END
    return metadata
