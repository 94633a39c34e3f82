"""Evictions, and the disruption budgets that they count against (A154, W77, W78, W123)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

PODS = "/api/v1/namespaces/ns/pods"
BUDGETS = "/apis/policy/v1/namespaces/ns/poddisruptionbudgets"
MERGE = {"content-type": "application/merge-patch+json"}
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


async def run(web: Any, name: str, *, ready: bool = True, phase: str = "Running") -> Any:
    """A pod with the label of the budget, on a node, in that phase."""
    spec = {"nodeName": "n1", "containers": [{"name": "main", "image": "app:1"}]}
    made = await web("POST", PODS, {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec})
    assert made.code == 201
    conditions = [{"type": "Ready", "status": str(ready)}]
    return await web("PATCH", f"{PODS}/{name}/status", {"status": {"phase": phase, "conditions": conditions}},
                     headers=MERGE)  # fmt: skip


async def budget(web: Any, name: str = "b", allowed: int = 0, healthy: int = 1, needed: int = 1, **more: Any) -> Any:
    """A budget for the pods, with a status as the controller writes it."""
    spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1, **more.pop("spec", {})}
    assert (await web("POST", BUDGETS, {"metadata": {"name": name}, "spec": spec})).code == 201
    status = {
        "observedGeneration": 1,
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": needed,
        "expectedPods": healthy,
        **more,
    }
    return await web("PATCH", f"{BUDGETS}/{name}/status", {"status": status}, headers=MERGE)


async def evict(web: Any, name: str, query: str = "", **options: Any) -> Any:
    body = {"metadata": {"name": name}, **({"deleteOptions": options} if options else {})}
    return await web("POST", f"{PODS}/{name}/eviction{query}", body)


async def is_leaving(web: Any, name: str) -> bool:
    return "deletionTimestamp" in (await web("GET", f"{PODS}/{name}"))["metadata"]


def cause(answer: Any) -> str:
    assert (answer.code, answer["reason"], answer["message"]) == (429, "TooManyRequests", REFUSED)
    (one,) = answer["details"]["causes"]
    assert one["reason"] == "DisruptionBudget"
    return str(one["message"])


async def test_without_a_budget_an_eviction_is_a_deletion_with_a_reason(web: Any) -> None:
    await run(web, "a")
    answer = await evict(web, "a")
    assert (answer.code, answer.body) == (
        201,
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201},
    )
    pod = await web("GET", f"{PODS}/a")
    assert pod["metadata"]["deletionTimestamp"]
    mark = pod["status"]["conditions"][-1]
    assert (mark["type"], mark["status"], mark["reason"], mark["message"]) == (
        "DisruptionTarget",
        "True",
        "EvictionByEvictionAPI",
        "Eviction API: evicting",
    )


async def test_a_budget_that_is_spent_refuses(web: Any) -> None:
    await run(web, "a")
    await budget(web)
    answer = await evict(web, "a")
    assert cause(answer) == "The disruption budget b needs 1 healthy pods and has 1 currently"
    assert "Retry-After" not in answer.headers
    assert "retryAfterSeconds" not in answer["details"]
    assert not await is_leaving(web, "a")


async def test_a_granted_eviction_is_taken_from_the_budget_and_named_in_it(web: Any) -> None:
    await run(web, "a")
    await budget(web, allowed=1, healthy=2)
    assert (await evict(web, "a")).code == 201
    status = (await web("GET", f"{BUDGETS}/b"))["status"]
    assert (status["disruptionsAllowed"], status["disruptedPods"]) == (0, {"a": "2026-01-02T03:04:05Z"})
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "DisruptionAllowed",
        "False",
        "InsufficientPods",
    )
    assert await is_leaving(web, "a")


async def test_of_sixteen_evictions_at_once_a_budget_of_one_lets_exactly_one_through(web: Any) -> None:
    names = [f"p{number}" for number in range(16)]
    for name in names:
        await run(web, name)
    await budget(web, allowed=1, healthy=16, needed=15)
    answers = await asyncio.gather(*(evict(web, name) for name in names))
    assert sorted(answer.code for answer in answers) == [201, *[429] * 15]
    assert [await is_leaving(web, name) for name in names].count(True) == 1
    assert len((await web("GET", f"{BUDGETS}/b"))["status"]["disruptedPods"]) == 1


async def test_a_budget_that_is_not_observed_yet_asks_to_come_again(web: Any) -> None:
    await run(web, "a")
    await budget(web, allowed=1)
    await web("PATCH", f"{BUDGETS}/b", {"spec": {"minAvailable": 2}}, headers=MERGE)
    answer = await evict(web, "a")
    assert cause(answer) == "The disruption budget b is still being processed by the server."
    assert answer["details"]["retryAfterSeconds"] == 10
    assert answer.headers["Retry-After"] == ["10"]


async def test_two_budgets_for_one_pod_are_an_error(web: Any) -> None:
    await run(web, "a")
    await budget(web, "b", allowed=1)
    await budget(web, "c", allowed=1)
    answer = await evict(web, "a")
    assert (answer.code, answer.body) == (
        500,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
            "support.",
            "code": 500,
        },
    )
    assert not await is_leaving(web, "a")


async def test_an_empty_selector_means_every_pod_and_another_namespaces_budget_none(web: Any) -> None:
    await run(web, "a")
    await web("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    spec: Any = {"selector": {}, "maxUnavailable": 0}
    await web("POST", BUDGETS.replace("/ns/", "/other/"), {"metadata": {"name": "b"}, "spec": spec})
    assert (await evict(web, "a", dryRun=["All"])).code == 201
    await budget(web, spec={"selector": {}})
    assert (await evict(web, "a")).code == 429


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
async def test_pods_whose_end_disrupts_nothing_skip_the_budget(web: Any, phase: str) -> None:
    await run(web, "a", phase=phase)
    await budget(web)
    assert (await evict(web, "a")).code == 201
    assert (await web("GET", f"{BUDGETS}/b"))["status"].get("disruptedPods") is None


async def test_a_pod_that_is_leaving_already_skips_the_budget(web: Any) -> None:
    await run(web, "a")
    await budget(web)
    await web("DELETE", f"{PODS}/a")
    assert (await evict(web, "a")).code == 201


@pytest.mark.parametrize(
    ("policy", "healthy", "needed", "code"),
    [
        (None, 1, 1, 201),
        (None, 0, 1, 429),
        (None, 1, 0, 429),
        ("IfHealthyBudget", 1, 1, 201),
        ("IfHealthyBudget", 0, 1, 429),
        ("AlwaysAllow", 0, 1, 201),
    ],
)
async def test_pods_that_are_not_ready_follow_the_policy_for_them(
    web: Any, policy: str | None, healthy: int, needed: int, code: int
) -> None:
    await run(web, "a", ready=False)
    spec = {"unhealthyPodEvictionPolicy": policy} if policy else {}
    await budget(web, healthy=healthy, needed=needed, spec=spec)
    assert (await evict(web, "a")).code == code
    assert (await web("GET", f"{BUDGETS}/b"))["status"]["disruptionsAllowed"] == 0


async def test_a_budget_whose_sync_failed_says_why(web: Any) -> None:
    await run(web, "a")
    at = "2026-01-01T00:00:00Z"
    failed = {
        "type": "DisruptionAllowed",
        "status": "False",
        "reason": "SyncFailed",
        "message": "no",
        "lastTransitionTime": at,
    }
    await budget(web, conditions=[failed])
    assert cause(await evict(web, "a")) == (
        "The disruption budget b does not allow evicting pods currently because it failed sync: no"
    )


async def test_a_budget_that_allows_nothing_for_another_reason_says_no_numbers(web: Any) -> None:
    await run(web, "a")
    await budget(web, healthy=3, needed=1)
    assert cause(await evict(web, "a")) == "The disruption budget b does not allow evicting pods currently"


@pytest.mark.parametrize("how", ["query", "body"])
async def test_a_dry_run_asks_the_budget_and_changes_nothing(web: Any, how: str) -> None:
    await run(web, "a")
    await budget(web, allowed=1, healthy=2)
    pod, before = await web("GET", f"{PODS}/a"), await web("GET", f"{BUDGETS}/b")
    answer = await (evict(web, "a", "?dryRun=All") if how == "query" else evict(web, "a", dryRun=["All"]))
    assert answer.code == 201
    assert (await web("GET", f"{PODS}/a")).body == pod.body
    assert (await web("GET", f"{BUDGETS}/b")).body == before.body
    await web("PATCH", f"{BUDGETS}/b/status", {"status": {"disruptionsAllowed": 0}}, headers=MERGE)
    assert (await evict(web, "a", dryRun=["All"])).code == 429


async def test_preconditions_hold_for_the_pod_as_it_was_before_the_mark(web: Any) -> None:
    made = await run(web, "a")
    wrong = await evict(web, "a", preconditions={"uid": "other"})
    assert (wrong.code, wrong["reason"]) == (409, "Conflict")
    old = await evict(web, "a", preconditions={"resourceVersion": "1"})
    assert (old.code, old["reason"]) == (409, "Conflict")
    assert "DisruptionTarget" not in str((await web("GET", f"{PODS}/a"))["status"])
    metadata = made["metadata"]
    right = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    assert (await evict(web, "a", preconditions=right)).code == 201


async def test_a_mark_that_was_taken_back_is_set_again(web: Any) -> None:
    await run(web, "a")
    taken_back = [{"type": "DisruptionTarget", "status": "False"}]
    await web("PATCH", f"{PODS}/a/status", {"status": {"conditions": taken_back}}, headers=MERGE)
    await evict(web, "a")
    conditions = (await web("GET", f"{PODS}/a"))["status"]["conditions"]
    assert [(one["type"], one["status"]) for one in conditions] == [("DisruptionTarget", "True")]


async def test_a_pod_that_is_not_there_and_another_name_are_refused(web: Any) -> None:
    assert (await evict(web, "nobody")).code == 404
    for metadata in ({"name": "b"}, {}):
        answer = await web("POST", f"{PODS}/a/eviction", {"metadata": metadata})
        assert (answer.code, answer["message"]) == (400, "name in URL does not match name in Eviction object")


async def test_a_budget_with_too_many_evictions_on_their_way_is_forbidden(web: Any) -> None:
    await run(web, "a")
    many = {f"p{number}": "2026-01-02T03:04:05Z" for number in range(2001)}
    await budget(web, allowed=1, disruptedPods=many)
    answer = await evict(web, "a")
    assert (answer.code, answer["message"]) == (
        403,
        'poddisruptionbudget.policy "b" is forbidden: DisruptedPods map too big - too many evictions not confirmed by '
        "PDB controller",
    )


@pytest.mark.parametrize("version", ["policy/v1", "policy/v1beta1"])
async def test_both_versions_of_an_eviction_are_understood(web: Any, version: str) -> None:
    await run(web, "a")
    body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": "a", "namespace": "ns"}}
    assert (await web("POST", f"{PODS}/a/eviction", body)).code == 201
