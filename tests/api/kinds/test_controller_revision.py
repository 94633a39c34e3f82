"""ControllerRevisions (S80)."""

from __future__ import annotations

from datetime import UTC, datetime

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS

REVISION = {
    "metadata": {
        "name": "web-1",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "controller": True}],
    },
    "data": {"spec": {"template": {}}},
    "revision": 3,
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_s80_data_must_be_an_object() -> None:
    assert CONTROLLER_REVISIONS.validate(REVISION) == []
    (error,) = CONTROLLER_REVISIONS.validate({**REVISION, "data": None})
    assert str(error) == "data: Required value: data is mandatory"


def test_s80_data_never_changes_but_the_number_may() -> None:
    assert CONTROLLER_REVISIONS.validate_update({**REVISION, "revision": 9}, REVISION) == []
    (error,) = CONTROLLER_REVISIONS.validate_update({**REVISION, "data": {"spec": {}}}, REVISION)
    assert str(error) == 'data: Invalid value: {"spec":{}}: field is immutable'


def test_s194_the_controller_is_named_with_its_group() -> None:
    assert CONTROLLER_REVISIONS.cells(REVISION, NOW) == ["web-1", "statefulset.apps/web", 3, "<unknown>"]
    orphan = {**REVISION, "metadata": {"name": "web-1"}}
    assert CONTROLLER_REVISIONS.cells(orphan, NOW)[1] == "<none>"
