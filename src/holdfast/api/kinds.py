"""The kinds that are served: the built-in ones of the registry, and those that definitions add while a server runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import registry
from .custom.definition import is_established, preferred, resources_of
from .resource import Manifest, Resource

if TYPE_CHECKING:
    from .custom.resources import Look


class Kinds:
    """Looked up as the registry is. A built-in kind is never hidden by a definition of the same name."""

    def __init__(self, look: Look | None = None) -> None:
        """`look` finds objects in versions that a webhook makes; without it all versions are alike."""
        self._look = look
        self.revision = 0
        """One more whenever something has come, changed or gone."""
        self._custom: dict[str, tuple[Resource, ...]] = {}
        """By definition: every version, also those that are not served."""
        self._served: dict[tuple[str, str, str], Resource] = {}
        self._by_plural = registry.by_plural()
        self._versions = registry.groups()

    # -- looking up

    def lookup(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource behind `/apis/GROUP/VERSION/PLURAL`, the core group being empty."""
        return self._by_plural.get((group, version, plural))

    def versions(self, group: str) -> tuple[str, ...] | None:
        """The versions of a group, preferred first; None if nothing of it is served."""
        return self._versions.get(group)

    def is_custom(self, group: str) -> bool:
        """Whether definitions alone make up the group."""
        return group not in registry.groups()

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The versions of each group, preferred first: built-in groups, then the others by name."""
        return self._versions

    def in_group_version(self, group: str, version: str) -> tuple[Resource, ...]:
        custom = (each for each in self._served.values() if (each.group, each.version) == (group, version))
        return (*registry.in_group_version(group, version), *custom)

    def by_group_kind(self, group: str, kind: str) -> Resource | None:
        """The resource of any version: references are compared by group and kind only (A320)."""
        if (found := registry.by_group_kind(group, kind)) is not None:
            return found
        return next((each for each in self.custom() if (each.group, each.kind) == (group, kind)), None)

    def custom(self) -> Iterator[Resource]:
        """Every served version of every kind that is defined."""
        return iter(self._served.values())

    def own(self, resource: Resource) -> Resource | None:
        """What this server has for a resource that somebody else has made of the same definition, served or not."""
        if resource.custom is None:
            return resource
        return self.version_of(resource.custom.definition, resource.version)

    def version_of(self, definition: str, version: str) -> Resource | None:
        return next((each for each in self._custom.get(definition, ()) if each.version == version), None)

    # -- changing

    def define(self, definition: Manifest) -> tuple[Resource, ...]:
        """Takes over an established definition; all of its versions, none if the kind is built in."""
        spec = definition["spec"]
        if not is_established(definition) or is_built_in(spec["group"], spec["names"]["plural"]):
            self.forget(definition["metadata"]["name"])
            return ()
        resources = self._custom[definition["metadata"]["name"]] = resources_of(definition, self._look)
        self._changed()
        return resources

    def forget(self, definition: str) -> tuple[Resource, ...]:
        """What was served of the definition, and is no longer."""
        gone = self._custom.pop(definition, ())
        if gone:
            self._changed()
        return gone

    def _changed(self) -> None:
        self.revision += 1
        every = [each for _, of in sorted(self._custom.items()) for each in of]
        served = [each for each in every if each.custom is not None and each.custom.is_served]
        self._served = {(each.group, each.version, each.plural): each for each in served}
        self._by_plural = {**self._served, **registry.by_plural()}
        self._versions = {**registry.groups(), **_versions(served)}


def _versions(served: list[Resource]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, set[str]] = {}
    for each in served:
        groups.setdefault(each.group, set(registry.groups().get(each.group, ()))).add(each.version)
    return {group: tuple(preferred(groups[group])) for group in sorted(groups)}


def is_built_in(group: str, plural: str) -> bool:
    """Whether a kind of that name is served without a definition, in whatever version."""
    return any((each.group, each.plural) == (group, plural) for each in registry.RESOURCES)


BUILT_IN = Kinds()
"""Of a server to which nothing was added."""
