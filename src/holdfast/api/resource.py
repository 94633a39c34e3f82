"""What a kind is: one `Resource` constant per kind, in `api/<group>/<kind>.py`, below the functions it names.

Routes, discovery, OpenAPI, validation, selectors and printed columns all come from it. The registry
(`api/registry.py`) lists every constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .errors import FieldError

if TYPE_CHECKING:
    from .custom.resources import Custom

Manifest = dict[str, Any]
"""An object's JSON. One that was read from anywhere is shared: treat it as immutable, copy the path you change."""

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One printed column; `priority` 1 shows with `-o wide` only."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    documents: str = ""
    """The schema's field that the column shows and whose text describes it, as `core.v1.PodStatus.podIP`."""
    text: str = ""
    """A description of its own, where the column shows no one field."""

    @property
    def description(self) -> str:
        from .descriptions import description_of

        return self.text or description_of(self.documents)


@dataclass(frozen=True, slots=True)
class Subresource:
    """`/NAME` below an object. `kind` is set where the body is of another kind, such as Scale."""

    name: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    kind: str = ""
    group: str = ""
    version: str = ""


STATUS = Subresource("status")
SCALE = Subresource("scale", kind="Scale", group="autoscaling", version="v1")


def _nothing(manifest: Manifest) -> None:
    """No defaults, no preparation."""


def _nothing_on_update(new: Manifest, old: Manifest) -> None:
    """No preparation."""


def _no_errors(manifest: Manifest) -> list[FieldError]:
    return []


def _no_update_errors(new: Manifest, old: Manifest) -> list[FieldError]:
    return []


def name_cells(manifest: Manifest, now: datetime) -> list[Any]:
    """Name and Age, for kinds without columns of their own."""
    from .table import age

    return [manifest["metadata"]["name"], age(manifest["metadata"].get("creationTimestamp"), now)]


NAME = Column("Name", format="name", documents="meta.v1.ObjectMeta.name")
AGE = Column("Age", documents="meta.v1.ObjectMeta.creationTimestamp")
NAME_COLUMNS = (NAME, AGE)
CREATED_COLUMNS = (NAME, Column("Created At", "date", documents="meta.v1.ObjectMeta.creationTimestamp"))


def created_cells(manifest: Manifest, now: datetime) -> list[Any]:
    """Name and the time of creation, which clients turn into an age."""
    return [manifest["metadata"]["name"], manifest["metadata"].get("creationTimestamp")]


@dataclass(frozen=True, slots=True)
class StoredAs:
    """Another kind whose objects these are. Both functions return a new manifest and leave the given one alone."""

    resource: Resource
    write: Callable[[Manifest], Manifest]
    """From an object of this kind to the stored one."""
    read: Callable[[Manifest], Manifest]
    """From a stored object to one of this kind."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Resource:
    """All that the API server needs to know of a kind beyond the schema.

    Manifests handed to `default`, `prepare_*` are private to the request and are changed in place.
    `validate*` and `cells` only read. Metadata common to all kinds (names, labels, annotations, owner
    references, finalizers) is validated elsewhere, once.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()

    default: Callable[[Manifest], None] = _nothing
    """Fills what is absent; runs on create, update, the result of a patch."""
    prepare_create: Callable[[Manifest], None] = _nothing
    """Resets what a client may not set, after admission, before validation: status, derived fields."""
    prepare_update: Callable[[Manifest, Manifest], None] = _nothing_on_update
    """(new, old): carries over what a client may not change, such as a Service's cluster IP."""
    prepare_status_update: Callable[[Manifest, Manifest], None] = _nothing_on_update
    """(new, old): the same for what a write through /status lets through of metadata."""
    validate: Callable[[Manifest], list[FieldError]] = _no_errors
    validate_create: Callable[[Manifest], list[FieldError]] = _no_errors
    """What is refused of a new object only; `validate` has run before."""
    validate_update: Callable[[Manifest, Manifest], list[FieldError]] = _no_update_errors
    """(new, old): what may not change. `validate(new)` runs as well unless `validates_updates_whole` is False."""
    validate_status_update: Callable[[Manifest, Manifest], list[FieldError]] = _no_update_errors
    validates_updates_whole: bool = True
    tells_changes_first: bool = False
    """What may not change is told before what is wrong anyway; upstream's order differs by kind."""
    validate_name: Callable[[str], str] | None = None
    """From a name to what is wrong with it, empty if nothing is; None means a DNS subdomain."""
    create_warnings: Callable[[Manifest], list[str]] = lambda manifest: []
    warnings: Callable[[Manifest], list[str]] = lambda manifest: []
    """Texts of Warning headers for a create, and for an update that raises the generation if there is one."""
    warns_on_every_update: bool = False
    deprecation: str = ""
    """What whoever asks for the kind is warned of, whatever the verb (A12)."""

    fields: Mapping[str, Callable[[Manifest], str]] = field(default_factory=dict)
    """Field selectors beyond metadata.name and metadata.namespace (A105)."""
    columns: tuple[Column, ...] = NAME_COLUMNS
    cells: Callable[[Manifest, datetime], list[Any]] = name_cells
    row_conditions: Callable[[Manifest], list[Manifest]] = lambda manifest: []
    metadata_alone: Callable[[Manifest], Manifest] = lambda manifest: manifest["metadata"]
    """The metadata as it is shown without the object: upstream adds some annotations only to the whole."""

    initial_status: Manifest | None = None
    """What status is on create where the kind has a status subresource (A70); None leaves it out."""
    keeps_status_on_create: bool = False
    has_generation: bool = False
    generation_of: Callable[[Manifest], Any] = lambda manifest: manifest.get("spec")
    """The part of which a change raises the generation (A78)."""
    creates_on_update: bool = False
    allows_unconditional_update: bool = True
    is_graceful: bool = False
    """Deleted with a grace period: pods only (A89)."""
    delete_returns_object: bool = False
    """Deletion answers with the last object instead of a Status (A86)."""
    default_propagation: str = "Background"
    is_measured: bool = False
    """Made when it is read: it has no objects of its own, and no name for one of it."""
    stored_as: StoredAs | None = None
    """Set where the objects are stored as those of another kind, and converted at the door."""
    prepare_delete: Callable[[Manifest, str], Manifest] = lambda manifest, now: manifest
    """What an object becomes when its deletion begins: a new manifest, or the same."""
    custom: Custom | None = None
    """Set where a CustomResourceDefinition defines the kind."""

    @property
    def singular(self) -> str:
        if self.custom is not None:
            return self.custom.singular
        return "" if self.is_measured else self.kind.lower()

    @property
    def list_kind(self) -> str:
        return self.custom.list_kind if self.custom is not None else f"{self.kind}List"

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_status(self) -> bool:
        return any(subresource.name == "status" for subresource in self.subresources)

    @property
    def qualified(self) -> str:
        """The plural as error messages name it: `pods`, `statefulsets.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection or of one object."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)

    def __repr__(self) -> str:
        return f"<Resource {self.qualified}/{self.version}>"
