"""The client of parts in the API server's own process: the verbs themselves, with nothing encoded twice or decoded.

It reads its own writes: what a call has answered, the next one and every watch has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from holdfast.api.errors import Expired, NotFound, ServiceUnavailable
from holdfast.api.resource import Manifest, Resource
from holdfast.client import ObjectList, PatchType, WatchEvent

from .api import Api
from .auth.reviews import Reviewer, is_review
from .auth.user import User
from .bodies import copied, decoded_locally
from .call import Call
from .conversion import served
from .conversion_webhooks import is_converting
from .options import DeleteOptions, ListOptions, WriteOptions
from .patches import Patch
from .selection import seen, select, within
from .verbs import scale

if TYPE_CHECKING:
    from .metrics import Metrics

SLICE = 32
"""So many objects are decoded before others have a turn."""

TRUSTED = WriteOptions(field_validation="Ignore")
FORCED = WriteOptions(field_validation="Ignore", force=True)
"""Of an apply: controllers own what they apply."""


class LocalClient:
    """Implements `holdfast.client.Client`. It may do everything: it is part of the server."""

    def __init__(self, api: Api, user: User, reviewer: Reviewer, metrics: Callable[[], Metrics | None]) -> None:
        """`metrics` has what is measured and not stored, where there is anything to measure."""
        self._api = api
        self._user = user
        self._reviewer = reviewer
        self._metrics = metrics
        self._manager = user.name.removeprefix("system:")

    def _call(self, resource: Resource, namespace: str, name: str, subresource: str = "") -> Call:
        resource = self._own(resource)
        namespace = namespace if resource.namespaced else ""
        return Call(self._user, resource, namespace, name, subresource, TRUSTED, manager=self._manager)

    def _own(self, resource: Resource) -> Resource:
        """What the server has for a resource that its caller has made of a definition. Raises NotFound."""
        own = self._api.kinds.own(resource)
        if own is None:
            raise NotFound("the server could not find the requested resource", has_details=True)
        return own

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Manifest:
        call = self._call(resource, namespace, name, subresource)
        if is_converting(call.resource):
            await self._api.find_out(call)
        if subresource == "scale":
            return self._api.get_scale(call)
        return served(call.resource, self._api.get(call).manifest)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        options = ListOptions(
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            limit=limit,
            continue_token=continue_token,
        )
        call = self._call(resource, namespace, "")
        if call.resource.is_measured:
            return await self._measured(call, options)
        if is_converting(call.resource):
            await self._api.find_out(call, is_of_all=True)
        found = self._api.list(call, options)
        items: list[Manifest] = []
        for begin in range(0, len(found.items), SLICE):
            if begin:
                await asyncio.sleep(0)  # what has to be decoded first takes its time
            items += [served(call.resource, one.manifest) for one in found.items[begin : begin + SLICE]]
        return ObjectList(items, str(found.revision), found.continue_token)

    async def _measured(self, call: Call, options: ListOptions) -> ObjectList:
        metrics = self._metrics()
        if metrics is None:
            what = f"{call.resource.plural}.{call.resource.group}"
            raise ServiceUnavailable(f"the server is currently unable to handle the request (get {what})")
        kind = {"kind": call.resource.kind, "apiVersion": call.resource.api_version}
        return ObjectList([{**kind, **one} for one in await metrics.list(call, options)], "")

    async def create(
        self, resource: Resource, manifest: Manifest, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Manifest:
        metadata = manifest.get("metadata") or {}
        namespace = namespace or metadata.get("namespace", "")
        call = self._call(resource, namespace, name or metadata.get("name", ""), subresource)
        if subresource:
            return await self._api.create_below(call, copied(manifest))
        if is_review(call.resource):
            return self._reviewer.review(call, copied(manifest))
        return served(call.resource, (await self._api.create(call, decoded_locally(call.resource, manifest))).manifest)

    async def update(self, resource: Resource, manifest: Manifest, *, subresource: str = "") -> Manifest:
        metadata = manifest["metadata"]
        call = self._call(resource, metadata.get("namespace", ""), metadata["name"], subresource)
        if subresource == "scale":
            return await self._api.update_scale(call, copied(manifest))
        stored, _ = await self._api.update(call, decoded_locally(call.resource, manifest))
        return served(call.resource, stored.manifest)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Manifest:
        call = self._call(resource, namespace, name, subresource)
        if type is PatchType.APPLY:
            call.options = FORCED
            stored, _ = await self._api.apply(call, copied(patch))
            return (scale.of if subresource == "scale" else served)(call.resource, stored.manifest)
        change = Patch(str(type), patch)
        if subresource == "scale":
            return await self._api.patch_scale(call, change)
        return served(call.resource, (await self._api.patch(call, change)).manifest)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_period_s: int | None = None,
        propagation: str = "",
    ) -> Manifest:
        options = DeleteOptions(grace_period_s, propagation, uid, resource_version)
        call = self._call(resource, namespace, name)
        outcome = await self._api.delete(call, options)
        return served(call.resource, outcome.stored.manifest)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        resource = self._own(resource)
        selection = select(resource, namespace, label_selector, field_selector)
        objects = self._api.objects(resource)
        if is_converting(resource):
            since = int(resource_version) if resource_version else None
            await self._api.find_out(self._call(resource, namespace, ""), is_of_all=True, since=since)
        news = asyncio.Event()
        unfollow = objects.follow(lambda event: news.set())
        try:
            if resource_version in ("", "0"):
                position = self._api.cache.revision
                for stored in selection.among(list(selection.candidates(objects))):
                    yield WatchEvent("ADDED", served(resource, stored.manifest))
                metadata = {"resourceVersion": str(position)}
                bookmark = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
                yield WatchEvent("BOOKMARK", bookmark)
            else:
                position = int(resource_version)
                if position < objects.oldest:
                    await self._api.cache.recover()
            while True:
                if position < objects.oldest:
                    raise Expired(f"too old resource version: {position} ({objects.oldest})")
                news.clear()
                for event in objects.since(position):
                    position = event.revision
                    if within(selection, event) and (shown := seen(selection, event)):
                        if (coming := self._api.conversions.coming(resource, shown[1].manifest)) is not None:
                            await asyncio.wait([coming])
                        yield WatchEvent(shown[0], served(resource, shown[1].manifest))
                await news.wait()
        finally:
            unfollow()


async def exists(client: LocalClient, resource: Resource, name: str, namespace: str = "") -> bool:
    """Whether there is such an object."""
    try:
        await client.get(resource, name, namespace)
    except NotFound:
        return False
    return True
