"""What `kubectl get events` shows, in both groups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.resource import Column, Manifest
from holdfast.api.table import age

COLUMNS = (
    Column("Last Seen", documents="core.v1.Event.lastTimestamp"),
    Column("Type", documents="core.v1.Event.type"),
    Column("Reason", documents="core.v1.Event.reason"),
    Column("Object", documents="core.v1.Event.involvedObject"),
    Column("Subobject", priority=1, documents="core.v1.ObjectReference.fieldPath"),
    Column("Source", priority=1, documents="core.v1.Event.source"),
    Column("Message", documents="core.v1.Event.message"),
    Column("First Seen", priority=1, documents="core.v1.Event.firstTimestamp"),
    Column("Count", priority=1, documents="core.v1.Event.count"),
    Column("Name", format="name", priority=1, documents="meta.v1.ObjectMeta.name"),
)


def cells(event: Manifest, now: datetime) -> list[Any]:
    """Of a core event."""
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or first
    count = event.get("count") or 1
    if series := event.get("series"):
        last, count = series.get("lastObservedTime") or last, series.get("count", count)
    involved = event.get("involvedObject", {})
    kind, name = involved.get("kind", "").lower(), involved.get("name", "")
    return [
        age(last, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{kind}/{name}" if name else kind,
        involved.get("fieldPath", ""),
        _source(event),
        event.get("message", "").strip(),
        age(first, now),
        count,
        event["metadata"]["name"],
    ]


def _source(event: Manifest) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent", "")
    host = source.get("host") or event.get("reportingInstance", "")
    return ", ".join(filter(None, (component, host)))
