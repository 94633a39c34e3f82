"""NodeMetrics and PodMetrics as clients get them: objects, lists, tables. Pure (A277).

Source: metrics-server, pkg/api.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from holdfast.api import quantity
from holdfast.api.resource import Manifest, Resource
from holdfast.api.times import format_time
from holdfast.apiserver import views
from holdfast.apiserver.negotiation import Form

from .samples import Usage


def node_metrics(node: Manifest, usage: Usage, now: datetime) -> Manifest:
    """Without kind and apiVersion, which items of a list leave out."""
    return {"metadata": _metadata(node, now), **_moment(usage), "usage": _amounts(usage)}


def pod_metrics(pod: Manifest, usages: Mapping[str, Usage], now: datetime) -> Manifest:
    """The moment is that of the container that was looked at first."""
    containers = [{"name": name, "usage": _amounts(usage)} for name, usage in usages.items()]
    first = min(usages.values(), key=lambda usage: usage.at_s)
    return {"metadata": _metadata(pod, now), **_moment(first), "containers": containers}


def _metadata(manifest: Manifest, now: datetime) -> Manifest:
    metadata = manifest["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "labels") if metadata.get(name)}
    return {**kept, "creationTimestamp": format_time(now)}


def _moment(usage: Usage) -> Manifest:
    return {"timestamp": format_time(datetime.fromtimestamp(usage.at_s, UTC)), "window": go_duration(usage.window_s)}


def _amounts(usage: Usage) -> Manifest:
    return {"cpu": quantity.canonical(f"{usage.nanocores}n"), "memory": _bytes(usage.memory_bytes)}


def _bytes(count: int) -> str:
    return quantity.canonical(f"{count // 1024}Ki" if count % 1024 == 0 else str(count))


def go_duration(seconds: float) -> str:
    """As Go prints it, to the millisecond: `1.004s`, `15s`, `1m0.5s`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 1000}{f'.{rest % 1000:03}'.rstrip('0') if rest % 1000 else ''}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def shaped(resource: Resource, form: Form, items: Sequence[Manifest], *, is_list: bool, include: str) -> Any:
    """What to encode: in the shape that was asked for."""
    if form.shape == "Table":
        return _table(resource, items, form.version, include)
    if form.shape:
        partials = [views.partial(item["metadata"], form.version) for item in items]
        if not is_list:
            return partials[0]
        meta = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.version}"}
        return {**meta, "metadata": {}, "items": partials}
    if not is_list:
        return {"kind": resource.kind, "apiVersion": resource.api_version, **items[0]}
    return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": {}, "items": list(items)}


def _table(resource: Resource, items: Sequence[Manifest], version: str, include: str) -> Manifest:
    """Without rows there are no columns either."""
    rows = [_row(resource, item, version, include) for item in items]
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": {},
        "columnDefinitions": views.definitions(resource.columns) if rows else None,
        "rows": rows,
    }


def _row(resource: Resource, item: Manifest, version: str, include: str) -> Manifest:
    amounts = [item["usage"]] if "usage" in item else [each["usage"] for each in item["containers"]]
    shown = {"Object": {"kind": resource.kind, "apiVersion": resource.api_version, **item}, "None": None}
    return {
        "cells": [item["metadata"]["name"], _sum(amounts, "cpu"), _sum(amounts, "memory"), item["window"]],
        "object": shown.get(include, views.partial(item["metadata"], version)),
    }


def _sum(amounts: Iterable[Manifest], name: str) -> str:
    return quantity.add(*(each[name] for each in amounts))
