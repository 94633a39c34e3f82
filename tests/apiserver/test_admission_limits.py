"""Limit ranges fill in what pods do not say, and refuse what is out of bounds (A242)."""

from __future__ import annotations

from typing import Any

import pytest

RANGES = "/api/v1/namespaces/ns/limitranges"
PODS = "/api/v1/namespaces/ns/pods"
CLAIMS = "/api/v1/namespaces/ns/persistentvolumeclaims"
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}


async def limit(web: Any, *limits: dict[str, Any], name: str = "l") -> None:
    assert (await web("POST", RANGES, {"metadata": {"name": name}, "spec": {"limits": list(limits)}})).code == 201


async def make(web: Any, *resources: dict[str, Any], name: str = "a", **spec: Any) -> Any:
    containers = [{"name": f"c{i}", "image": "a:1", "resources": each} for i, each in enumerate(resources or ({},))]
    return await web("POST", PODS, {"metadata": {"name": name}, "spec": {"containers": containers, **spec}})


async def claim(web: Any, size: str | None) -> Any:
    resources = {"requests": {"storage": size}} if size else {}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources}
    return await web("POST", CLAIMS, {"metadata": {"name": "a"}, "spec": spec})


def refusal(answer: Any) -> str:
    kind = answer["details"]["kind"]
    assert (answer.code, answer["reason"]) == (403, "Forbidden")
    begin = f'{kind} "a" is forbidden: '
    assert answer["message"].startswith(begin)
    return str(answer["message"].removeprefix(begin))


async def test_what_containers_do_not_say_is_filled_in_and_noted(web: Any) -> None:
    usual = {"cpu": "500m", "memory": "1Gi"}
    await limit(web, {"type": "Container", "default": usual, "defaultRequest": {"cpu": "200m", "memory": "1Gi"}})
    init = [{"name": "first", "image": "a:1"}]
    pod = await make(web, {}, {"requests": {"cpu": "100m"}, "limits": {"memory": "2Gi"}}, initContainers=init)
    first, second = pod["spec"]["containers"]
    assert first["resources"] == {"limits": usual, "requests": {"cpu": "200m", "memory": "1Gi"}}
    assert second["resources"] == {
        "requests": {"cpu": "100m", "memory": "2Gi"},
        "limits": {"memory": "2Gi", "cpu": "500m"},
    }
    assert pod["spec"]["initContainers"][0]["resources"]["limits"] == usual
    assert pod["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": (
            "LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for container c0; "
            "cpu limit for container c1; cpu, memory request for init container first; "
            "cpu, memory limit for init container first"
        )
    }
    assert pod["status"]["qosClass"] == "Burstable"


async def test_a_pod_that_says_everything_is_left_alone(web: Any) -> None:
    await limit(web, {"type": "Container", "default": {"cpu": "1"}})
    pod = await make(web, {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}})
    assert "annotations" not in pod["metadata"]


@pytest.mark.parametrize(
    ("limits", "resources", "text"),
    [
        ({"min": {"cpu": "1"}}, {"requests": {"cpu": "1m"}, "limits": {"cpu": "1"}},
         "minimum cpu usage per Container is 1, but request is 1m"),
        ({"min": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}}, {"limits": {"cpu": "1m"}, "requests": {"cpu": "1m"}},
         "minimum cpu usage per Container is 1, but request is 1m"),
        ({"max": {"cpu": "1"}}, {"limits": {"cpu": "3"}},
         "[maximum cpu usage per Container is 1, but limit is 3]"),
        ({"max": {"example.com/gpu": "1"}, "min": {"example.com/gpu": "1"}},
         {"limits": {"example.com/gpu": 2}, "requests": {"example.com/gpu": 2}},
         "maximum example.com/gpu usage per Container is 1, but limit is 2"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"limits": {"cpu": "3"}, "requests": {"cpu": "1"}},
         "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"requests": {"cpu": "1"}},
         "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {},
         "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"),
    ],
)  # fmt: skip
async def test_a_container_out_of_bounds_is_forbidden(
    web: Any, limits: dict[str, Any], resources: dict[str, Any], text: str
) -> None:
    await limit(web, {"type": "Container", **limits})
    assert refusal(await make(web, resources)) == text.strip("[]")


async def test_a_pod_is_measured_as_a_whole(web: Any) -> None:
    await limit(web, {"type": "Pod", "min": {"memory": "1Gi"}, "max": {"cpu": "3"}})
    each = {"requests": {"memory": "256Mi"}, "limits": {"cpu": "2", "memory": "256Mi"}}
    assert refusal(await make(web, each, each)) == (
        "[minimum memory usage per Pod is 1Gi, but request is 512Mi, maximum cpu usage per Pod is 3, but limit is 4]"
    )
    assert refusal(await make(web)) == (
        "[minimum memory usage per Pod is 1Gi.  No request is specified, "
        "maximum cpu usage per Pod is 3.  No limit is specified]"
    )


