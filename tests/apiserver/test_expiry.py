"""Events go an hour after they last happened (A262)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.apiserver import expiry

EVENTS = "/api/v1/namespaces/ns/events"


async def test_old_events_go_and_recurring_ones_stay(web: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "LOOK_EVERY_S", 0.01)
    body = {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "ns"}, "reason": "R", "message": "m"}
    for name in ("old", "recurring"):
        assert (await web("POST", EVENTS, {"metadata": {"name": name}, **body})).code == 201
    clock.advance(3500)
    patch = {"lastTimestamp": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), "count": 2}
    headers = {"content-type": "application/merge-patch+json"}
    assert (await web("PATCH", f"{EVENTS}/recurring", patch, headers=headers)).code == 200
    stream = await web.watch(f"{EVENTS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    clock.advance(200)
    (deleted,) = await stream.events(1)
    assert (deleted["type"], deleted["object"]["metadata"]["name"]) == ("DELETED", "old")
    assert (await web("GET", f"{EVENTS}/recurring")).code == 200
