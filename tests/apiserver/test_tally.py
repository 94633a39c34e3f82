"""What the API server tells Prometheus of itself."""

from __future__ import annotations

import re
from typing import Any

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


async def metrics(web: Any) -> dict[str, str]:
    """Values by name and labels, as they are written."""
    answer = await web("GET", "/metrics")
    assert answer.code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.body.splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def requests(found: dict[str, str], **labels: str) -> int:
    """How many requests with these labels there were."""
    total = 0
    for name, value in found.items():
        if name.startswith("apiserver_request_total{"):
            told = dict(re.findall(r'(\w+)="([^"]*)"', name))
            if all(told[label] == wanted for label, wanted in labels.items()):
                total += int(value)
    return total


async def test_requests_are_counted_by_what_they_asked_and_how_they_ended(web: Any) -> None:
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "one"}})
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "one"}})
    await web("GET", f"{CONFIG_MAPS}/one")
    await web("GET", f"{CONFIG_MAPS}/none")
    await web("GET", "/api/v1/configmaps")
    found = await metrics(web)
    assert requests(found, resource="configmaps", verb="POST", code="201", scope="namespace") == 1
    assert requests(found, resource="configmaps", verb="POST", code="409") == 1
    assert requests(found, resource="configmaps", verb="GET", code="200", scope="resource") == 1
    assert requests(found, resource="configmaps", verb="GET", code="404") == 1
    assert requests(found, resource="configmaps", verb="LIST", code="200", scope="cluster") == 1


async def test_objects_are_counted_by_kind(web: Any) -> None:
    before = await metrics(web)
    await web("POST", CONFIG_MAPS, {"metadata": {"name": "one"}})
    after = await metrics(web)
    for name in (
        'apiserver_storage_objects{resource="configmaps"}',
        'apiserver_resource_objects{group="",resource="configmaps"}',
    ):
        assert int(after[name]) == int(before[name]) + 1
    assert 'apiserver_storage_objects{resource="statefulsets.apps"}' in after
    assert float(after["process_resident_memory_bytes"]) > 0


async def test_not_everybody_may_look(web: Any, jane_token: str) -> None:
    answer = await web("GET", "/metrics", token=jane_token)
    assert answer.code == 403
    assert 'cannot get path "/metrics"' in answer["message"]
