"""The closed set of things a controller may do to the cluster, as data.

No choice is left to the act: names, uids and contents are in the action. `runner.perform` is the only
place that turns one into a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.resource import Manifest, Resource


@dataclass(frozen=True, slots=True)
class Report:
    """An event to record about `subject` (the object the plan is for, if None). In a failure's
    message `{error}` stands for the error's text."""

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
    """AlreadyExists counts as success."""


@dataclass(frozen=True, slots=True)
class Update:
    """PUT of the whole object, conditional on the resourceVersion it carries."""

    resource: Resource
    manifest: Manifest
    subresource: str = ""
    on_success: Report | None = None
    on_failure: Report | None = None


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


@dataclass(frozen=True, slots=True)
class Emit:
    """Only an event."""

    report: Report


Action = Create | Update | Patch | Delete | Emit


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in order. A failed action ends the list, not `status`, and the step is retried."""

    reason: str
    """Why, in a few words: the log line."""
    actions: Sequence[Action] = ()
    status: Update | None = None
    """Written last, also when an action failed; left out if nothing changed."""
    again_after_s: float | None = None
    """When to look again although nothing happened."""
