"""Events under their newer names (A261): stored as core events, converted at the door."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from holdfast.api.core import event as core_event
from holdfast.api.core import event_table
from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest, Resource, StoredAs
from holdfast.api.structure import go_name

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
_OLD = ("firstTimestamp", "lastTimestamp", "count", "source")
_FIXED = (
    *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason", "type"),
    *("eventTime", "action", "related", "reportingComponent", "reportingInstance"),
)
"""What an update leaves alone, by the names of core events; upstream looks twice at the reason."""


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
    return [*core_event.validate_event(to_core(event), "reportingController")]


def validate_create(event: Manifest) -> list[FieldError]:
    """New events know when and what kind, and say nothing in the words of old ones, whose names upstream uses."""
    core, errors = to_core(event), [*_series(event)]
    if not core.get("eventTime"):
        errors.append(required("eventTime"))
    kind = core.get("type", "")
    if kind not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {kind}"))
    errors += [invalid(member, "", "needs to be unset") for member in _OLD if core.get(member)]
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Only the series goes on."""
    now, then = to_core(new), to_core(old)
    errors = [] if same(now.get("series"), then.get("series")) else [*_series(new)]
    for member in _FIXED:
        if not same(now.get(member), then.get(member)):
            name = "reportingController" if member == "reportingComponent" else member
            errors.append(invalid(name, _shown(member, now.get(member)), "field is immutable"))
    return errors


def _series(event: Manifest) -> Iterator[FieldError]:
    series = event.get("series")
    if series is None:
        return
    if series.get("count", 0) < 2:
        yield invalid("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")


def _shown(member: str, value: Any) -> Any:
    """Upstream's messages show its internal structures."""
    if member == "involvedObject":
        return _reference(value or {})
    if member == "related":
        return None if value is None else _reference(value)
    if member == "source":
        return {"Component": (value or {}).get("component", ""), "Host": (value or {}).get("host", "")}
    return value


def _reference(value: Manifest) -> Manifest:
    members = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    return {go_name(member): value.get(member, "") for member in members}


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
    validate_create=validate_create,
    validate_update=validate_update,
    fields=_FIELDS,
    columns=event_table.COLUMNS,
    cells=cells,
    creates_on_update=True,
    stored_as=StoredAs(core_event.EVENTS, to_core, from_core),
)
