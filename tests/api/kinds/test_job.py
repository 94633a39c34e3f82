"""What is refused of a Job, in upstream's words (A80, W50, W55)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from holdfast.api.batch.job import JOBS


def job(**spec: Any) -> dict[str, Any]:
    """As it is stored: defaulted, with its selector."""
    container = {"name": "main", "image": "app:1", "resources": {"limits": {"cpu": "1"}}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    name = spec.pop("name", "once")
    manifest = {"metadata": {"name": name, "namespace": "default", "uid": "u"}, "spec": {"template": template, **spec}}
    JOBS.default(manifest)
    assert JOBS.prepare_create is not None
    JOBS.prepare_create(manifest)
    return manifest


def errors(**spec: Any) -> list[str]:
    assert JOBS.validate is not None
    return [str(error) for error in JOBS.validate(job(**spec))]


def indexed(**spec: Any) -> list[str]:
    return errors(**{"completionMode": "Indexed", "completions": 4, **spec})


def policy(**rule: Any) -> dict[str, Any]:
    return {"podFailurePolicy": {"rules": [{"action": "Count", **rule}]}}


def codes(*values: int, operator: str = "In", **more: Any) -> dict[str, Any]:
    return {"onExitCodes": {"operator": operator, "values": list(values), **more}}


RULE = "spec.podFailurePolicy.rules[0]"
SUCCESS = "spec.successPolicy.rules[0]"


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"),
        (
            {"managedBy": "me"},
            'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        ({"managedBy": "a.io/" + "b" * 59}, "spec.managedBy: Too long: may not be more than 63 bytes"),
        (
            {"successPolicy": {"rules": []}},
            'spec.successPolicy: Invalid value: {"rules":[]}: requires indexed completion mode',
        ),
        (policy(), f"{RULE}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"),
        (
            policy(action="", **codes(1)),
            f'{RULE}.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
        ),
        (
            policy(action="FailIndex", **codes(1)),
            f'{RULE}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
        ),
        (policy(**codes(2, 1)), f"{RULE}.onExitCodes.values: Invalid value: [2,1]: must be ordered"),
        (policy(**codes(1, 1)), f"{RULE}.onExitCodes.values[1]: Duplicate value: 1"),
        (
            policy(**codes(1, containerName="other")),
            f'{RULE}.onExitCodes.containerName: Invalid value: "other": '
            "must be one of the container or initContainer names in the pod template",
        ),
        (
            policy(onPodConditions=[{"type": "Ready", "status": "Maybe"}]),
            f'{RULE}.onPodConditions[0].status: Unsupported value: "Maybe": '
            'supported values: "False", "True", "Unknown"',
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count", **codes(1)}] * 21}},
            "spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items",
        ),
    ],
)
def test_a_job_is_refused(spec: dict[str, Any], refusal: str) -> None:
    assert errors(**spec) == [refusal]


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"maxFailedIndexes": 1}, "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"),
        (
            {"maxFailedIndexes": 5, "backoffLimitPerIndex": 1},
            "spec.maxFailedIndexes: Invalid value: 5: must be less than or equal to completions",
        ),
        (
            {"completions": 100_001, "backoffLimitPerIndex": 1},
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
        ),
        (
            {"name": "n" * 62},
            f'metadata.name: Invalid value: "{"n" * 62}": '
            f"will not able to create pod with invalid DNS label: {'n' * 62}-3",
        ),
        (
            {"successPolicy": {"rules": []}},
            "spec.successPolicy.rules: Required value: "
            "at least one rules must be specified when the successPolicy is specified",
        ),
        (
            {"successPolicy": {"rules": [{}]}},
            f"{SUCCESS}: Required value: at least one of succeededCount or succeededIndexes must be specified",
        ),
        (
            {"successPolicy": {"rules": [{"succeededCount": 5}]}},
            f"{SUCCESS}.succeededCount: Invalid value: 5: must be less than or equal to 4 "
            "(the number of specified completions)",
        ),
        (
            {"successPolicy": {"rules": [{"succeededIndexes": "0-1", "succeededCount": 3}]}},
            f"{SUCCESS}.succeededCount: Invalid value: 3: must be less than or equal to 2 "
            "(the number of indexes in the specified succeededIndexes field)",
        ),
    ],
)
def test_an_indexed_job_is_refused(spec: dict[str, Any], refusal: str) -> None:
    assert indexed(**spec) == [refusal]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (
            "0-1-2",
            'the fragment "0-1-2" violates the requirement that an index interval can have '
            "at most two parts separated by '-'",
        ),
        ("x", 'cannot convert string to integer for index: "x"'),
        ("0,4", 'too large index: "4"'),
        ("2,1", "non-increasing order, previous: 2, current: 1"),
        ("2-1", "non-increasing order, previous: 2, current: 1"),
    ],
)
def test_indexes_that_cannot_be_read_are_refused(text: str, refusal: str) -> None:
    (error,) = indexed(successPolicy={"rules": [{"succeededIndexes": text}]})
    assert error.endswith(f": error parsing succeededIndexes: {refusal}")


def test_what_is_right_is_taken() -> None:
    assert errors(managedBy="example.com/mine", **policy(action="FailJob", **codes(1, 2))) == []
    rules = [{"succeededIndexes": "0,2-3", "succeededCount": 2}, {"succeededCount": 4}]
    assert indexed(successPolicy={"rules": rules}, backoffLimitPerIndex=1, maxFailedIndexes=4) == []


@pytest.mark.parametrize(
    ("status", "suspend", "is_free"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"startTime": "2026-01-01T00:00:00Z"}, True, False),
        ({"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]}, True, True),
        ({"active": 1, "conditions": [{"type": "Suspended", "status": "True"}]}, True, False),
    ],
)
def test_a_suspended_job_without_pods_may_get_other_resources_and_other_nodes(
    status: dict[str, Any], suspend: bool, is_free: bool
) -> None:
    old = {**job(suspend=suspend), "status": status}
    new = deepcopy(old)
    new["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    new["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2"}}
    assert JOBS.validate_update is not None
    assert (not JOBS.validate_update(new, old)) == is_free
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"
    assert JOBS.validate_update(new, old)


def test_a_job_tells_of_its_spec_before_its_selector() -> None:
    wrong = job(parallelism=-1, selector={"matchExpressions": [{"key": "a", "operator": "Like"}]})
    assert [str(error) for error in JOBS.validate(wrong)] == [
        "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        'spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
    ]


def test_labels_by_which_a_job_finds_its_pods_are_not_the_clients() -> None:
    container = {"name": "main", "image": "app:1"}
    metadata = {"labels": {"job-name": "other"}}
    template = {"metadata": metadata, "spec": {"restartPolicy": "Never", "containers": [container]}}
    manifest = {"metadata": {"name": "once", "namespace": "default", "uid": "u"}, "spec": {"template": template}}
    JOBS.default(manifest)
    JOBS.prepare_create(manifest)
    (error,) = JOBS.validate(manifest)
    assert error.field == "spec.template.metadata.labels[job-name]"
    assert error.message.endswith(": must be 'once'")


def test_an_indexed_job_grows_with_its_parallelism() -> None:
    old = job(completionMode="Indexed", completions=2, parallelism=2)

    def refusals(**spec: int) -> list[str]:
        return [str(error) for error in JOBS.validate_update({**old, "spec": {**old["spec"], **spec}}, old)]

    assert refusals(completions=3, parallelism=3) == []
    assert refusals(parallelism=1) == []
    assert refusals(completions=3) == [
        "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"
    ]


def test_of_a_suspended_jobs_affinity_only_that_to_nodes_changes() -> None:
    old = job(suspend=True)
    nodes = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
    near = [{"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}]

    def refusals(affinity: dict[str, Any]) -> int:
        new = deepcopy(old)
        new["spec"]["template"]["spec"]["affinity"] = affinity
        return len(JOBS.validate_update(new, old))

    assert refusals({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": nodes}}) == 0
    assert refusals({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": near}}) == 1


def test_a_policy_for_failures_needs_pods_that_fail() -> None:
    (error,) = JOBS.validate(_restarting("OnFailure"))
    assert error.message.endswith('"OnFailure": only "Never" is supported when podFailurePolicy is specified')
    (error,) = JOBS.validate(_restarting("Always"))
    assert error.message == 'Required value: valid values: "OnFailure", "Never"'


def _restarting(restart: str) -> dict[str, Any]:
    manifest = job(**policy(**codes(1)))
    manifest["spec"]["template"]["spec"]["restartPolicy"] = restart
    return manifest
