"""The status of policies as clients see it, with the controller at work (A249)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.client.informer import Informers
from holdfast.controllers.policytypes.controller import PolicyTypes
from holdfast.controllers.runner import Runner
from holdfast.world import real_world

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def at_work(server: Any) -> AsyncIterator[None]:
    world, client = real_world(), server.client("controllers")
    informers = Informers(client, world)
    runner = Runner(PolicyTypes(), client, informers, world)
    tasks = [asyncio.ensure_future(each) for each in (runner.run(), informers.run())]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def policy(name: str, expression: str, group: str = "apps", resource: str = "statefulsets") -> dict[str, Any]:
    rules = [{"operations": ["*"], "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource]}]
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": expression}]}
    return {"metadata": {"name": name}, "spec": spec}


async def looked_at(web: Any, name: str, generation: int) -> Any:
    """The status, within ten seconds."""
    for _ in range(1000):
        answer = await web("GET", f"{POLICIES}/{name}")
        if answer["status"].get("observedGeneration") == generation:
            return answer["status"]["typeChecking"]
        await asyncio.sleep(0.01)
    raise AssertionError(answer.body)


async def test_the_status_follows_the_policy(web: Any, at_work: None) -> None:
    await web("POST", POLICIES, policy("p", "object.spec.replicsa <= 5"))
    (warning,) = (await looked_at(web, "p", 1))["expressionWarnings"]
    assert warning["fieldRef"] == "spec.validations[0].expression"
    assert warning["warning"].startswith("apps/v1, Kind=StatefulSet: ERROR: <input>:1:12: undefined field 'replicsa'\n")
    right = {"spec": {"validations": [{"expression": "object.spec.replicas <= 5"}]}}
    await web("PATCH", f"{POLICIES}/p", right, headers=MERGE)
    assert await looked_at(web, "p", 2) == {}


async def test_custom_kinds_are_known(web: Any, at_work: None, gears: str) -> None:
    await web("POST", POLICIES, policy("p", "object.spec.note == 1", "example.com", "gears"))
    (warning,) = (await looked_at(web, "p", 1))["expressionWarnings"]
    assert "found no matching overload for '_==_' applied to '(string, int)'" in warning["warning"]
