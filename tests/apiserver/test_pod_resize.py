"""What a resize may change of a pod, and in which words all else is refused (N148)."""

from __future__ import annotations

from typing import Any

import pytest

PODS = "/api/v1/namespaces/ns/pods"
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
ASKED = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}


def container(name: str = "c0", resources: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return {"name": name, "image": "a:1", "resources": ASKED if resources is None else resources, **members}


async def make(web: Any, *containers: dict[str, Any], **spec: Any) -> None:
    spec = {"containers": list(containers) or [container()], **spec}
    assert (await web("POST", PODS, {"metadata": {"name": "a"}, "spec": spec})).code == 201


async def resize(web: Any, headers: dict[str, str] = STRATEGIC, **spec: Any) -> Any:
    return await web("PATCH", f"{PODS}/a/resize", {"spec": spec}, headers=headers)


def refusals(answer: Any) -> list[str]:
    assert (answer.code, answer["reason"]) == (422, "Invalid")
    return [f"{cause['field']}: {cause['message'].partition(chr(10))[0]}" for cause in answer["details"]["causes"]]


@pytest.mark.parametrize(
    ("resources", "refused"),
    [
        ({"limits": {"cpu": None}},
         ["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"]),
        ({"requests": {"memory": None}},
         ["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"]),
        ({"requests": {"ephemeral-storage": "1Gi"}}, ["spec: Forbidden: only cpu and memory resources are mutable"]),
        ({"limits": {"memory": "1Gi", "cpu": "1"}},
         ['spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing']),
    ],
)  # fmt: skip
async def test_n148_what_a_resize_may_not_change_is_refused(web: Any, resources: Any, refused: list[str]) -> None:
    await make(web)
    assert refusals(await resize(web, containers=[{"name": "c0", "resources": resources}])) == refused


async def test_n148_a_refused_resize_shows_what_it_would_have_changed_and_nothing_else(web: Any) -> None:
    await make(web)
    answer = await resize(web, containers=[{"name": "c0", "resources": {"requests": {"ephemeral-storage": "1Gi"}}}])
    changed = [line for line in answer["message"].splitlines() if line[:1] in ("+", "-")]
    assert changed == ['+     "ephemeral-storage": "1Gi",']


async def test_n148_containers_stay_the_same_and_in_their_order(web: Any) -> None:
    await make(web, container(), container("c1"))
    moved = await resize(web, MERGE, containers=[container("c1"), container()])
    said = "Forbidden: containers may not be renamed or reordered on resize"
    assert refusals(moved) == [f"spec.containers[{i}].name: {said}" for i in range(2)]
    fewer = await resize(web, MERGE, containers=[container()])
    assert refusals(fewer) == ["spec.containers: Forbidden: containers may not be added or removed on resize"]


async def test_n148_how_a_resize_is_done_is_not_changed_by_one(web: Any) -> None:
    policy = {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}
    await make(web, container(**policy))
    answer = await resize(web, MERGE, containers=[container()])
    assert refusals(answer) == ["spec: Forbidden: only cpu and memory resources are mutable"]
    kept = await resize(web, containers=[{"name": "c0", "resources": {"requests": {"cpu": "500m"}}}])
    assert (kept.code, kept["metadata"]["generation"]) == (200, 2)


async def test_n148_all_else_that_a_resize_says_is_passed_over(web: Any) -> None:
    await make(web)
    pod = await resize(web, containers=[{"name": "c0", "image": "b:1", "resources": ASKED}], hostname="x")
    assert (pod.code, pod["metadata"]["generation"]) == (200, 1)
    assert pod["spec"]["containers"][0]["image"] == "a:1"


async def test_n148_a_pod_s_own_resources_and_those_of_its_init_containers_may_change(web: Any) -> None:
    own = {"requests": {"cpu": "2"}, "limits": {"cpu": "4", "memory": "4Gi"}}
    await make(web, initContainers=[container("first")], resources=own)
    wanted = {"requests": {"cpu": "3"}}
    first = {"name": "first", "resources": {"requests": {"cpu": "500m"}}}
    pod = await resize(web, resources=wanted, initContainers=[first])
    assert (pod.code, pod["spec"]["resources"]["requests"]["cpu"]) == (200, "3")
    assert pod["spec"]["initContainers"][0]["resources"]["requests"]["cpu"] == "500m"
    assert refusals(await resize(web, resources={"limits": {"cpu": None}})) == [
        "spec.resources.limits: Forbidden: resource limits cannot be removed"
    ]
