"""Finished Jobs that go after their time (W56)."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.times import format_time
from holdfast.controllers.ttl.plan import Observed, plan

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def look(ttl, kind="Complete", ago_s=100, **metadata):
    conditions = [
        {"type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": format_time(NOW - timedelta(days=1))},
        {"type": kind, "status": "True", "lastTransitionTime": format_time(NOW - timedelta(seconds=ago_s))},
    ]
    metadata = {"name": "once", "namespace": "default", "uid": "u", "resourceVersion": "7", **metadata}
    spec = {} if ttl is None else {"ttlSecondsAfterFinished": ttl}
    return plan(Observed({"metadata": metadata, "spec": spec, "status": {"conditions": conditions}}, NOW))


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
@pytest.mark.parametrize("ttl", [0, 100])
def test_w56_a_job_whose_time_is_over_goes_and_its_pods_before_it(kind, ttl):
    (deletion,) = look(ttl, kind).actions
    assert (deletion.name, deletion.uid, deletion.propagation) == ("once", "u", "Foreground")
    assert deletion.resource_version == "7", "not if it was changed since"


def test_w56_it_is_looked_at_again_when_its_time_is_over():
    planned = look(160)
    assert not planned.actions
    assert planned.again_after_s == 60


@pytest.mark.parametrize(
    "planned",
    [
        pytest.param(look(None), id="no limit"),
        pytest.param(look(0, "Suspended"), id="not finished"),
        pytest.param(look(0, deletionTimestamp=format_time(NOW)), id="going already"),
    ],
)
def test_w56_others_stay(planned):
    assert not planned.actions
    assert planned.again_after_s is None
