"""The forms in which one object can be shown: other versions of its kind, or another kind that stands for the same.

`matchPolicy: Equivalent` is about these (A247).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.api import decode
from holdfast.api.errors import ApiError
from holdfast.api.kinds import Kinds
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.bodies import copied
from holdfast.apiserver.conversion import STORED_AS

from .refusals import internal


def others(kinds: Kinds, resource: Resource) -> Sequence[Resource]:
    """The other forms of a resource's objects, those that come first in discovery first."""
    if resource.custom is not None:
        same = [each for each in kinds.custom() if each.custom and each.custom.definition == resource.custom.definition]
        order = list(kinds.versions(resource.group) or ())
        return sorted((each for each in same if each is not resource), key=lambda each: order.index(each.version))
    stored = STORED_AS.get(resource, resource)
    family = [stored, *(alias for alias, target in STORED_AS.items() if target is stored)]
    return [each for each in family if each is not resource]


def shown(source: Resource, target: Resource, manifest: Manifest | None) -> Manifest | None:
    """An object of `source` as `target` shows it; itself if that is the same."""
    if manifest is None or source is target:
        return manifest
    if source.custom is not None:
        return {**manifest, "apiVersion": target.api_version}
    if (alias := source.stored_as) is not None:
        manifest = alias.write(manifest)
    return target.stored_as.read(manifest) if target.stored_as is not None else manifest


Fit = Callable[[Manifest], Manifest]
"""What a patched document becomes: private, pruned, with its defaults. Raises InternalError if it does not fit."""


def fit_of(resource: Resource) -> Fit:
    """For objects of `resource`. What is said of ownership is left as it is."""

    def fit(patched: Manifest) -> Manifest:
        metadata = patched.get("metadata")
        managed = metadata.get("managedFields") if isinstance(metadata, dict) else None
        if managed is not None:
            patched = {**patched, "metadata": {k: v for k, v in patched["metadata"].items() if k != "managedFields"}}
        try:
            fitting, _ = decode.prune_and_check(resource, patched, field_validation=decode.IGNORE)
        except ApiError as error:
            raise internal(error.message) from None
        fitting = copied(fitting)
        if managed is not None:
            fitting["metadata"]["managedFields"] = managed
        resource.default(fitting)
        return fitting

    return fit


def kind_alone(group: str, version: str, kind: str) -> Resource:
    """Of what a subresource takes: it has a schema and nothing else."""
    return Resource(group=group, version=version, kind=kind, plural="")
