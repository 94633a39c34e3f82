"""The closed set of things a controller may do to the cluster, as data.

No choice is left to the act: names, uids and contents are in the action. `runner.Performer` is the only
place that turns one into a call.

What the four that write have in common: failures in `ignore` count as success, failures in `quiet` are not
reported, and `error` is how a failure's text goes on to whoever reports it next: `{error}` in it stands for
the text itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest, Resource

Errors = tuple[type[ApiError], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """An event to record about `subject` (the plan's subject, if None). In a failure's
    message `{error}` stands for the error's text, in a creation's `{name}` for the name that the server made."""

    type: str
    """`Normal` or `Warning`."""
    reason: str
    message: str
    subject: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Create:
    resource: Resource
    manifest: Manifest
    on_success: Report | None = None
    on_failure: Report | None = None
    may_exist: bool = False
    """AlreadyExists counts as success, but is not reported as one."""
    ignore: Errors = ()
    quiet: Errors = ()
    error: str = "{error}"


@dataclass(frozen=True, slots=True)
class Update:
    """PUT of the whole object, conditional on the resourceVersion it carries."""

    resource: Resource
    manifest: Manifest
    subresource: str = ""
    on_success: Report | None = None
    on_failure: Report | None = None
    ignore: Errors = ()
    quiet: Errors = ()
    error: str = "{error}"
    insists: bool = False
    """Of a status: on Conflict the same status is written onto the object as it is by now, 5 tries (S132)."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch, or whatever `type` (a media type) says."""

    resource: Resource
    namespace: str
    name: str
    patch: Any
    type: str = "application/merge-patch+json"
    subresource: str = ""
    on_success: Report | None = None
    on_failure: Report | None = None
    ignore: Errors = ()
    quiet: Errors = ()
    error: str = "{error}"


def patch_status(resource: Resource, manifest: Manifest, status: Manifest, on_success: Report | None = None) -> Patch:
    """Conditional on the uid only: the step before may have written the object."""
    metadata = manifest["metadata"]
    patch = {"metadata": {"uid": metadata["uid"]}, "status": status}
    namespace = metadata.get("namespace", "")
    return Patch(resource, namespace, metadata["name"], patch, subresource="status", on_success=on_success)


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes exactly the object of that uid; its absence counts as success."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    resource_version: str = ""
    grace_period_s: int | None = None
    propagation: str = ""
    on_success: Report | None = None
    on_failure: Report | None = None
    ignore: Errors = ()
    quiet: Errors = ()
    error: str = "{error}"


@dataclass(frozen=True, slots=True)
class Emit:
    """Only an event."""

    report: Report


@dataclass(frozen=True, slots=True)
class Fail:
    """Only a failure: what observation has shown already to be impossible for now."""

    error: str
    on_failure: Report | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """Goes on only if the object of that uid, read from the server now, exists and is not being deleted.

    For what must not be decided on a view that may be old, such as adoption (S109).
    """

    resource: Resource
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Each:
    """Every action is tried, in order; then the group fails with all their errors, joined in brackets if several."""

    actions: Sequence[Action]
    on_failure: Report | None = None


@dataclass(frozen=True, slots=True)
class Waves:
    """Lists of actions, each in order, several lists at once: 1, then 2, 4, 8 … up to 500 (S46).

    A failure ends its list; its wave is completed, later waves are left out, and the group fails with all errors.
    """

    lists: Sequence[Sequence[Action]]


Action = Create | Update | Patch | Delete | Emit | Fail | Confirm | Each | Waves


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in order. A failed action ends the list, not `status` and `cleanup`, and the step is retried."""

    reason: str
    """Why, in a few words: the log line."""
    actions: Sequence[Action] = ()
    status: Update | None = None
    """Written after the actions, also when one failed; None if nothing changed."""
    cleanup: Sequence[Action] = ()
    """Last of all, also when something failed."""
    before: Sequence[Action] = ()
    """Done first of all. If one fails, nothing else is done, not even `status` and `cleanup`."""
    subject: Manifest | None = None
    """What the plan is for: whom reports are about that name no subject."""
    again_after_s: float | None = None
    """When to look again although nothing happened; 0 is as soon as the view shows what was written."""
    failed_status: Update | None = None
    """Written in the place of `status` if one of `actions` failed; `{error}` in a message is the failure's text,
    `{first}` that of the first one of several, `{count}` and `{errors}` are how many there are and all of them,
    sorted."""
    status_may_wait: bool = False
    """Of `status`: nothing but counts changed, and they will change again in a moment: see `pace.Pace`."""