async def test_init_containers_run_one_after_the_other_and_count_as_the_largest(web: Any) -> None:
    await limit(web, {"type": "Pod", "max": {"cpu": "2"}})
    one = {"name": "i", "image": "a:1", "resources": {"limits": {"cpu": "2"}}}
    init = [one, {**one, "name": "j"}]
    assert (await make(web, {"limits": {"cpu": "1"}}, initContainers=init)).code == 201
    sidecar = [{**one, "restartPolicy": "Always"}]
    text = "maximum cpu usage per Pod is 2, but limit is 3"
    assert refusal(await make(web, {"limits": {"cpu": "1"}}, name="a", initContainers=sidecar)) == text


async def test_the_same_refusal_is_said_once_for_several_containers(web: Any) -> None:
    await limit(web, {"type": "Container", "max": {"cpu": "1"}})
    large = {"limits": {"cpu": "2"}}
    assert refusal(await make(web, large, large)) == "maximum cpu usage per Container is 1, but limit is 2"


async def test_claims_have_a_least_and_a_largest_size_also_when_they_grow(web: Any) -> None:
    await limit(web, {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}})
    small = "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"
    assert refusal(await claim(web, "1Mi")) == small
    large = "maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"
    assert refusal(await claim(web, "6Gi")) == large
    assert (await claim(web, "2Gi")).code == 201
    grown = {"spec": {"resources": {"requests": {"storage": "6Gi"}}}}
    await web("PATCH", f"{CLAIMS}/a/status", {"status": {"phase": "Bound"}}, headers=STRATEGIC)
    await web("PATCH", f"{CLAIMS}/a", {"spec": {"volumeName": "v"}}, headers=STRATEGIC)
    assert refusal(await web("PATCH", f"{CLAIMS}/a", grown, headers=STRATEGIC)) == large


async def test_a_pod_is_measured_when_it_is_resized_and_not_when_something_else_changes(web: Any) -> None:
    await make(web, {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}})
    await limit(web, {"type": "Container", "max": {"cpu": "1"}})
    labelled = await web("PATCH", f"{PODS}/a", {"metadata": {"labels": {"a": "b"}}}, headers=STRATEGIC)
    assert labelled.code == 200
    resources = {"requests": {"cpu": "3"}, "limits": {"cpu": "3"}}
    resized = {"spec": {"containers": [{"name": "c0", "resources": resources}]}}
    answer = await web("PATCH", f"{PODS}/a/resize", resized, headers=STRATEGIC)
    assert refusal(answer) == "maximum cpu usage per Container is 1, but limit is 3"


async def test_what_a_resize_does_not_say_is_filled_in_and_not_noted(web: Any) -> None:
    sidecar = {"name": "side", "image": "a:1", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    first = {"name": "first", "image": "a:1"}
    await make(web, {"requests": {"cpu": "1"}}, {"requests": {"cpu": "1"}}, initContainers=[sidecar, first])
    await limit(web, {"type": "Container", "default": {"cpu": "3"}, "defaultRequest": {"memory": "1Mi"}})
    resized = {"spec": {"containers": [{"name": "c0", "resources": {"requests": {"cpu": "2"}}}]}}
    change = {**resized, "metadata": {"labels": {"a": "b"}}}
    pod = await web("PATCH", f"{PODS}/a/resize", change, headers=STRATEGIC)
    usual = {"limits": {"cpu": "3"}, "requests": {"cpu": "1", "memory": "1Mi"}}
    c0, c1 = pod["spec"]["containers"]
    assert c0["resources"] == {"limits": {"cpu": "3"}, "requests": {"cpu": "2", "memory": "1Mi"}}
    side, first = pod["spec"]["initContainers"]
    assert (c1["resources"], side["resources"]) == (usual, usual)
    assert first["resources"] == {"limits": {"cpu": "3"}, "requests": {"cpu": "3", "memory": "1Mi"}}
    assert "annotations" not in pod["metadata"]
    assert "labels" not in pod["metadata"]


async def test_another_namespaces_limits_do_not_matter(web: Any) -> None:
    await web("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    limits = {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}
    await web("POST", RANGES.replace("/ns/", "/other/"), {"metadata": {"name": "l"}, "spec": limits})
    assert (await make(web)).code == 201
