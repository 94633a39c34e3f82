"""Which objects a list or a watch is about, and what a change means to who sees only those (A102-A105, A110)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from holdfast.api.errors import BadRequest, show
from holdfast.api.resource import Manifest, Resource
from holdfast.api.selectors import FieldSelector, LabelSelector, parse_field_selector, parse_label_selector

from .cache import Event, ResourceCache, Stored
from .conversion import served

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]

NAME, NAMESPACE = "metadata.name", "metadata.namespace"


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a resource's objects. Equal selections are equal values: watchers are grouped by them."""

    resource: Resource
    namespace: str
    name: str
    labels: LabelSelector
    fields: FieldSelector

    @property
    def has_selector(self) -> bool:
        """Objects have to be looked into, beyond their keys."""
        return bool(self.fields.requirements) or not self.labels.is_empty

    def candidates(self, objects: ResourceCache) -> Iterable[Stored]:
        """Those that can be selected by where they are: no more than one if that is said."""
        if not self.name:
            return objects.select(self.namespace)
        if objects.resource.namespaced and not self.namespace:
            return (one for one in objects.select() if one.name == self.name)
        one = objects.get(self.namespace, self.name)
        return () if one is None else (one,)

    def among(self, found: Iterable[Stored]) -> Iterable[Stored]:
        """Those of the objects, which lie in the namespace, that are selected."""
        if self.fields.requirements:
            return (one for one in found if self.matches(one))
        if self.labels.is_empty:
            return found
        matches = self.labels.matches
        return (one for one in found if matches(one.labels))

    def matches(self, stored: Stored) -> bool:
        """Whether the object, which lies in the namespace, is selected."""
        if not self.labels.is_empty and not self.labels.matches(stored.labels):
            return False
        if not self.fields.requirements:
            return True
        manifest = stored.manifest
        return self.fields.matches(lambda name: field_of(self.resource, manifest, name))


def field_of(resource: Resource, manifest: Manifest, name: str) -> str:
    if name == NAME:
        return str(manifest["metadata"]["name"])
    if name == NAMESPACE:
        return str(manifest["metadata"].get("namespace", ""))
    return resource.fields[name](served(resource, manifest))


def select(resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Selection:
    """Raises BadRequest for selectors that do not parse or name unknown fields."""
    labels = parse_label_selector(label_selector)
    fields = parse_field_selector(field_selector)
    for requirement in fields.requirements:
        _check_field(resource, requirement.field)
    name = fields.exact(NAME) or ""
    return Selection(resource, namespace or _namespace_in(resource, fields), name, labels, fields)


def _check_field(resource: Resource, name: str) -> None:
    if name in (NAME, NAMESPACE) or name in resource.fields:
        return
    if resource.fields or resource.custom is not None:
        raise BadRequest(f"field label not supported: {name}")
    raise BadRequest(f'{show(name)} is not a known field selector: only "{NAME}", "{NAMESPACE}"')


def _namespace_in(resource: Resource, fields: FieldSelector) -> str:
    return (fields.exact(NAMESPACE) or "") if resource.namespaced else ""


def seen(selection: Selection, event: Event) -> tuple[EventType, Stored] | None:
    """What a watcher of `selection` is told of a change in its namespace, or None."""
    if not selection.has_selector:
        if event.is_delete:
            return "DELETED", event.new
        return ("ADDED" if event.old is None else "MODIFIED"), event.new
    was = event.old is not None and selection.matches(event.old)
    if event.is_delete:
        return ("DELETED", event.new) if was else None
    if selection.matches(event.new):
        return ("MODIFIED" if was else "ADDED"), event.new
    return ("DELETED", event.ended) if was else None


def within(selection: Selection, event: Event) -> bool:
    """Whether the change is in the namespace, and to the name, that the selection is about."""
    return (not selection.namespace or event.new.namespace == selection.namespace) and (
        not selection.name or event.new.name == selection.name
    )
