"""The verbs as one object, for requests from the network and for parts in this process alike.

It knows neither HTTP nor who may do what: callers were let in before. Reading is synchronous. Of a write,
everything up to the hand-over to the store happens without awaiting, so that what was decided on is still
the latest when the store checks it; unless webhooks are asked, for which a write waits (`verbs/reviewed.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any

from holdfast.api.core.component_status import COMPONENT_STATUSES
from holdfast.api.errors import InternalError, NotFound
from holdfast.api.kinds import BUILT_IN, Kinds
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time
from holdfast.store import Entry, NoRoom, Store
from holdfast.wire.client import Dial
from holdfast.world import World

from . import components
from .admission import Admission
from .admission.dynamic import Dynamic
from .allocation import Allocation
from .auth.account_tokens import AccountTokens
from .auth.authorization import Authorizer
from .cache import Cache, ResourceCache, Stored
from .call import Call
from .conversion import is_converted, served, stored
from .conversion_webhooks import Conversions, Forms, is_converting
from .options import DeleteOptions, ListOptions
from .patches import Patch
from .verbs import (
    applying,
    binding,
    collection,
    create,
    delete,
    eviction,
    patching,
    reading,
    reviewed,
    scale,
    token,
    update,
)
from .verbs.verdicts import Verdicts
from .views import Listed

READ_AGAIN = 3
"""Times that a read looks for what has changed while a webhook was at work."""


class Api:
    """What the verbs share, and the verbs."""

    def __init__(
        self,
        store: Store,
        world: World,
        cache: Cache,
        allocation: Allocation,
        authorizer: Authorizer,
        account_tokens: AccountTokens,
        kinds: Kinds = BUILT_IN,
        to_pods: Callable[[], Dial | None] = lambda: None,
        conversions: Conversions | None = None,
    ) -> None:
        self.store = store
        self.world = world
        self.cache = cache
        self.kinds = kinds
        self.authorizer = authorizer
        self.admission = Admission(cache, world, authorizer)
        self.conversions = conversions or Conversions(world)
        """Of custom kinds that have a webhook for it."""
        self.dynamic = Dynamic(cache, world, authorizer, kinds, to_pods, self.conversions.convert)
        self.allocation = allocation
        self.account_tokens = account_tokens
        self.verdicts = Verdicts()
        self.components = dict.fromkeys(components.NAMES, components.not_there)
        """What componentstatuses shows, by name. Whoever runs a component puts in how it is."""
        self._now: tuple[datetime | None, str] = (None, "")

    # -- what the verbs build on

    def objects(self, resource: Resource) -> ResourceCache:
        return self.cache.of(resource)

    def now(self) -> str:
        """The time, as objects carry it; written out once a second."""
        second = self.world.clock.now().replace(microsecond=0)
        if second != self._now[0]:
            self._now = second, format_time(second)
        return self._now[1]

    def latest(self, call: Call) -> Stored | None:
        """The object as last assigned, which may be ahead of what readers see."""
        objects = self.objects(call.resource)
        entry = self.store.latest(objects.key(call.namespace, call.name))
        if entry is None:
            return None
        found = objects.objects.get(entry.key)
        if found is None or found.revision != entry.revision:
            found = self._stored(entry, self.cache.announced(entry.revision))
        if is_converted(call.resource) and (shown := served(call.resource, found.manifest)) is not found.manifest:
            return Stored(entry.key, self.cache.decoded.encode(shown), entry.revision, self.cache.decoded, shown)
        return found

    def _stored(self, entry: Entry, manifest: Manifest | None) -> Stored:
        return Stored(entry.key, entry.value, entry.revision, self.cache.decoded, manifest)

    async def unsaved(self, call: Call, manifest: Manifest) -> Stored:
        """An answer that was not stored, or no longer is: as the call shows it, where a webhook makes that."""
        manifest, forms = await self._to_store(call, manifest)
        own = forms.get(call.resource.api_version)
        manifest = (own and own.result()) or manifest
        key = self.objects(call.resource).key(call.namespace, manifest["metadata"]["name"])
        return Stored(key, self.cache.decoded.encode(manifest), 0, self.cache.decoded, manifest)

    async def write(self, call: Call, manifest: Manifest, expected: int) -> Stored:
        """Stores `manifest`, which becomes shared, under its own name. Raises RevisionMismatch."""
        forms: Forms = {}
        if is_converting(call.resource):
            manifest, forms = await self._to_store(call, manifest)
        else:
            manifest = stored(call.resource, manifest)
        objects = self.objects(call.resource)
        key = objects.key(call.namespace, manifest["metadata"]["name"])
        with _no_room_told():
            entry = await self.store.write(key, self._encoder(manifest, forms), expected=expected)
        current = objects.objects.get(key)
        if current is not None and current.revision == entry.revision:
            return current
        return Stored(key, entry.value, entry.revision, self.cache.decoded, manifest)

    async def remove(self, call: Call, last: Manifest, expected: int) -> Stored:
        """Removes the object; watchers see `last`. Raises RevisionMismatch."""
        last, forms = await self._to_store(call, {**last, "metadata": {**last["metadata"]}})
        key = self.objects(call.resource).key(call.namespace, last["metadata"]["name"])
        with _no_room_told():
            change = await self.store.delete(key, self._encoder(last, forms), expected=expected)
        return Stored(key, change.value, change.revision, self.cache.decoded, last)

    async def _to_store(self, call: Call, manifest: Manifest) -> tuple[Manifest, Forms]:
        """An object as it is stored, and its other forms where a webhook makes them."""
        custom = call.resource.custom
        if custom is None or custom.conversion is None:
            return stored(call.resource, manifest), {}
        return await self.conversions.to_store(custom, manifest)

    async def find_out(self, call: Call, *, is_of_all: bool = False, since: int | None = None) -> None:
        """Before a call reads objects that a webhook has to convert: one, or all and what they were since a revision.

        Raises PlainError.
        """
        resource = call.resource
        await self.conversions.find_out(resource, self._read(call, is_of_all, since))
        for _ in range(READ_AGAIN):  # what changed meanwhile, if its writer did not wait for the webhook
            missing = [
                one for one in self._read(call, is_of_all, since) if not self.conversions.is_known(resource, one)
            ]
            if not missing:
                return
            await self.conversions.find_out(resource, missing)

    def _read(self, call: Call, is_of_all: bool, since: int | None) -> list[Manifest]:
        """The stored objects that a call is about to read."""
        objects = self.objects(call.resource)
        if not is_of_all:
            latest = self.store.latest(objects.key(call.namespace, call.name))
            entries = [] if latest is None else [self._stored(latest, self.cache.announced(latest.revision))]
            if (seen := objects.get(call.namespace, call.name)) is not None:
                entries.append(seen)
        else:
            entries = list(objects.select(call.namespace))
            if since is not None and since >= objects.oldest:
                entries += [event.new for event in objects.since(since)]
        return [each.manifest for each in entries]

    def _encoder(self, manifest: Manifest, forms: Forms) -> Any:
        """Encodes once; the cache is told what the bytes mean."""

        def encode(revision: int) -> bytes:
            manifest["metadata"]["resourceVersion"] = str(revision)
            if forms:
                self.conversions.remember(manifest, forms)
            self.cache.announce(revision, manifest)
            return self.cache.decoded.encode(manifest)

        return encode

    # -- the verbs

    def get(self, call: Call) -> Stored:
        if call.resource is COMPONENT_STATUSES:
            return components.get(self, call)
        return reading.get(self, call)

    def list(self, call: Call, options: ListOptions) -> Listed:
        return reading.finished(self.listing(call, options))

    def listing(self, call: Call, options: ListOptions) -> reading.Steps[Listed]:
        """The same with pauses, for many objects."""
        if call.resource is COMPONENT_STATUSES:
            return components.listed(self, call, options)
        return (yield from reading.listing(self, call, options))

    async def create(self, call: Call, manifest: Manifest) -> Stored:
        return await create.create(self, call, manifest)

    async def update(self, call: Call, manifest: Manifest) -> tuple[Stored, bool]:
        """The object, and whether it was created (A77)."""
        if is_converting(call.resource):
            await self.find_out(call)
        return await update.update(self, call, manifest)

    async def patch(self, call: Call, change: Patch) -> Stored:
        if is_converting(call.resource):
            await self.find_out(call)
        return await patching.patch(self, call, change)

    async def apply(self, call: Call, config: Manifest) -> tuple[Stored, bool]:
        """The object, and whether it was created (A133)."""
        if is_converting(call.resource):
            await self.find_out(call)
        return await applying.apply(self, call, config)

    async def delete(self, call: Call, options: DeleteOptions) -> delete.Outcome:
        if is_converting(call.resource):
            await self.find_out(call)
        return await delete.delete(self, call, options)

    async def delete_collection(self, call: Call, selection: ListOptions, options: DeleteOptions) -> Listed:
        if is_converting(call.resource):
            await self.find_out(call, is_of_all=True)
        return await collection.delete_collection(self, call, selection, options)

    def get_scale(self, call: Call) -> Manifest:
        return scale.get(self, call)

    async def update_scale(self, call: Call, manifest: Manifest) -> Manifest:
        if is_converting(call.resource):
            await self.find_out(call)
        return await scale.put(self, call, manifest)

    async def patch_scale(self, call: Call, change: Patch) -> Manifest:
        if is_converting(call.resource):
            await self.find_out(call)
        return await scale.patch(self, call, change)

    async def create_below(self, call: Call, manifest: Manifest) -> Manifest:
        """POST to a subresource. Raises NotFound for one that takes none."""
        act = BELOW.get(call.subresource)
        if act is None:
            raise NotFound("the server could not find the requested resource", has_details=True)
        if self.dynamic.is_active:
            manifest = await reviewed.below(self, call, manifest)
        return await act(self, call, manifest)


@contextlib.contextmanager
def _no_room_told() -> Iterator[None]:
    """Raises InternalError in place of what the store says."""
    try:
        yield
    except NoRoom as error:
        raise InternalError(str(error)) from error


BELOW: dict[str, Callable[[Api, Call, Manifest], Awaitable[Manifest]]] = {
    "binding": binding.bind,
    "eviction": eviction.evict,
    "token": token.request,
}
