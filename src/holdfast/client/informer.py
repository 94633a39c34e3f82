"""A local, indexed, read-only view of one kind, kept by list and watch.

Objects in it are shared: whoever reads one must not change it. They lack managedFields, which the server keeps
whatever is written without them. Handlers run on the event loop, one after another, when the view already shows the
change they are told of.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from holdfast.api.errors import ApiError, Expired, Gone, Timeout
from holdfast.api.resource import Manifest, Resource
from holdfast.world import World

from . import Client, ObjectList, Unreachable, WatchEvent
from .defined_kinds import DefinedKinds, Told

log = logging.getLogger(__name__)

Handler = Callable[[Manifest | None, Manifest | None], None]
"""(old, new): old is None for an object that appeared, new is None for one that is gone."""

SLICE = 64
"""So many objects of a list are taken in before others have a turn."""
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0


def key_of(manifest: Manifest) -> str:
    """`namespace/name`, or `name` for what has no namespace."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name); the namespace is empty for what has none."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def revision_of(resource_version: str) -> int:
    """The number behind a resourceVersion; 0 for none."""
    return int(resource_version or 0)


class _Index:
    """Keys of `objects` by what `keys` makes of them; an object may have several values, or none."""

    def __init__(self, objects: Mapping[str, Manifest], keys: Callable[[Manifest], Iterable[str]]) -> None:
        self._objects = objects
        self._values_of = keys
        self._keys: dict[str, str | dict[str, None]] = {}
        """By value. Most values lead to one object, and need no set for it."""

    def replace(self, key: str, old: Manifest | None, new: Manifest | None) -> None:
        before = tuple(self._values_of(old)) if old is not None else ()
        after = tuple(self._values_of(new)) if new is not None else ()
        if before == after:
            return
        for value in set(before).difference(after):
            self._remove(value, key)
        for value in after:
            self._add(value, key)

    def _add(self, value: str, key: str) -> None:
        held = self._keys.setdefault(value, key)
        if isinstance(held, dict):
            held[key] = None
        elif held != key:
            self._keys[value] = {held: None, key: None}

    def _remove(self, value: str, key: str) -> None:
        held = self._keys[value]
        if isinstance(held, dict):
            del held[key]
        if not isinstance(held, dict) or not held:
            del self._keys[value]

    def get(self, value: str) -> list[Manifest]:
        held = self._keys.get(value, ())
        return [self._objects[key] for key in ((held,) if isinstance(held, str) else held)]


def _trimmed(manifest: Manifest) -> Manifest:
    """Without what is about writes, which no reader wants: of a pod that runs it is the larger part."""
    metadata = manifest["metadata"]
    if "managedFields" not in metadata:
        return manifest
    return {**manifest, "metadata": {name: metadata[name] for name in metadata if name != "managedFields"}}


def _namespace(manifest: Manifest) -> Iterable[str]:
    return (manifest["metadata"].get("namespace", ""),)


