"""What the status tells of a pod as a whole (N142, N148)."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.node.container_spec import pod_resources
from holdfast.node.pod_level import pod_level

sys.path.insert(0, str(Path(__file__).parent))

from pods import SANDBOX, observed, pod

LIMITED = {"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}}
FREE = {"name": "b", "resources": {"requests": {"cpu": "200m", "ephemeral-storage": "1Gi"}}}


def told(one: Any, phase: str = "Running", old: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return pod_level(one, observed(**members), phase, old or {})


def test_n142_what_is_asked_for_is_told_as_granted_whatever_becomes_of_the_pod():
    one = pod(containers=[LIMITED, FREE])
    for phase in ("Pending", "Running", "Succeeded"):
        granted = {"cpu": "300m", "memory": "1Gi", "ephemeral-storage": "1Gi"}
        assert told(one, phase)["allocatedResources"] == granted


def test_n142_a_pod_that_runs_has_what_its_control_group_has():
    one = pod(containers=[LIMITED, FREE])
    assert told(one)["resources"] == {"requests": {"cpu": "300m", "memory": "1Gi"}}
    assert told(pod(containers=[LIMITED]))["resources"]["limits"] == {"memory": "1Gi"}
    assert told(one, "Pending")["resources"]["limits"] == {"memory": "1Gi"}


def test_n142_of_a_pod_that_asks_for_nothing_an_empty_word_is_told():
    assert told(pod()) == {"resources": {}}


def test_n140_resources_of_the_pod_s_own_come_first():
    own = {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "hugepages-2Mi": "4Mi"}}
    result = told(pod(containers=[FREE], resources=own))
    assert result["resources"] == {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "hugepages-2Mi": "4Mi"}}
    assert result["allocatedResources"]["cpu"] == "1"


@pytest.mark.parametrize("is_done", [False, True])
def test_n148_what_the_group_has_not_been_given_yet_is_not_told(is_done):
    before, after = (pod(resources={"limits": {"cpu": limit}}) for limit in ("1", "2"))
    group = dataclasses.replace(SANDBOX, resources=pod_resources(after if is_done else before))
    old = {"phase": "Running", "resources": {"limits": {"cpu": "1"}}}
    assert told(after, old=old, sandbox=group)["resources"] == {"limits": {"cpu": "2" if is_done else "1"}}
