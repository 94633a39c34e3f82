"""POST on a collection (A65-A71)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.api.errors import AlreadyExists
from holdfast.api.names import GENERATED_LETTERS
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.custom_kinds import check_is_staying
from holdfast.apiserver.fields.tracking import Managed, created
from holdfast.apiserver.options import PlainError
from holdfast.store import ABSENT, RevisionMismatch

from . import reviewed, strategy

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

MAX_PREFIX = 58
TRIES = 8
NOT_UNIQUE = ", the server was not able to generate a unique name for the object"


async def create(api: Api, call: Call, manifest: Manifest) -> Stored:
    """The stored object. `manifest` is private to the call, decoded and pruned.

    Raises AlreadyExists, Invalid, Forbidden, NotFound for its namespace, BadRequest.
    """
    metadata = strategy.metadata_of(manifest)
    strategy.check_namespace(call, metadata)
    if metadata.get("resourceVersion"):
        raise PlainError("resourceVersion should not be set on objects to be created")
    call.name = metadata.get("name") or ""
    call.resource.default(manifest)
    if not call.name and (prefix := metadata.get("generateName")):
        call.name = metadata["name"] = _free_name(api, call, prefix)
    return await make(api, call, manifest)


async def make(api: Api, call: Call, manifest: Manifest, managed: Managed | None = None) -> Stored:
    """Admits, prepares, validates and stores a new object that has its name.

    `managed` is what is owned of it; all that the manifest says now, by the caller, if it is None (A143).
    """
    resource = call.resource
    if resource.custom is not None:
        check_is_staying(api.cache, resource)
    if managed is None:
        given = (manifest.get("metadata") or {}).get("managedFields")
        managed = created(strategy.scope(call), manifest, call.manager, api.now(), given)
    await api.admission.settle(call, manifest)
    api.admission.admit(call, manifest, None)  # what it adds needs no defaults
    if api.dynamic.is_active:
        strategy.set_managed(manifest, managed)
        manifest = await reviewed.created(api, call, manifest)
    strategy.begin(api, call, manifest, managed)
    with api.allocation.of(call, manifest, None):
        verdict = api.verdicts.of(resource, manifest)
        if errors := strategy.new_errors(call, manifest, verdict):
            raise call.invalid(errors)
        api.admission.check(call, manifest, None)
        if api.dynamic.is_active:
            await reviewed.check_created(api, call, manifest)
        with api.admission.charged(call, manifest, None):
            call.warnings += [*resource.create_warnings(manifest), *verdict.warnings()]
            return await _store(api, call, manifest)


async def _store(api: Api, call: Call, manifest: Manifest) -> Stored:
    if api.store.latest(api.objects(call.resource).key(call.namespace, call.name)) is not None:
        raise _taken(call, manifest)
    if call.options.dry_run:
        return await api.unsaved(call, manifest)
    try:
        return await api.write(call, manifest, ABSENT)
    except RevisionMismatch:
        raise _taken(call, manifest) from None


def _taken(call: Call, manifest: Manifest) -> AlreadyExists:
    """An object that has a prefix is told that no name could be made, even if it came with its name (A54, S110)."""
    return _not_unique(call, call.name) if manifest["metadata"].get("generateName") else call.already_exists(call.name)


def _not_unique(call: Call, name: str) -> AlreadyExists:
    error = call.already_exists(name, NOT_UNIQUE)
    error.retry_after_s = 1
    return error


def _free_name(api: Api, call: Call, prefix: str) -> str:
    """A name that nobody has (A67). Raises AlreadyExists if chance is against it."""
    random = api.world.random
    for _ in range(TRIES):
        name = prefix[:MAX_PREFIX] + "".join(random.choice(GENERATED_LETTERS) for _ in range(5))
        if api.store.latest(api.objects(call.resource).key(call.namespace, name)) is None:
            return name
    raise _not_unique(call, name)
