"""What is said of definitions whose resources nobody serves (A199)."""

from __future__ import annotations

from datetime import UTC, datetime

from holdfast.api.resource import Manifest
from holdfast.controllers.definitions.plan import MESSAGE, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def definition(*conditions: Manifest) -> Manifest:
    status = {
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": [*conditions] or None,
        "storedVersions": ["v1"],
    }
    return {"metadata": {"name": "gears.example.com"}, "status": status}


def test_a_definition_is_not_established_and_says_why() -> None:
    update = plan(definition(), NOW).status
    assert update is not None
    assert update.subresource == "status"
    assert update.manifest["status"]["conditions"] == [
        {
            "type": "Established",
            "status": "False",
            "reason": "NotServed",
            "message": MESSAGE,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]


def test_it_is_said_once() -> None:
    update = plan(definition(), NOW).status
    assert update is not None
    assert plan(update.manifest, NOW).status is None


def test_a_claim_to_be_established_is_taken_back_and_other_conditions_stay() -> None:
    accepted = {"type": "NamesAccepted", "status": "True"}
    update = plan(definition({"type": "Established", "status": "True"}, accepted), NOW).status
    assert update is not None
    assert [(one["type"], one["status"]) for one in update.manifest["status"]["conditions"]] == [
        ("NamesAccepted", "True"),
        ("Established", "False"),
    ]
