"""What an established CustomResourceDefinition makes: a `Resource` for each of its versions (A199, A206-A214)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from holdfast.api.resource import ALL_VERBS, SCALE, STATUS, Manifest, Resource, Subresource
from holdfast.api.schema.types import Type

from . import paths
from .columns import cells_of, columns_of
from .defaulting import defaulted
from .definition import preferred, rank
from .objects import object_errors
from .pruning import pruned
from .structural import Schema, Structural, compiled
from .types import root_type

GET_PATCH_UPDATE = ("get", "patch", "update")
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the members of a Scale are in an object."""

    spec_replicas: str
    status_replicas: str
    label_selector: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Custom:
    """What a definition says of one of its versions, beyond what every kind has."""

    definition: str
    """The definition's name."""
    api_version: str
    storage_api_version: str
    """In which objects are stored."""
    kind: str
    singular: str
    list_kind: str
    given_schema: Schema
    is_served: bool
    scale: ScalePaths | None
    conversion: Manifest | None = None
    """The webhook that makes one version of another, where this is asked of somebody; else only the name changes."""
    look: Look | None = None
    """What finds a stored object in another version, as a webhook has made it; only a server has that."""

    @cached_property
    def schema(self) -> Structural:
        return compiled(self.given_schema)

    @cached_property
    def type(self) -> Type:
        """For who owns what; compiled when somebody asks."""
        return root_type(self.schema, self.kind)

    def read(self, manifest: Manifest) -> Manifest:
        """A stored object in this version and the form of this schema; itself if it has both."""
        if manifest.get("apiVersion") != self.api_version:
            if self.look is not None:
                manifest = self.look(manifest, self.api_version)
            else:
                manifest = {**manifest, "apiVersion": self.api_version}
        fitting: Manifest = defaulted(self.schema, pruned(self.schema, manifest))
        return fitting

    def written(self, manifest: Manifest) -> Manifest:
        """An object of this version as it is stored, where no webhook is to be asked."""
        if manifest.get("apiVersion") == self.storage_api_version:
            return manifest
        return {**manifest, "apiVersion": self.storage_api_version}


Look = Callable[[Manifest, str], Manifest]
"""(stored object, apiVersion)"""


def resource_of(definition: Manifest, version: Manifest, stored: str, look: Look | None = None) -> Resource:
    """One version of an established definition; `stored` is the name of that in which objects are stored."""
    spec, names = definition["spec"], definition["status"]["acceptedNames"]
    subresources = version.get("subresources") or {}
    has_status = "status" in subresources
    columns = version.get("additionalPrinterColumns") or ()
    custom = _custom(definition, version, stored, look)
    check = partial(object_errors, custom)
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=ALL_VERBS,
        subresources=tuple(_subresources(has_status, custom)),
        default=partial(_default, custom),
        validate=check,
        validate_update=check,
        validate_status_update=check,
        validates_updates_whole=False,
        create_warnings=_create_warnings,
        deprecation=_deprecation(spec, version),
        fields={name: partial(paths.text_at, f".{name}") for name in _selectable(version)},
        columns=columns_of(columns),
        cells=cells_of(columns),
        has_generation=True,
        generation_of=_counted(("metadata", "status") if has_status else ("metadata",)),
        allows_unconditional_update=False,
        custom=custom,
    )


def _custom(definition: Manifest, version: Manifest, stored: str, look: Look | None) -> Custom:
    spec, names = definition["spec"], definition["status"]["acceptedNames"]
    scale = (version.get("subresources") or {}).get("scale")
    conversion = spec.get("conversion") or {}
    webhook = conversion.get("webhook") if look is not None and conversion.get("strategy") == "Webhook" else None
    return Custom(
        definition=definition["metadata"]["name"],
        api_version=f"{spec['group']}/{version['name']}",
        storage_api_version=f"{spec['group']}/{stored}",
        kind=names["kind"],
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        given_schema=(version.get("schema") or {}).get("openAPIV3Schema") or _OPEN,
        is_served=bool(version.get("served")),
        scale=_scale(scale) if scale else None,
        conversion=webhook,
        look=look if webhook is not None else None,
    )


def _scale(given: Manifest) -> ScalePaths:
    return ScalePaths(given["specReplicasPath"], given["statusReplicasPath"], given.get("labelSelectorPath") or "")


def _subresources(has_status: bool, custom: Custom) -> Iterable[Subresource]:
    if has_status:
        yield STATUS
    if custom.scale is not None:
        yield SCALE


def _selectable(version: Manifest) -> list[str]:
    return [one["jsonPath"].removeprefix(".") for one in version.get("selectableFields") or ()]


def _default(custom: Custom, manifest: Manifest) -> None:
    manifest.update(defaulted(custom.schema, manifest))


def _create_warnings(manifest: Manifest) -> list[str]:
    """Finalizers that others might use for something else."""
    names = sorted(set(manifest["metadata"].get("finalizers") or ()) - {"orphan", "foregroundDeletion", "kubernetes"})
    path = {name: " including a path (/)" if "." in name else "" for name in names if "/" not in name}
    return [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name{how} to avoid accidental conflicts '
        "with other finalizer writers"
        for name, how in path.items()
    ]


def _counted(left_out: tuple[str, ...]) -> Callable[[Manifest], Any]:
    return lambda manifest: {name: part for name, part in manifest.items() if name not in left_out}


def _deprecation(spec: Manifest, version: Manifest) -> str:
    """Source: k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (defaultDeprecationWarning)."""
    if not version.get("deprecated"):
        return ""
    if given := version.get("deprecationWarning"):
        return str(given)
    group, kind = spec["group"], spec["names"]["kind"]
    text = f"{group}/{version['name']} {kind} is deprecated"
    better = preferred(
        one["name"]
        for one in spec["versions"]
        if one.get("served") and not one.get("deprecated") and rank(one["name"]) < rank(version["name"])
    )
    return f"{text}; use {group}/{better[0]} {kind}" if better else text
