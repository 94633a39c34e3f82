"""Events (A260). Those of events.k8s.io are the same objects under other names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import label_key
from holdfast.api.resource import Manifest, Resource

from .event_table import COLUMNS, cells

_ALWAYS_SHOWN: tuple[tuple[str, object], ...] = (
    ("source", {}),
    ("firstTimestamp", None),
    ("lastTimestamp", None),
    ("eventTime", None),
    ("reportingComponent", ""),
    ("reportingInstance", ""),
)
_MOST_BYTES, _MOST_NOTE_BYTES = 128, 1024
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def default(event: Manifest) -> None:
    for field, value in _ALWAYS_SHOWN:
        if event.get(field) is None:
            event[field] = dict(value) if isinstance(value, dict) else value
    event.setdefault("involvedObject", {})


def validate(event: Manifest) -> list[FieldError]:
    return [*validate_event(event, "reportingComponent")]


def validate_event(event: Manifest, controller_field: str) -> Iterator[FieldError]:
    """An event lives with what it is about; of those that say when it was, more is asked.

    `controller_field` is what the version that was written calls the reporting controller.
    """
    namespace, involved = event["metadata"].get("namespace", ""), event["involvedObject"].get("namespace", "")
    if event.get("eventTime"):
        if not involved and namespace not in ("default", "kube-system"):
            yield _elsewhere(involved)
        yield from _reported(event, controller_field)
    elif namespace != (involved or "default"):
        yield _elsewhere(involved)


def _elsewhere(namespace: str) -> FieldError:
    return invalid("involvedObject.namespace", namespace, "does not match event.namespace")


def _reported(event: Manifest, controller_field: str) -> Iterator[FieldError]:
    controller = event.get("reportingComponent") or ""
    if not controller:
        yield required(controller_field)
    yield from label_key(controller_field, controller)
    for member in ("reportingInstance", "action", "reason"):
        text = event.get(member) or ""
        if not text:
            yield required(member)
        yield from _short(member, text, _MOST_BYTES)
    yield from _short("message", event.get("message") or "", _MOST_NOTE_BYTES)


def _short(field: str, text: str, most: int) -> Iterator[FieldError]:
    if len(text.encode()) > most:
        yield invalid(field, "", f"can have at most {most} characters")


def _involved(field: str) -> Callable[[Manifest], str]:
    return lambda event: str(event.get("involvedObject", {}).get(field, ""))


def _top(field: str) -> Callable[[Manifest], str]:
    return lambda event: str(event.get(field) or "")


FIELDS: Mapping[str, Callable[[Manifest], str]] = {
    **{f"involvedObject.{field}": _involved(field) for field in _INVOLVED},
    "reason": _top("reason"),
    "reportingComponent": _top("reportingComponent"),
    "source": lambda event: str((event.get("source") or {}).get("component") or event.get("reportingComponent", "")),
    "type": _top("type"),
}


EVENTS = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    default=default,
    validate=validate,
    fields=FIELDS,
    columns=COLUMNS,
    cells=cells,
    creates_on_update=True,
)
