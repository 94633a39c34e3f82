"""Events (A260). Those of events.k8s.io are the same objects under other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid
from holdfast.api.field_rules import named
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
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def default(event: Manifest) -> None:
    for field, value in _ALWAYS_SHOWN:
        if event.get(field) is None:
            event[field] = dict(value) if isinstance(value, dict) else value
    event.setdefault("involvedObject", {})


def validate(event: Manifest) -> list[FieldError]:
    """An event lives with what it is about; those of cluster-scoped objects in `default`."""
    namespace, involved = event["metadata"].get("namespace", ""), event["involvedObject"].get("namespace", "")
    if involved:
        errors = [*named("involvedObject.namespace", involved, names.dns_label)]
        if involved != namespace:
            errors.insert(0, invalid("involvedObject.namespace", involved, "does not match event.namespace"))
        return errors
    if namespace not in ("default", "kube-system"):
        return [invalid("involvedObject.namespace", involved, "does not match event.namespace")]
    return []


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
