"""What somebody is about to do, as webhooks and policies are told of it (A246)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.auth.user import User
from holdfast.apiserver.bodies import kind_in_body
from holdfast.apiserver.call import Call
from holdfast.apiserver.options import DeleteOptions, WriteOptions

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"
_META = "meta.k8s.io/v1"

Kind = tuple[str, str, str]
"""Group, version and kind."""


@dataclass(slots=True)
class Attempt:
    """One request for one object, with its state on the way through admission."""

    call: Call
    operation: str
    object: Manifest | None
    """None for a deletion. It is replaced, never changed in place, when a webhook wants it otherwise."""
    old: Manifest | None = None
    options: Manifest | None = None
    is_dry_run: bool = False
    name: str = ""
    """Empty for each object of a deletecollection, as upstream has it."""
    kind: Kind = field(init=False)
    """Of `object` and `old`: the subresource's own, if it has one."""

    def __post_init__(self) -> None:
        group, version, kind = kind_in_body(self.call)
        resource = self.call.resource
        self.kind = (group, version, kind) if kind else (resource.group, resource.version, resource.kind)

    @property
    def resource(self) -> Resource:
        return self.call.resource

    @property
    def namespace(self) -> str:
        """A namespace counts as being in itself."""
        return self.name if self.resource is NAMESPACES else self.call.namespace

    @property
    def is_of_object(self) -> bool:
        """It is about the object itself rather than something below it."""
        return not self.call.subresource

    def user_info(self) -> dict[str, Any]:
        return user_info(self.call.user)


def creating(call: Call, manifest: Manifest) -> Attempt:
    return _writing(call, CREATE, manifest, None)


def updating(call: Call, new: Manifest, old: Manifest) -> Attempt:
    return _writing(call, UPDATE, new, old)


def _writing(call: Call, operation: str, new: Manifest, old: Manifest | None) -> Attempt:
    kind = "CreateOptions" if operation == CREATE else "UpdateOptions"
    options = _write_options(kind, call.options)
    return Attempt(call, operation, new, old, options, call.options.dry_run, call.name)


def deleting(call: Call, old: Manifest, options: DeleteOptions, *, is_one_of_many: bool) -> Attempt:
    name = "" if is_one_of_many else call.name
    return Attempt(call, DELETE, None, old, _delete_options(options), options.dry_run, name)


def connecting(call: Call, options: Manifest) -> Attempt:
    """`options` are the object: there is no other (`PodExecOptions` and its like)."""
    return Attempt(call, CONNECT, options, name=call.name)


def user_info(user: User) -> dict[str, Any]:
    info: dict[str, Any] = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra}
    return info


def _write_options(kind: str, options: WriteOptions) -> Manifest:
    told: Manifest = {"kind": kind, "apiVersion": _META}
    if options.dry_run:
        told["dryRun"] = ["All"]
    if options.field_manager:
        told["fieldManager"] = options.field_manager
    if options.field_validation:
        told["fieldValidation"] = options.field_validation
    return told


def _delete_options(options: DeleteOptions) -> Manifest:
    told: Manifest = {"kind": "DeleteOptions", "apiVersion": _META}
    if options.grace_period_s is not None:
        told["gracePeriodSeconds"] = options.grace_period_s
    conditions = {"uid": options.uid, "resourceVersion": options.resource_version}
    if any(conditions.values()):
        told["preconditions"] = {name: value for name, value in conditions.items() if value}
    if options.orphan_dependents is not None:
        told["orphanDependents"] = options.orphan_dependents
    elif options.propagation:
        told["propagationPolicy"] = options.propagation
    if options.dry_run:
        told["dryRun"] = ["All"]
    return told
