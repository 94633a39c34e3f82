"""The watch cache: what every read and every watch is served from.

One `ResourceCache` per stored kind holds its objects as the bytes that the store holds, and the recent
changes. The store feeds it synchronously, in commit order, so a reader that has seen its own write's
answer sees it here. Nothing is decoded before somebody asks for a manifest.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.store import Change, Compacted, Entry, Store

from . import sharing

HISTORY_EVENTS = 4096
HISTORY_BYTES = 16 << 20
"""How much of the past one resource keeps for watches: whichever is less."""

DECODED_OBJECTS = 4096
"""How many manifests are kept beside their bytes, over all resources."""

ROOT = "/registry/"


class _Labelled(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Head(msgspec.Struct):
    """Just enough of an object to match label selectors without decoding all of it."""

    metadata: _Labelled


_decode_head = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


class Decoded:
    """Bounds the number of manifests that live beside their bytes; counts the work done."""

    def __init__(self, limit: int = DECODED_OBJECTS) -> None:
        self._limit = limit
        self._recent: deque[Stored] = deque()
        self.decodes = 0
        self.encodes = 0

    def decode(self, value: bytes) -> Manifest:
        """The object, which shares with others what it has in common with them."""
        self.decodes += 1
        return sharing.decoded(value)

    def encode(self, manifest: Any) -> bytes:
        self.encodes += 1
        return _encode(manifest)

    def remember(self, stored: Stored) -> None:
        self._recent.append(stored)
        if len(self._recent) > self._limit:
            self._recent.popleft().forget()


class Stored:
    """One version of one object: its bytes, and what was derived from them so far. Shared, never changed."""

    __slots__ = ("_decoded", "_labels", "_manifest", "key", "revision", "value")

    def __init__(
        self, key: str, value: bytes, revision: int, decoded: Decoded, manifest: Manifest | None = None
    ) -> None:
        self.key = key
        self.value = value
        self.revision = revision
        self._decoded = decoded
        self._manifest: Manifest | None = None
        self._labels: dict[str, str] | None = None
        if manifest is not None:
            self._manifest = manifest
            decoded.remember(self)

    @property
    def manifest(self) -> Manifest:
        """The object as JSON: shared, read-only."""
        if self._manifest is None:
            self._manifest = self._decoded.decode(self.value)
            self._decoded.remember(self)
        return self._manifest

    @property
    def known(self) -> Manifest | None:
        """The manifest, if it is there anyhow."""
        return self._manifest

    @property
    def labels(self) -> dict[str, str]:
        if self._labels is None:
            if self._manifest is not None:
                self._labels = self._manifest["metadata"].get("labels") or {}
            else:
                self._labels = _decode_head(self.value).metadata.labels or {}
        return self._labels

    @property
    def namespace(self) -> str:
        """Empty for cluster-scoped objects."""
        parts = self.key.split("/")
        return parts[4] if len(parts) > 5 else ""

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    def forget(self) -> None:
        """Back to bytes alone."""
        self._manifest = None

    def at(self, revision: int) -> Stored:
        """The same state under another resourceVersion, as watchers see the end of an object (A110)."""
        metadata = {**self.manifest["metadata"], "resourceVersion": str(revision)}
        manifest = {**self.manifest, "metadata": metadata}
        return Stored(self.key, self._decoded.encode(manifest), revision, self._decoded, manifest)


class Event:
    """One change: `old` is None for a creation; of a deletion, `new` is the last state at the deletion's revision."""

    __slots__ = ("_ended", "is_delete", "new", "old", "revision")

    def __init__(self, old: Stored | None, new: Stored, is_delete: bool) -> None:
        self.old = old
        self.new = new
        self.is_delete = is_delete
        self.revision = new.revision
        self._ended: Stored | None = None

    @property
    def ended(self) -> Stored:
        """What a watcher that loses sight of the object is shown: the last state it knew, at this revision."""
        if self._ended is None:
            self._ended = self.new if self.is_delete or self.old is None else self.old.at(self.revision)
        return self._ended


_revision_of = attrgetter("revision")


