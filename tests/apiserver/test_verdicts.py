"""What is remembered of validation never changes an answer, and spares what it is for."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from holdfast.api import registry
from holdfast.apiserver.server import ApiServer
from holdfast.apiserver.verbs.verdicts import NOT_SHOWN, REMEMBERED, Verdicts

from .conftest import Web

MERGE = {"content-type": "application/merge-patch+json"}
PODS = "/api/v1/namespaces/ns/pods"


def pod(name: str = "p") -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "app:1",
        "ports": [{"containerPort": 80, "name": "http"}],
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}, "annotations": {"a": "b"}},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "tolerations": [{"key": "a", "operator": "Exists"}],
        },
    }


async def validations(server: ApiServer, work: Any) -> int:
    before = server.api.verdicts.validations
    answer = await work
    assert answer.code < 300, answer.body
    return server.api.verdicts.validations - before


async def test_a_change_of_labels_does_not_validate_the_spec_again(server: ApiServer, web: Web) -> None:
    assert await validations(server, web("POST", PODS, pod())) == 1
    change = {"metadata": {"labels": {"app": "db"}}}
    assert await validations(server, web("PATCH", f"{PODS}/p", change, headers=MERGE)) == 0
    stored = (await web("GET", f"{PODS}/p")).body
    stored["metadata"]["labels"]["more"] = "x"
    assert await validations(server, web("PUT", f"{PODS}/p", stored)) == 0


async def test_a_change_of_the_spec_is_validated(server: ApiServer, web: Web) -> None:
    await web("POST", PODS, pod())
    change = {"spec": {"activeDeadlineSeconds": 7}}
    assert await validations(server, web("PATCH", f"{PODS}/p", change, headers=MERGE)) == 1


async def test_errors_are_found_each_time(web: Web) -> None:
    wrong = pod()
    wrong["spec"]["containers"][0]["ports"][0]["containerPort"] = 70000
    answers = [await web("POST", PODS, wrong) for _ in range(2)]
    assert [answer.code for answer in answers] == [422, 422]
    assert answers[0].body == answers[1].body


async def test_wrong_labels_are_refused_though_the_rest_is_known(web: Web) -> None:
    await web("POST", PODS, pod())
    change = {"metadata": {"labels": {"app": "not a label value!"}}}
    answer = await web("PATCH", f"{PODS}/p", change, headers=MERGE)
    assert (answer.code, answer["details"]["causes"][0]["field"]) == (422, "metadata.labels")


async def test_warnings_are_repeated(web: Web) -> None:
    odd = pod()
    odd["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    created = await web("POST", PODS, odd)
    change = {"metadata": {"labels": {"app": "db"}}}
    patched = await web("PATCH", f"{PODS}/p", change, headers=MERGE)
    assert patched.headers["Warning"] == created.headers["Warning"] != []


async def test_a_job_is_held_against_its_own_uid(web: Web) -> None:
    """Rules that read what the server sets are not answered from another object."""
    container = {"name": "main", "image": "app:1"}
    job = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}
    path = "/apis/batch/v1/namespaces/ns/jobs"
    first = (await web("POST", path, {**job, "metadata": {"name": "one"}})).body
    second = {"metadata": {"name": "one"}, "spec": first["spec"]}
    await web("DELETE", f"{path}/one?propagationPolicy=Background")
    assert (await web("POST", path, second)).code == 422


@pytest.mark.parametrize("seed", range(4))
def test_whatever_changes_the_answer_is_that_of_fresh_rules(seed: int) -> None:
    """Random states of a pod, many of them alike: with and without memory they are judged the same."""
    chance = random.Random(seed)
    resource = next(one for one in registry.RESOURCES if one.kind == "Pod")
    verdicts = Verdicts()
    state = pod()
    resource.default(state)
    judged = 0
    for _ in range(400):
        if chance.random() < 0.7:
            state = mutated(state, chance)
        fresh = errors_of(resource, state)
        if fresh is None:
            state = pod()
            resource.default(state)
            continue
        judged += 1
        assert list(verdicts.of(resource, state).errors()) == fresh
        if not fresh:
            assert list(verdicts.of(resource, state).warnings()) == resource.warnings(state)
    assert 0 < verdicts.validations < judged


def errors_of(resource: Any, state: dict[str, Any]) -> list[Any] | None:
    """None for what the schema would not have let through."""
    try:
        return list(resource.validate(state))
    except (TypeError, AttributeError, KeyError, ValueError):
        return None


def mutated(state: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    state = copy.deepcopy(state)
    container = state["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": "x"} for name in chance.choice([["A"], ["A", "B"], ["A", "A"], ["="]])]
    container["image"] = chance.choice(["app:1", "app:2", " app", ""])
    container["ports"][0]["containerPort"] = chance.choice([80, 81, 0, 70000])
    state["metadata"]["labels"] = {"app": chance.choice(["web", "db"])}
    state["metadata"]["resourceVersion"] = str(chance.randrange(1000))
    state["metadata"]["annotations"] = chance.choice([{"a": "b"}, {"c": "d"}])
    state["spec"]["restartPolicy"] = chance.choice(["Always", "Never", "Sometimes"])
    return state


def test_only_so_many_are_remembered() -> None:
    resource = next(one for one in registry.RESOURCES if one.kind == "ConfigMap")
    verdicts = Verdicts()
    for number in range(REMEMBERED + 10):
        verdict = verdicts.of(resource, {"metadata": {"name": f"c{number}"}, "data": {}})
        assert not verdict.errors()
        assert not verdict.warnings()
    assert len(verdicts.flawless) == len(verdicts.warnings) == 10


def test_the_rules_see_nothing_by_which_they_are_not_remembered() -> None:
    seen: list[Any] = []

    class Kind:
        custom = None

        @staticmethod
        def validate(manifest: dict[str, Any]) -> list[Any]:
            seen.append(manifest)
            return []

        warnings = validate

    whole = {**pod(), "status": {"phase": "Running"}}
    whole["metadata"] |= {"managedFields": [], "resourceVersion": "7", "uid": "u"}
    verdict = Verdicts().of(Kind, whole)  # type: ignore[arg-type]
    verdict.errors()
    verdict.warnings()
    expected = {**whole, "metadata": {k: v for k, v in whole["metadata"].items() if k not in NOT_SHOWN}}
    assert seen == [expected, expected]
