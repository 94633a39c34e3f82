"""Objects of custom kinds in versions that only a webhook can make of one another (A209).

Reading is synchronous here, and a webhook is not. So what an object looks like in the other versions is found out
before it is stored, for those that watch, and before every other read; readers find it in memory. What could not be had
is told whoever asks for that version; who asks for the one in which it is stored gets it all the same.

A write waits for what it does not need itself only as long as its webhook keeps up: one that hangs holds up those who
ask for its work, as upstream, and nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from holdfast.api.errors import ApiError
from holdfast.api.kinds import Kinds
from holdfast.api.resource import Manifest, Resource
from holdfast.world import World

from .bodies import copied
from .options import PlainError

if TYPE_CHECKING:
    from holdfast.api.custom.resources import Custom

    from .admission.dynamic.calling import Callers

log = logging.getLogger(__name__)

KEPT = 20_000
"""So many forms of objects are kept, those that were needed last; no list may be longer."""
AT_ONCE = 500
"""Objects of one review."""
TIMEOUT_S = 30
GRACE_S = 1.0
"""So long a write waits for the forms that others may want to see."""
MOST_LATE = 16
"""So many forms for others are asked for while a webhook does not keep up."""

Forms = Mapping[str, asyncio.Future[Manifest | None]]
"""An object in other versions, by apiVersion: None where it cannot be had."""


class Conversions:
    """What is known of objects' other forms."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[tuple[str, str, str], Manifest] = {}
        """By version, uid and resourceVersion."""
        self._kinds: Kinds
        self._make: Callable[[], Callers]
        self._callers: Callers | None = None
        self._slow: set[str] = set()
        """Definitions whose webhook did not answer in time when it was last waited for."""
        self._late: set[asyncio.Future[Manifest | None]] = set()
        self._coming: dict[tuple[str, str, str], asyncio.Future[Manifest | None]] = {}
        """As `_known`: what is still asked for, of objects that are stored."""

    def open(self, kinds: Kinds, callers: Callable[[], Callers]) -> None:
        """`callers` makes what asks webhooks, when the first is to be asked."""
        self._kinds, self._make = kinds, callers

    async def close(self) -> None:
        late = tuple(self._late)
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if self._callers is not None:
            await self._callers.close()

    def look(self, manifest: Manifest, target: str) -> Manifest:
        """A stored object in another version. Raises PlainError if nobody has found out."""
        key = _key(manifest, target)
        if (found := self._known.pop(key, None)) is None:
            raise PlainError(f"{_failed(manifest)}: the object is not available as {target}")
        self._known[key] = found
        return found

    def is_known(self, resource: Resource, manifest: Manifest) -> bool:
        """Whether a stored object can be looked at in the version of `resource`."""
        api_version = resource.api_version
        return manifest["apiVersion"] == api_version or _key(manifest, api_version) in self._known

    def coming(self, resource: Resource, manifest: Manifest) -> asyncio.Future[Manifest | None] | None:
        """Of a stored object in the version of `resource`: what ends when it is known, if it is yet to come."""
        return self._coming.get(_key(manifest, resource.api_version))

    async def find_out(self, resource: Resource, manifests: Iterable[Manifest]) -> None:
        """Sees to it that stored objects can be looked at in the version of `resource`, as they look like now.

        Raises PlainError.
        """
        custom = resource.custom
        assert custom is not None
        wanted = {
            _key(each, custom.api_version): each for each in manifests if each["apiVersion"] != custom.api_version
        }
        for source in dict.fromkeys(each["apiVersion"] for each in wanted.values()):
            same = [self._fitting(custom, each) for each in wanted.values() if each["apiVersion"] == source]
            for begin in range(0, len(same), AT_ONCE):
                part = same[begin : begin + AT_ONCE]
                for before, after in zip(part, await self.convert(custom, part, custom.api_version), strict=True):
                    self._keep(_key(before, custom.api_version), after)

    async def convert(self, custom: Custom, objects: Sequence[Manifest], target: str) -> list[Manifest]:
        """Objects of one version in another. Raises PlainError."""
        assert custom.conversion is not None
        if not objects or objects[0]["apiVersion"] == target:
            return list(objects)
        from . import conversion_reviews as reviews
        from .admission.dynamic.refusals import CallFailed
        from .admission.dynamic.targets import target_of

        self._callers = callers = self._callers or self._make()
        versions = custom.conversion.get("conversionReviewVersions") or ()
        version = next((each for each in versions if each in reviews.VERSIONS), "v1")
        uid = self._world.new_uid()
        body = reviews.review(uid, version, target, objects)
        try:
            answer = await callers.post(target_of(custom.conversion["clientConfig"]), body, TIMEOUT_S)
            return reviews.converted(answer, uid, target, objects)
        except CallFailed as error:
            raise PlainError(f"{_failed(objects[0])}: {str(error).removeprefix('failed to call webhook: ')}") from None
        except reviews.Unusable as error:
            raise PlainError(f"{_failed(objects[0])}: {error}") from None

    def _fitting(self, custom: Custom, manifest: Manifest) -> Manifest:
        """An object in the form of today's schema of its own version."""
        version = manifest["apiVersion"].rpartition("/")[2]
        own = self._kinds.version_of(custom.definition, version)
        return manifest if own is None or own.custom is None else own.custom.read(manifest)

    async def to_store(self, custom: Custom, manifest: Manifest) -> tuple[Manifest, Forms]:
        """An object as it is stored, and in the other served versions. Raises PlainError.

        Whoever writes in one of these waits for it, as long as it takes; for the rest, no longer than GRACE_S.
        """
        (stored,) = await self.convert(custom, [manifest], custom.storage_api_version)
        stored = self._fitting(custom, stored)
        own = custom.api_version
        forms = {other: self._asked(custom, stored, other) for other in self._others(custom)
                 if other == own or len(self._late) < MOST_LATE}  # fmt: skip
        if own in forms:
            await asyncio.wait([forms[own]])
        if forms and custom.definition not in self._slow:
            _, late = await asyncio.wait(forms.values(), timeout=GRACE_S)
            if late:
                log.warning("a conversion webhook does not keep up definition=%s", custom.definition)
                self._slow.add(custom.definition)
        return copied(stored), forms

    def _others(self, custom: Custom) -> list[str]:
        """The versions that are served and not stored."""
        served = (each.custom for each in self._kinds.custom() if each.custom is not None)
        return [
            each.api_version
            for each in served
            if each.definition == custom.definition and each.api_version != custom.storage_api_version
        ]

    def _asked(self, custom: Custom, stored: Manifest, target: str) -> asyncio.Future[Manifest | None]:
        task = asyncio.ensure_future(self._other(custom, stored, target))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return task

    async def _other(self, custom: Custom, stored: Manifest, target: str) -> Manifest | None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            (found,) = await self.convert(custom, [stored], target)
        except ApiError as error:
            log.warning("an object cannot be shown in a version version=%s error=%s", target, error)
            return None
        finally:
            if loop.time() - begun < GRACE_S:
                self._slow.discard(custom.definition)
        return found

    def remember(self, stored: Manifest, forms: Forms) -> None:
        """The other forms of an object that has just got its resourceVersion; late ones when they come."""
        revision = stored["metadata"]["resourceVersion"]

        def keep(target: str, form: asyncio.Future[Manifest | None]) -> None:
            key = _key(stored, target)
            self._coming.pop(key, None)
            if not form.cancelled() and (found := form.result()) is not None:
                self._keep(key, {**found, "metadata": {**found["metadata"], "resourceVersion": revision}})

        for target, form in forms.items():
            if form.done():
                keep(target, form)
            else:
                self._coming[_key(stored, target)] = form
                form.add_done_callback(partial(keep, target))

    def _keep(self, key: tuple[str, str, str], form: Manifest) -> None:
        self._known[key] = form
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]


def is_converting(resource: Resource) -> bool:
    """A webhook makes one version of another."""
    return resource.custom is not None and resource.custom.conversion is not None


def _key(manifest: Manifest, target: str) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return target, metadata.get("uid", ""), metadata.get("resourceVersion", "")


def _failed(manifest: Manifest) -> str:
    return f"conversion webhook for {manifest['apiVersion']}, Kind={manifest['kind']} failed"
