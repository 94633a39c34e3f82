"""The kinds that definitions have established, for parts that look at every kind there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.custom.definition import is_established, resources_of
from holdfast.api.kinds import is_built_in
from holdfast.api.resource import Manifest, Resource

if TYPE_CHECKING:
    from .informer import Informers

Told = Callable[[Resource], None]


class DefinedKinds:
    """Each kind once, in the served version that clients prefer; known as long as its definition is established.

    One that is served or scaled in another way goes, and comes anew.
    """

    def __init__(self, informers: Informers) -> None:
        self._informers = informers
        self._kinds: dict[str, Resource] = {}
        """By definition."""
        self._followers: list[tuple[Told, Told]] = []
        informers.of(CUSTOM_RESOURCE_DEFINITIONS).subscribe(self._on_definition)

    def follow(self, came: Told, went: Told) -> Callable[[], None]:
        """Tells of every kind that is known, then of what comes and goes. Returns what ends it.

        With a kind its informer goes: who looks at it stops to do so when told.
        """
        follower = (came, went)
        self._followers.append(follower)
        for resource in self._kinds.values():
            came(resource)
        return lambda: self._followers.remove(follower) if follower in self._followers else None

    def by_group_kind(self, group: str, kind: str) -> Resource | None:
        return next((one for one in self._kinds.values() if (one.group, one.kind) == (group, kind)), None)

    def _on_definition(self, old: Manifest | None, new: Manifest | None) -> None:
        definition = new or old
        assert definition is not None
        name = definition["metadata"]["name"]
        before, after = self._kinds.get(name), None if new is None else kind_of(new)
        if before is not None and after is not None and _told(before) == _told(after):
            return
        if before is not None:
            del self._kinds[name]
            for _, went in tuple(self._followers):
                went(before)
            self._informers.drop(before)
        if after is not None:
            self._kinds[name] = after
            for came, _ in tuple(self._followers):
                came(after)


def kind_of(definition: Manifest) -> Resource | None:
    """The served version that clients prefer; None if the definition is not established, or defines nothing new."""
    spec = definition["spec"]
    if not is_established(definition) or is_built_in(spec["group"], spec["names"]["plural"]):
        return None
    served = (each for each in resources_of(definition) if each.custom is not None and each.custom.is_served)
    return next(served, None)


def _told(resource: Resource) -> tuple[object, ...]:
    """What its followers go by."""
    names = resource.group, resource.version, resource.plural, resource.kind, resource.namespaced
    return (*names, resource.custom and resource.custom.scale)
