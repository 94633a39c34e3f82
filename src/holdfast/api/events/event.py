"""Events under their newer names (A261): stored as core events, converted at the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from holdfast.api.core import event as core_event
from holdfast.api.core import event_table
from holdfast.api.errors import FieldError, invalid, required, too_long
from holdfast.api.field_rules import label_key
from holdfast.api.resource import Manifest, Resource, StoredAs

_NEW_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_CORE_NAMES = {new: core for core, new in _NEW_NAMES.items()}
_LEFT_OUT_EMPTY = ("reportingController", "reportingInstance")
_MOST_BYTES = 128
_MOST_NOTE_BYTES = 1024


def to_core(event: Manifest) -> Manifest:
    """The core event that is the same object."""
    core = {_CORE_NAMES.get(name, name): value for name, value in event.items()}
    core |= {"kind": "Event", "apiVersion": "v1"}
    core_event.default(core)
    return core


def from_core(event: Manifest) -> Manifest:
    """The object of events.k8s.io that is the same as a core event."""
    new = {_NEW_NAMES.get(name, name): value for name, value in event.items()}
    new |= {"kind": "Event", "apiVersion": "events.k8s.io/v1"}
    return {name: value for name, value in new.items() if value != "" or name not in _LEFT_OUT_EMPTY}


def default(event: Manifest) -> None:
    event.setdefault("deprecatedSource", {})
    for field in ("deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"):
        event.setdefault(field, None)


def validate(event: Manifest) -> list[FieldError]:
    """Stricter than core events: made by recorders that know when, who and what."""
    errors = core_event.validate(to_core(event))
    if not event.get("eventTime"):
        errors.append(required("eventTime"))
    if event.get("type") not in ("Normal", "Warning"):
        errors.append(invalid("type", event.get("type", ""), 'has invalid value: "Normal" or "Warning" expected'))
    for field in ("reportingController", "reportingInstance", "action", "reason"):
        errors += _required_text(field, event.get(field, ""))
    if controller := event.get("reportingController"):
        errors += label_key("reportingController", controller)
    if len(event.get("note", "").encode()) > _MOST_NOTE_BYTES:
        errors.append(too_long("note", _MOST_NOTE_BYTES))
    return errors


def _required_text(field: str, text: str) -> list[FieldError]:
    if not text:
        return [required(field)]
    return [too_long(field, _MOST_BYTES)] if len(text.encode()) > _MOST_BYTES else []


def cells(event: Manifest, now: datetime) -> list[Any]:
    return event_table.cells(to_core(event), now)


def _of_core(getter: Callable[[Manifest], str]) -> Callable[[Manifest], str]:
    return lambda event: getter(to_core(event))


def _field(core: str) -> str:
    if core == "reportingComponent":
        return "reportingController"
    return core.replace("involvedObject.", "regarding.")


_FIELDS: Mapping[str, Callable[[Manifest], str]] = {
    _field(core): _of_core(getter) for core, getter in core_event.FIELDS.items() if core != "source"
}


EVENTS = Resource(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    default=default,
    validate=validate,
    fields=_FIELDS,
    columns=event_table.COLUMNS,
    cells=cells,
    creates_on_update=True,
    stored_as=StoredAs(core_event.EVENTS, to_core, from_core),
)
