"""What a Job's status may not become, given what it was: in upstream's words, as ValidateJobUpdateStatus has them."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.batch.job import JOBS
from holdfast.api.batch.job_indexes import overlap

START, LATER = "2026-01-02T03:04:05Z", "2026-01-02T03:05:05Z"
INDEXED = {"completionMode": "Indexed", "completions": 4, "parallelism": 2}


def conditions(*names: str) -> list[dict[str, str]]:
    return [{"type": name, "status": "True"} for name in names]


def status(*names: str, **members: Any) -> dict[str, Any]:
    return {"startTime": START, "conditions": conditions(*names), **members}


COMPLETE = status("SuccessCriteriaMet", "Complete", completionTime=LATER, succeeded=1)
FAILED = status("FailureTarget", "Failed", failed=1)


def errors(new: dict[str, Any], old: dict[str, Any] | None = None, **spec: Any) -> list[str]:
    spec = {"completionMode": "NonIndexed", "completions": 1, "parallelism": 1, **spec}
    before = {"spec": spec, "status": {"startTime": START} if old is None else old}
    return [str(error) for error in JOBS.validate_status_update({"spec": spec, "status": new}, before)]


WHOLE = "status.conditions: Invalid value: "


@pytest.mark.parametrize(
    ("new", "old", "spec", "refusal"),
    [
        ({"active": -1}, {}, {}, "status.active: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}},
            {},
            {},
            'status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty|'
            'status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"',
        ),
        (
            {**COMPLETE, "conditions": conditions("SuccessCriteriaMet", "Complete", "FailureTarget")},
            None,
            {},
            f"{WHOLE}cannot set Complete=True and FailureTarget=true conditions|"
            f"{WHOLE}cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        ),
        (
            status(completionTime=LATER),
            None,
            {},
            f'status.completionTime: Invalid value: "{LATER}": '
            "cannot set completionTime when there is no Complete=True condition",
        ),
        (
            status("SuccessCriteriaMet", "Complete"),
            None,
            {},
            "status.completionTime: Required value: completionTime is required for Complete jobs",
        ),
        (
            {**COMPLETE, "startTime": LATER, "completionTime": START},
            {},
            {},
            f'status.completionTime: Invalid value: "{START}": completionTime cannot be set before startTime',
        ),
        (
            status("Failed"),
            None,
            {},
            f"{WHOLE}cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            status("Complete", completionTime=LATER),
            None,
            {},
            f"{WHOLE}cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        ({**FAILED, "active": 2}, None, {}, "status.active: Invalid value: 2: active>0 is invalid for finished job"),
        (
            {"conditions": conditions("FailureTarget", "Failed")},
            {},
            {},
            "status.startTime: Required value: startTime is required for finished job",
        ),
        (
            {**FAILED, "uncountedTerminatedPods": {"failed": ["a"]}},
            None,
            {},
            'status.uncountedTerminatedPods: Invalid value: {"Succeeded":null,"Failed":["a"]}: '
            "uncountedTerminatedPods needs to be empty for finished job",
        ),
        (
            {**FAILED, "terminating": 1},
            None,
            {},
            "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
        ),
        (
            {"active": 1, "ready": 2},
            {},
            {},
            "status.ready: Invalid value: 2: cannot set more ready pods than active",
        ),
        (
            {"completedIndexes": "0-9"},
            {},
            INDEXED,
            'status.completedIndexes: Invalid value: "0-9": error parsing completedIndexes: too large index: "9"',
        ),
        (
            {"completedIndexes": "1,0"},
            {},
            INDEXED,
            'status.completedIndexes: Invalid value: "1,0": error parsing completedIndexes: '
            "non-increasing order, previous: 1, current: 0",
        ),
        (
            {"completedIndexes": "0"},
            {},
            {},
            'status.completedIndexes: Invalid value: "0": '
            "cannot set non-empty completedIndexes when non-indexed completion mode",
        ),
        (
            {"failedIndexes": "x"},
            {},
            {**INDEXED, "backoffLimitPerIndex": 1},
            'status.failedIndexes: Invalid value: "x": error parsing failedIndexes: '
            'cannot convert string to integer for index: "x"',
        ),
        (
            {"failedIndexes": ""},
            {},
            INDEXED,
            'status.failedIndexes: Invalid value: "": '
            "cannot set non-null failedIndexes when backoffLimitPerIndex is null",
        ),
        (
            {"completedIndexes": "0-2", "failedIndexes": "1,3"},
            {},
            {**INDEXED, "backoffLimitPerIndex": 1},
            'status.failedIndexes: Invalid value: "1,3": failedIndexes and completedIndexes overlap at index: 1',
        ),
        (status("FailureTarget", failed=1), FAILED, {}, f"{WHOLE}cannot disable the terminal Failed=True condition"),
        ({**FAILED, "failed": 0}, FAILED, {}, "status.failed: Invalid value: 0: cannot decrease the failed counter"),
        (
            {**COMPLETE, "succeeded": 0},
            COMPLETE,
            {},
            "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
        ),
        (
            {**COMPLETE, "completionTime": "2026-01-02T03:06:05Z"},
            COMPLETE,
            {},
            'status.completionTime: Invalid value: "2026-01-02T03:06:05Z": completionTime cannot be mutated',
        ),
        (
            {"startTime": LATER},
            {"startTime": START},
            {},
            "status.startTime: Required value: startTime cannot be removed for unsuspended job",
        ),
        (
            status(),
            status("SuccessCriteriaMet"),
            {},
            f"{WHOLE}cannot disable the SuccessCriteriaMet=True condition",
        ),
        (
            COMPLETE,
            status("Complete", completionTime=LATER, succeeded=1),
            {},
            f"{WHOLE}cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
        ),
        (
            status("Complete", completionTime=LATER),
            status("Complete", completionTime=LATER),
            {"successPolicy": {"rules": []}},
            f"{WHOLE}cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        ),
    ],
)
def test_what_the_status_of_a_job_may_not_become(new: Any, old: Any, spec: Any, refusal: str) -> None:
    assert errors(new, old, **spec) == refusal.split("|")


@pytest.mark.parametrize(
    ("new", "old", "spec"),
    [
        (COMPLETE, None, {}),
        (FAILED, None, {}),
        ({**COMPLETE, "ready": 0}, COMPLETE, {}),
        ({}, {"startTime": START}, {"suspend": True}),
        ({"succeeded": 1}, {"succeeded": 2}, {**INDEXED, "parallelism": 4}),
        ({"completedIndexes": "0,2-3", "failedIndexes": "1"}, {}, {**INDEXED, "backoffLimitPerIndex": 0}),
    ],
)
def test_what_the_status_of_a_job_may_become(new: Any, old: Any, spec: Any) -> None:
    assert errors(new, old, **spec) == []


@pytest.mark.parametrize(
    "wrong",
    [
        status("Failed"),
        status("Complete"),
        {**FAILED, "active": 1},
        {"conditions": conditions("FailureTarget", "Failed")},
        {"completedIndexes": "7", "active": 1, "ready": 3, "completionTime": LATER},
    ],
)
def test_a_status_that_is_wrong_already_does_not_keep_its_rest_from_being_written(wrong: dict[str, Any]) -> None:
    assert errors({**wrong, "succeeded": 3}, wrong) == []


@pytest.mark.parametrize(
    ("one", "other", "at"),
    [("0-3", "3", 3), ("0,2", "1,3", None), ("", "1", None), ("x,2", "0-5", 2), ("4-5", "0,5", 5), ("9-1", "1", None)],
)
def test_the_first_index_in_both_texts(one: str, other: str, at: int | None) -> None:
    assert overlap(one, other, 10) == at
