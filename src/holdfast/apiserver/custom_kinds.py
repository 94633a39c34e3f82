"""Serves the kinds that definitions establish, from the moment they are established until they are gone (A199-A201).

It follows the watch cache, so that who has been told that a definition is established finds its kind served.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.custom.definition import is_established
from holdfast.api.errors import MethodNotAllowed
from holdfast.api.kinds import Kinds
from holdfast.api.metadata import is_terminating
from holdfast.api.resource import Manifest, Resource

from .cache import Cache, Event, ResourceCache

Ended = Callable[[ResourceCache, tuple[Resource, ...]], None]


class CustomKinds:
    """Keeps `kinds` and the cache in step with the definitions in the store.

    `ended` is called with what holds the objects of a kind that has changed or gone: its watches end, and their
    clients look again.
    """

    def __init__(
        self, kinds: Kinds, cache: Cache, ended: Callable[[ResourceCache, tuple[Resource, ...]], None]
    ) -> None:
        self._kinds = kinds
        self._cache = cache
        self._ended = ended
        self._serving: dict[str, tuple[Resource, ...]] = {}
        definitions = cache.of(CUSTOM_RESOURCE_DEFINITIONS)
        for stored in definitions.select():
            self._take(stored.manifest)
        definitions.follow(self._changed)

    def _changed(self, event: Event) -> None:
        if event.is_delete:
            self._kinds.forget(event.new.name)
            self._end(event.new.name)
        elif event.old is None or _served(event.old.manifest) != _served(event.new.manifest):
            self._take(event.new.manifest)

    def _take(self, definition: Manifest) -> None:
        name = definition["metadata"]["name"]
        resources = self._kinds.define(definition)
        self._end(name)
        if resources:
            self._serving[name] = resources
            self._cache.serve(resources)

    def _end(self, name: str) -> None:
        if before := self._serving.pop(name, ()):
            self._ended(self._cache.of(before[0]), before)
            self._cache.forget(before)


def _served(definition: Manifest) -> tuple[object, ...]:
    """What of a definition makes a difference to what is served."""
    status = definition.get("status") or {}
    return definition["spec"], status.get("acceptedNames"), is_established(definition)


def check_is_staying(cache: Cache, resource: Resource) -> None:
    """No more objects are made of a definition that is being deleted. Raises MethodNotAllowed."""
    assert resource.custom is not None
    stored = cache.of(CUSTOM_RESOURCE_DEFINITIONS).get("", resource.custom.definition)
    if stored is not None and is_terminating(stored.manifest):
        text = "create not allowed while custom resource definition is terminating"
        raise MethodNotAllowed(text, group=resource.group, kind=resource.plural)