class ResourceCache:
    """The objects of one stored kind, and their recent changes."""

    def __init__(self, resource: Resource, revision: int, decoded: Decoded) -> None:
        self.resource = resource
        self.prefix = f"{ROOT}{resource.group or 'core'}/{resource.plural}/"
        self.objects: dict[str, Stored] = {}
        self.keys: list[str] = []
        """The keys of `objects`, in byte order (A95)."""
        self.oldest = revision
        """Every change after this revision is in `history`."""
        self.history: list[Event] = []
        self._history_bytes = 0
        self._decoded = decoded
        self._is_typed = resource.custom is None and resource.group in sharing.TYPED
        self._watchers: list[Callable[[Event], None]] = []

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix}{namespace}/{name}" if self.resource.namespaced else f"{self.prefix}{name}"

    def get(self, namespace: str, name: str) -> Stored | None:
        return self.objects.get(self.key(namespace, name))

    def select(self, namespace: str = "", after: str = "") -> Iterator[Stored]:
        """The objects of a namespace (all of them, if empty) in byte order, those with keys from `after` on."""
        first, end = self._span(namespace, after)
        return map(self.objects.__getitem__, map(self.keys.__getitem__, range(first, end)))

    def count(self, namespace: str = "", after: str = "") -> int:
        """How many `select` yields."""
        first, end = self._span(namespace, after)
        return max(0, end - first)

    def _span(self, namespace: str, after: str) -> tuple[int, int]:
        """The positions in `keys` that a selection begins at and ends before."""
        prefix = f"{self.prefix}{namespace}/" if namespace else self.prefix
        behind = prefix[:-1] + chr(ord("/") + 1)
        return bisect_left(self.keys, max(prefix, after)), bisect_left(self.keys, behind)

    def since(self, revision: int) -> Sequence[Event]:
        """The changes after `revision`, which must not lie before `oldest`."""
        return self.history[bisect_right(self.history, revision, key=_revision_of) :]

    def follow(self, watcher: Callable[[Event], None]) -> Callable[[], None]:
        """Calls `watcher` with every change from now on; it must not raise. Returns what ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def load(self, entries: Sequence[Entry]) -> None:
        """Fills an empty cache."""
        self.objects = {entry.key: Stored(entry.key, entry.value, entry.revision, self._decoded) for entry in entries}
        self.keys = sorted(self.objects)

    def prepend(self, events: Sequence[Event], oldest: int) -> None:
        """Adds a piece of the past that ends where the history begins."""
        self.history[:0] = events
        self._history_bytes += sum(len(event.new.value) for event in events)
        self.oldest = oldest

    def apply(self, change: Change, manifest: Manifest | None) -> None:
        """Takes over one committed change; `manifest` is what `change.value` decodes to, where it is known."""
        old = self.objects.get(change.key)
        if manifest is not None and self._is_typed:
            manifest = self._shared(change.key, old, manifest)
        new = Stored(change.key, change.value, change.revision, self._decoded, manifest)
        if change.is_delete:
            if old is not None:
                del self.objects[change.key]
                del self.keys[bisect_left(self.keys, change.key)]
        else:
            if old is None:
                insort(self.keys, change.key)
            self.objects[change.key] = new
        event = Event(old, new, change.is_delete)
        self._record(event)
        for watcher in tuple(self._watchers):
            watcher(event)

    def _shared(self, key: str, old: Stored | None, manifest: Manifest) -> Manifest | None:
        """The object with what it has in common with the state before; of a new one, with its neighbour in the order
        of names, which is of the same set if there is one. None if that would have to be decoded itself: then what the
        bytes decode to does as well, when somebody asks.
        """
        model = old or self._neighbour(key)
        if model is None:
            return manifest
        known = model.known
        return sharing.like(manifest, known) if known is not None else None

    def _neighbour(self, key: str) -> Stored | None:
        position = bisect_left(self.keys, key)
        return self.objects[self.keys[position - 1]] if position else None

    def _record(self, event: Event) -> None:
        self.history.append(event)
        self._history_bytes += len(event.new.value)
        if len(self.history) > 1.25 * HISTORY_EVENTS or self._history_bytes > 1.25 * HISTORY_BYTES:
            self._shorten()

    def _shorten(self) -> None:
        """Down to the limits; done in one go for many events, since it moves the list."""
        keep, kept_bytes = 0, 0
        for event in reversed(self.history):
            kept_bytes += len(event.new.value)
            if keep >= HISTORY_EVENTS or (keep and kept_bytes > HISTORY_BYTES):
                kept_bytes -= len(event.new.value)
                break
            keep += 1
        dropped = len(self.history) - keep
        self.oldest = self.history[dropped - 1].revision
        del self.history[:dropped]
        self._history_bytes = kept_bytes


def _prefix(key: str) -> str:
    return "/".join(key.split("/", 4)[:4]) + "/"


class Cache:
    """The caches of all stored kinds, and the revision they stand at."""

    def __init__(self, store: Store, resources: Sequence[Resource], decoded: Decoded | None = None) -> None:
        self.decoded = decoded or Decoded()
        self.store = store
        self.revision = store.revision
        self._by_prefix: dict[str, ResourceCache] = {}
        self._of: dict[int, ResourceCache] = {}
        self._written: dict[int, Manifest] = {}
        self._waiting: list[Callable[[int], None]] = []
        self._loaded = self.revision
        self._recovered: asyncio.Future[None] | None = None
        for resource in resources:
            cache = ResourceCache(resource, self.revision, self.decoded)
            cache.load(store.range(cache.prefix).entries)
            self._by_prefix[cache.prefix] = self._of[id(resource)] = cache
        self._stop = store.listen(self._changed)

    def close(self) -> None:
        self._stop()

    def of(self, resource: Resource) -> ResourceCache:
        """Raises NotFound for a kind whose definition is gone."""
        found = self._of.get(id(resource))
        if found is None:
            raise NotFound("the server could not find the requested resource", has_details=True)
        return found

    def add(self, alias: Resource, resource: Resource) -> None:
        """Serves `alias`, which is stored as `resource` (A261)."""
        self._of[id(alias)] = self._of[id(resource)]

    def serve(self, versions: Sequence[Resource]) -> None:
        """Holds the objects of one more kind, of which these are the versions."""
        objects = ResourceCache(versions[0], self.revision, self.decoded)
        known = self._by_prefix.get(objects.prefix)
        if known is not None and known.resource.namespaced == versions[0].namespaced:
            objects = known  # another form of the same objects
        else:
            objects.load(self.store.range(objects.prefix).entries)
        self._by_prefix[objects.prefix] = objects
        self._of |= {id(version): objects for version in versions}

    def forget(self, versions: Sequence[Resource]) -> None:
        """The opposite. The objects stay: they may come to be served in another form."""
        for version in versions:
            del self._of[id(version)]

    def all(self) -> Iterator[ResourceCache]:
        return iter(self._by_prefix.values())

    async def recover(self) -> None:
        """Fetches what the store still knows of the time before this cache, for watches begun then; once."""
        if self._recovered is None:
            self._recovered = asyncio.ensure_future(self._recover())
        await asyncio.shield(self._recovered)

    async def _recover(self) -> None:
        oldest = self.store.oldest_revision
        events: dict[str, list[Event]] = {prefix: [] for prefix in self._by_prefix}
        if oldest < self._loaded:
            changes = self.store.watch(ROOT, oldest)
            try:
                async for change in changes:
                    if change.revision > self._loaded:
                        break
                    if (prefix := _prefix(change.key)) in events:
                        events[prefix].append(self._event(change))
                    if change.revision == self._loaded:
                        break
            except Compacted:
                return
        for prefix, found in events.items():
            cache = self._by_prefix[prefix]
            if cache.oldest == self._loaded:
                cache.prepend(found, oldest)

    def _event(self, change: Change) -> Event:
        old = change.previous
        before = Stored(old.key, old.value, old.revision, self.decoded) if old is not None else None
        return Event(before, Stored(change.key, change.value, change.revision, self.decoded), change.is_delete)

    def announce(self, revision: int, manifest: Manifest) -> None:
        """Tells what the bytes of a coming change decode to, which the writer has just encoded."""
        self._written[revision] = manifest

    def announced(self, revision: int) -> Manifest | None:
        """What was announced for a change that is not committed yet."""
        return self._written.get(revision)

    def on_revision(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Calls `callback` with each new revision. Returns what ends it."""
        self._waiting.append(callback)
        return lambda: self._waiting.remove(callback) if callback in self._waiting else None

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.revision = change.revision
            manifest = self._written.pop(change.revision, None)
            if cache := self._by_prefix.get(_prefix(change.key)):
                cache.apply(change, manifest)
        for callback in tuple(self._waiting):
            callback(self.revision)