class Informer:
    """The view. `run` keeps it; everything else reads it and never waits, but where it says so."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        world: World,
        *,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
    ) -> None:
        self.resource = resource
        self.is_filtered = bool(namespace or field_selector or label_selector)
        self.revision = 0
        """Every change up to this revision is in the view."""
        self.on_subscribe: Callable[[Callable[[], None]], None] = lambda end: None
        self._client = client
        self._world = world
        self._namespace = namespace
        self._field_selector = field_selector
        self._label_selector = label_selector
        self._objects: dict[str, Manifest] = {}
        self._indexes: dict[str, _Index] = {"": _Index(self._objects, _namespace)}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    # Reading

    def get(self, key: str) -> Manifest | None:
        """The object at "namespace/name", or "name"."""
        return self._objects.get(key)

    def __len__(self) -> int:
        return len(self._objects)

    def add_index(self, name: str, keys: Callable[[Manifest], Iterable[str]]) -> None:
        """Makes objects findable by the values `keys` gives; a name that is taken keeps its first meaning."""
        if name in self._indexes:
            return
        index = self._indexes[name] = _Index(self._objects, keys)
        for key, manifest in self._objects.items():
            index.replace(key, None, manifest)

    def by_index(self, name: str, value: str) -> list[Manifest]:
        return self._indexes[name].get(value)

    def list(self, namespace: str = "") -> list[Manifest]:
        """All objects, or those of one namespace, in no order."""
        return self._indexes[""].get(namespace) if namespace else list(self._objects.values())

    # Following

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        """Calls `handler` for everything that is there, then for every change. Returns what ends it."""

        def end() -> None:
            if handler in self._handlers:
                self._handlers.remove(handler)

        self._handlers.append(handler)
        self.on_subscribe(end)
        for manifest in list(self._objects.values()):
            self._tell(handler, None, manifest)
        return end

    @property
    def synced(self) -> bool:
        """Whether the view has once been complete."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def knows(self, key: str, resource_version: str) -> bool:
        """Whether the view is at least as new as that write of the object at `key`, or of any other."""
        return self.revision >= revision_of(resource_version)

    def when_known(self, resource_version: str, call: Callable[[], None]) -> None:
        """Calls `call` once, as soon as the view is as new as that write; at once if it is already."""
        revision = revision_of(resource_version)
        if self.revision >= revision:
            call()
        else:
            heapq.heappush(self._waiting, (revision, next(self._order), call))

    async def wait_for(self, key: str, resource_version: str) -> None:
        """Returns as soon as the view is as new as that write of the object at `key`."""
        seen = asyncio.Event()
        self.when_known(resource_version, seen.set)
        await seen.wait()

    # Keeping it

    async def run(self) -> None:
        """Lists, then watches, for ever; lists again where history is gone, and backs off while there is no answer."""
        must_list = True
        delay_s = FIRST_DELAY_S
        while True:
            before = self.revision
            try:
                if must_list:
                    await self._relist()
                    must_list = False
                await self._watch()
            except (Expired, Gone, Timeout):
                must_list = True
            except Unreachable as error:
                log.debug("watch broke resource=%s error=%s", self.resource.qualified, error)
                must_list = must_list or await self._is_history_another()
            except ApiError as error:
                log.warning("watch refused resource=%s error=%s", self.resource.qualified, error)
            delay_s = FIRST_DELAY_S if self.revision != before else min(delay_s * 2, LONGEST_DELAY_S)
            await self._world.clock.sleep(delay_s * (1 + self._world.random.random()))

    async def _is_history_another(self) -> bool:
        """Whether a server that was away came back with lower revisions, as one does that keeps its store in memory.

        A watch from a revision of the future would wait without end (A109).
        """
        try:
            page = await self._client.list(self.resource, self._namespace, limit=1)
        except ApiError:
            return False
        return revision_of(page.resource_version) < self.revision

    async def _relist(self) -> None:
        page = await self._client.list(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        found = await self._taken(page)
        for key in [key for key in self._objects if key not in found]:
            self._replace(key, None)
        for number, (key, manifest) in enumerate(found.items(), 1):
            self._replace(key, manifest)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        is_another_history = revision_of(page.resource_version) < self.revision
        self.revision = revision_of(page.resource_version)
        self._synced.set()
        self._release(everything=is_another_history)

    async def _taken(self, page: ObjectList) -> dict[str, Manifest]:
        """The objects by key, out of a list that is emptied: what is trimmed takes the place of what it was made of."""
        items = page.items
        items.reverse()
        found: dict[str, Manifest] = {}
        while items:
            manifest = items.pop()
            found[key_of(manifest)] = _trimmed(manifest)
            if len(items) % SLICE == 0:
                await asyncio.sleep(0)
        return found

    async def _watch(self) -> None:
        events = self._client.watch(
            self.resource,
            self._namespace,
            resource_version=str(self.revision),
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        try:
            async for event in events:
                self._apply(event)
        finally:
            await _close(events)

    def _apply(self, event: WatchEvent) -> None:
        revision = revision_of(event.object["metadata"].get("resourceVersion", ""))
        if event.type != "BOOKMARK":
            last = _trimmed(event.object)
            self._replace(key_of(last), None if event.type == "DELETED" else last, last)
        self.revision = max(self.revision, revision)
        self._release()

    def _replace(self, key: str, new: Manifest | None, last: Manifest | None = None) -> None:
        """Puts `new` in the place of what was at `key`. Of a deletion, `last` is the state handlers see as old."""
        old = self._objects.get(key)
        if old is None and new is None:
            return
        if old is not None and new is not None:
            if old["metadata"].get("resourceVersion") == new["metadata"].get("resourceVersion"):
                return
            if old["metadata"].get("uid") != new["metadata"].get("uid"):
                self._replace(key, None)
                old = None
        if new is None:
            del self._objects[key]
        else:
            self._objects[key] = new
        for index in self._indexes.values():
            index.replace(key, old, new)
        before = last if new is None and last is not None else old
        for handler in tuple(self._handlers):
            self._tell(handler, before, new)

    def _tell(self, handler: Handler, old: Manifest | None, new: Manifest | None) -> None:
        try:
            handler(old, new)
        except Exception:
            # One part's mistake about one object must not end everybody's view of the kind.
            log.exception("handler failed resource=%s object=%s", self.resource.qualified, key_of(new or old or {}))

    def _release(self, *, everything: bool = False) -> None:
        while self._waiting and (everything or self._waiting[0][0] <= self.revision):
            heapq.heappop(self._waiting)[2]()


async def _close(events: AsyncIterator[Any]) -> None:
    """Ends a watch now rather than when the garbage collector comes to it."""
    aclose = getattr(events, "aclose", None)
    if aclose is not None:
        await aclose()


class Informers:
    """One informer per resource and options, shared by all who ask."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world
        self._informers: dict[tuple[Resource, str, str, str], Informer] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[tuple[Resource, str, str, str], asyncio.Task[None]] = {}
        self._collected: list[Callable[[], None]] | None = None
        self._defined: DefinedKinds | None = None

    def of(
        self, resource: Resource, *, namespace: str = "", field_selector: str = "", label_selector: str = ""
    ) -> Informer:
        """The informer for these options, made if need be; kept up to date while `run` runs."""
        options = (resource, namespace, field_selector, label_selector)
        informer = self._informers.get(options)
        if informer is None:
            informer = self._informers[options] = Informer(
                self._client,
                resource,
                self._world,
                namespace=namespace,
                field_selector=field_selector,
                label_selector=label_selector,
            )
            informer.on_subscribe = self._collect
            if self._group is not None:
                self._keep(options, informer)
        return informer

    def _keep(self, options: tuple[Resource, str, str, str], informer: Informer) -> None:
        assert self._group is not None
        self._tasks[options] = self._group.create_task(informer.run(), name=f"informer {informer.resource.qualified}")

    def drop(self, resource: Resource) -> None:
        """Ends the informer of a whole resource that is there no longer."""
        options = (resource, "", "", "")
        self._informers.pop(options, None)
        if (task := self._tasks.pop(options, None)) is not None:
            task.cancel()

    def follow_defined(self, came: Told, went: Told) -> DefinedKinds:
        """Tells of every kind that is defined, now and whenever one comes or goes."""
        if self._defined is None:
            collected, self._collected = self._collected, None  # it outlives the controller that asks first
            self._defined = DefinedKinds(self)
            self._collected = collected
        self._collect(self._defined.follow(came, went))
        return self._defined

    def whole(self, resource: Resource) -> Informer | None:
        """The informer that sees every object of the resource, if somebody asked for one."""
        return self._informers.get((resource, "", "", ""))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            for options, informer in self._informers.items():
                self._keep(options, informer)
            await asyncio.Event().wait()

    async def wait_synced(self) -> None:
        """Returns when every informer asked for so far has once been complete."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    @contextmanager
    def collecting(self) -> Iterator[list[Callable[[], None]]]:
        """What ends each subscription made inside the block: a controller that is torn down leaves nothing behind."""
        ends: list[Callable[[], None]] = []
        self._collected = ends
        try:
            yield ends
        finally:
            self._collected = None

    def _collect(self, end: Callable[[], None]) -> None:
        if self._collected is not None:
            self._collected.append(end)
