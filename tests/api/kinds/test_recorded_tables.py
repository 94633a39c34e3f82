"""The columns and cells that a real API server printed.

The recordings live beside the repository; without them there is nothing to compare with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.api import registry
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest, Resource

RECORDINGS = Path(__file__).parents[4] / "shared" / "golden"
pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not beside the repository")
NOW = datetime(2026, 11, 21, 2, 50, tzinfo=UTC)

NOT_RECORDED = ("certificates.k8s.io", "node.k8s.io", "snapshot.storage.k8s.io")
"""Groups that the recorded server did not serve; upstream has the last as custom resources."""


def recorded(name: str) -> Any:
    file = RECORDINGS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def test_every_kind_has_upstreams_columns() -> None:
    columns = recorded("data/printed-columns")
    for resource in registry.RESOURCES:
        if "list" not in resource.verbs or resource.group in NOT_RECORDED:
            continue
        theirs = columns[resource.api_version].get(resource.kind)
        ours = [{"name": c.name, "type": c.type, "format": c.format, "priority": c.priority} for c in resource.columns]
        assert ours == theirs, resource


def test_every_kind_has_upstreams_names_and_verbs() -> None:
    resources = recorded("data/api-resources")
    for resource in registry.RESOURCES:
        if resource.group in NOT_RECORDED:
            continue
        theirs = next(r for r in resources[resource.api_version] if r["name"] == resource.plural)
        assert (resource.singular, resource.kind, resource.namespaced) == (
            theirs["singular"],
            theirs["kind"],
            theirs["namespaced"],
        )
        assert [*resource.short_names] == theirs["shortNames"]
        assert [*resource.categories] == theirs["categories"]
        assert [*resource.verbs] == theirs["verbs"]
        ours = [
            {"name": s.name, "kind": s.kind or resource.kind, "verbs": [*s.verbs]}
            | ({"group": s.group, "version": s.version} if s.group else {})
            for s in sorted(resource.subresources, key=lambda s: s.name)
        ]
        assert ours == theirs["subresources"], resource


def tables() -> Iterator[tuple[str, Manifest]]:
    for group in ("pods", "cluster", "workloads"):
        for answer in recorded(f"tables/{group}.answers").get("answers", ()):
            if answer["body"].get("kind") == "Table":
                yield answer["step"], answer["body"]


def test_columns_are_described_in_upstreams_words() -> None:
    """Several kinds may have columns of the same names; one of them has these texts."""
    texts = [{c.name: c.description for c in resource.columns} for resource in registry.RESOURCES]
    known = [set(columns) for columns in texts]
    compared = [
        {column["name"]: column["description"] for column in table["columnDefinitions"]} for _, table in tables()
    ]
    ours = [theirs for theirs in compared if set(theirs) in known]
    assert len(ours) > 20
    for theirs in ours:
        assert theirs in texts


def body_of(step: Manifest) -> Manifest | None:
    if step.get("use") == "pod-in":
        given = step["with"]
        spec = {"containers": given["containers"], "initContainers": given["inits"]}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": given["pod"]},
            "spec": spec,
            "status": given["status"],
        }
    body = step.get("body")
    return body if isinstance(body, dict) and "kind" in body else None


def printed() -> Iterator[tuple[str, Resource, Manifest, Manifest]]:
    """Each object of the recordings that is shown as it was sent, with the row it got."""
    rows: dict[tuple[str, str], Manifest] = {}
    for _, table in tables():
        names = tuple(column["name"] for column in table["columnDefinitions"])
        for row in table["rows"]:
            rows[(",".join(names), str(row["cells"][0]))] = row
    for group in ("pods", "cluster"):
        for step in recorded(f"tables/{group}").get("steps", ()):
            body = body_of(step)
            resource = registry.by_api_version(body["apiVersion"], body["kind"]) if body else None
            if not body or not resource or resource.kind in ("Event", "ResourceQuota"):
                continue
            name = body["metadata"]["name"]
            row = rows.get((",".join(c.name for c in resource.columns), name))
            if row:
                yield name, resource, body, row


@pytest.mark.parametrize(
    ("resource", "body", "row"),
    [pytest.param(*rest, id=f"{rest[0].kind} {name}") for name, *rest in printed() if name != "u-bound"],
)
def test_n219_an_object_is_printed_as_upstream_prints_it(resource: Resource, body: Manifest, row: Manifest) -> None:
    manifest, _ = decode_body(resource, msgspec.json.encode(body), "application/json")
    manifest["metadata"]["creationTimestamp"] = "2026-11-21T02:50:00Z"
    resource.default(manifest)
    if "status" not in body and not resource.keeps_status_on_create:
        resource.prepare_create(manifest)
    ages = [i for i, column in enumerate(resource.columns) if column.name in ("Age", "Created At")]
    ours, theirs = resource.cells(manifest, NOW), list(row["cells"])
    for i in ages:
        ours[i] = theirs[i] = "an age"
    assert ours == theirs
    assert resource.row_conditions(manifest) == row.get("conditions", [])


def test_an_event_is_printed_alike_in_both_groups() -> None:
    (row,) = [r for step, t in tables() if step == "event table" for r in t["rows"] if r["cells"][-1] == "a"]
    (step,) = [s for s in recorded("tables/cluster")["steps"] if (s.get("body") or {}).get("kind") == "Event"]
    core, new = registry.by_kind("", "v1", "Event"), registry.by_kind("events.k8s.io", "v1", "Event")
    assert core
    assert new
    from holdfast.api.events.event import from_core

    event = step["body"]
    core.default(event)
    assert core.cells(event, NOW) == row["cells"]
    assert new.cells(from_core(event), NOW) == row["cells"]
