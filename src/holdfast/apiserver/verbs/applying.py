"""PATCH with a configuration: server-side apply (A133-A150)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from holdfast.api import decode
from holdfast.api.errors import ApiError, BadRequest
from holdfast.api.resource import Manifest
from holdfast.apiserver.auth.authorization import Attributes
from holdfast.apiserver.bodies import SCALES
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.fields import applying, tracking
from holdfast.apiserver.fields.checking import problems
from holdfast.apiserver.fields.entries import same_but_for_time, write
from holdfast.apiserver.fields.nodes import tree_of
from holdfast.apiserver.fields.owned import difference
from holdfast.apiserver.fields.scope import Scope
from holdfast.apiserver.patch.apply import described, group_version_kind

from . import create, scale, strategy, update

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
MAX_DEPTH = 100


class Untyped(ApiError):
    """A configuration that does not fit its schema; upstream has no reason for it (A146)."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""


async def apply(api: Api, call: Call, config: Manifest) -> tuple[Stored, bool]:
    """The stored object, and whether it was created.

    Raises BadRequest, Untyped, FieldConflict, Conflict for a precondition, NotFound, Forbidden, Invalid.
    """
    check(call, config)
    if api.latest(call) is None:
        if call.subresource:
            raise call.not_found()
        return await _create(api, call, config), True
    main = scale.of_parent(call) if call.subresource == "scale" else call

    def revised(old: Stored) -> Manifest:
        return _revised(api, call, main, config, old)

    shape = scale.shape(call) if call.subresource == "scale" and api.dynamic.is_active else None
    return await update.replace(api, main, revised, is_tracked=False, shape=shape), False


def check(call: Call, config: Manifest) -> None:
    """Raises BadRequest, Untyped."""
    resource = SCALES if call.subresource == "scale" else call.resource
    if (config.get("apiVersion"), config.get("kind")) != (resource.api_version, resource.kind):
        raise BadRequest(f"invalid object type: {group_version_kind(config)}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    found = problems(tree_of(resource).root, config) if _depth_is_usual(config) else "exceeded max depth"
    if found:
        raise Untyped(f"failed to create typed patch object ({described(config)}): {found}")


def _depth_is_usual(value: Any, left: int = MAX_DEPTH) -> bool:
    """Whether a document nests no deeper than anything walks that comes after."""
    if not left:
        return False
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_depth_is_usual(one, left - 1) for one in inner)


async def _create(api: Api, call: Call, config: Manifest) -> Stored:
    """The object that a configuration describes, which nobody has made yet."""
    target = call.resource
    attributes = Attributes("create", target.group, target.plural, namespace=call.namespace, name=call.name)
    api.authorizer.check(call.user, attributes)
    metadata = config.get("metadata") or {}
    if uid := metadata.get("uid"):
        raise call.conflict(f"uid mismatch: the provided object specified uid {uid}, and no existing object was found")
    applied = applying.apply(strategy.scope(call), {}, config, (), call.manager, force=False, now=api.now())
    new, _ = decode.prune_and_check(target, applied.manifest, field_validation=decode.IGNORE)
    target.default(new)
    metadata = strategy.metadata_of(new)
    strategy.check_name(call, metadata)
    strategy.check_namespace(call, metadata)
    return await create.make(api, call, new, write(applied.entries))


def _revised(api: Api, call: Call, main: Call, config: Manifest, old: Stored) -> Manifest:
    """What the configuration makes of the latest state; that itself if it changes nothing (A150)."""
    live = old.manifest
    metadata = config.get("metadata") or {}
    strategy.check_uid(api, call, metadata, live)
    if metadata.get("resourceVersion"):
        strategy.check_revision(main, metadata, old.revision)
    applied = _applied(api, call, _for_parent(call, config), live)
    if applied.manifest == live:
        new = {**live, "metadata": {**live["metadata"]}}
    else:
        new = _decoded(main, applied.manifest, live)
        strategy.check_name(call, {"name": metadata.get("name") or call.name})
        strategy.check_namespace(call, strategy.metadata_of(new))
        update.settle(api, main, new, live)
    managed = write(applied.entries)
    then = live["metadata"].get("managedFields", [])
    strategy.set_managed(new, then)
    if new == live and same_but_for_time(managed, then):
        return live
    strategy.set_managed(new, managed)
    return new


def _decoded(call: Call, manifest: Manifest, live: Manifest) -> Manifest:
    """What was merged as a manifest that is private and fits its kind. Raises Invalid."""
    metadata = {**manifest["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    metadata.pop("managedFields", None)
    new, _ = decode.prune_and_check(call.resource, {**manifest, "metadata": metadata}, field_validation=decode.IGNORE)
    return new


def _for_parent(call: Call, config: Manifest) -> Manifest:
    """What a Scale says of the object that it scales (A148)."""
    if call.subresource != "scale":
        return config
    spec = config.get("spec") or {}
    if "replicas" not in spec:
        return {}
    from holdfast.api.custom import paths

    custom = call.resource.custom
    path = custom.scale.spec_replicas if custom is not None and custom.scale is not None else ".spec.replicas"
    return paths.replaced(path, {}, spec["replicas"] or 0)


def _applied(api: Api, call: Call, config: Manifest, live: Manifest) -> applying.Applied:
    """Raises FieldConflict."""
    scope, now = strategy.scope(call), api.now()
    metadata = config.get("metadata")
    if metadata:  # of an object that exists they say which is meant, not what becomes of it
        named = {name: value for name, value in metadata.items() if name not in ("uid", "resourceVersion")}
        config = {**config, "metadata": named}
    entries = tracking.credited(scope, live, live["metadata"].get("managedFields") or (), now)
    force = bool(call.options.force)
    try:
        applied = applying.apply(scope, live, config, entries, call.manager, force=force, now=now)
    except applying.FieldConflict as conflict:
        allowed = _client_side(scope, live) if call.manager == KUBECTL else frozenset()
        if not allowed:
            raise
        if conflict.paths - allowed:
            raise conflict.beyond(allowed) from None
        applied = applying.apply(scope, live, config, entries, call.manager, force=True, now=now)
    if call.manager == KUBECTL and LAST_APPLIED in _annotations(live):
        return replace(applied, manifest=_with_last_applied(applied.manifest, config))
    return applied


def _client_side(scope: Scope, live: Manifest) -> frozenset[str]:
    """What kubectl has applied before servers could, as its annotation says, and what still is so (A145)."""
    try:
        config: Any = msgspec.json.decode(_annotations(live).get(LAST_APPLIED, ""))
    except msgspec.DecodeError:
        return frozenset()
    if not isinstance(config, dict) or problems(scope.tree.root, config):
        return frozenset()
    changed, removed = difference(scope.tree.root, live, config)
    return applying.field_set(scope, config) - changed - removed


def _annotations(manifest: Manifest) -> dict[str, str]:
    return manifest["metadata"].get("annotations") or {}


def _with_last_applied(manifest: Manifest, config: Manifest) -> Manifest:
    """The object with the annotation brought up to date, for clients that apply by themselves (A145)."""
    metadata = {**(config.get("metadata") or {})}
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != LAST_APPLIED}
    metadata["annotations"] = annotations
    written = msgspec.json.encode({**config, "metadata": metadata}, order="sorted").decode() + "\n"
    annotations = {**_annotations(manifest), LAST_APPLIED: written}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}
