"""Evictions by an agent whose machine runs short, on time that jumps (N145, N146)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.event import EVENTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.node.eviction.thresholds import Reading
from holdfast.node.runtime import ContainerState
from holdfast.node.runtime.simulated import Script

sys.path.insert(0, str(Path(__file__).parents[1]))

from machines import APP, is_ready, state

GI, MI = 1 << 30, 1 << 20
LOW = {"memory.available": Reading(50 * MI, 8 * GI)}
PLENTY = {"memory.available": Reading(4 * GI, 8 * GI)}


def big(name: str = "app") -> dict[str, Any]:
    return {"name": name, "image": "big:1"}


SCRIPTS = {
    "app:1": Script(memory_bytes=10 * MI),
    "big:1": Script(memory_bytes=2 * GI, ignores_signal=True),
    "writer:1": Script(written_bytes=2 * GI),
}


def of(pod: dict[str, Any], type: str) -> dict[str, Any]:
    return next((c for c in pod["status"]["conditions"] if c["type"] == type), {})


async def node_condition(machine, type: str) -> dict[str, Any]:
    node = await machine.client.get(NODES, "node-1")
    return next(c for c in node["status"]["conditions"] if c["type"] == type)


async def node_events(machine, reason: str) -> list[str]:
    await asyncio.sleep(0.1)
    found = (await machine.client.list(EVENTS, "default")).items
    return [one["message"] for one in found if one["reason"] == reason and one["involvedObject"]["kind"] == "Node"]


def is_failed(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] == "Failed"


def test_n146_n33_the_largest_goes_and_its_status_says_why(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]}, name="small")
        await machine.create({"containers": [big()]}, name="big")
        await machine.until(is_ready, name="big")
        await machine.until(is_ready, name="small")
        machine.readings = LOW
        evicted = await machine.until(is_failed, name="big", within_s=15)
        assert evicted["status"]["reason"] == "Evicted"
        message = evicted["status"]["message"]
        assert message == (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
            "Container app was using 2Gi, request is 0, has larger consumption of memory. "
        )
        target = of(evicted, "DisruptionTarget")
        assert (target["status"], target["reason"], target["message"]) == ("True", "TerminationByKubelet", message)
        assert state(evicted)["terminated"]["exitCode"] == 137  # it had next to no time
        assert await machine.events("Evicted") == [message]
        assert await node_events(machine, "EvictionThresholdMet") == ["Attempting to reclaim memory"]
        machine.readings = PLENTY
        await asyncio.sleep(30)
        assert is_ready(await machine.pod("small"))
        assert is_failed(await machine.pod("big"))  # N147: the object stays

    scenario(body, SCRIPTS)


def test_n146_one_pod_at_a_time_and_no_more_than_needed(scenario):
    async def body(machine):
        for number in range(3):
            await machine.create({"containers": [big()]}, name=f"big-{number}")
            await machine.until(is_ready, name=f"big-{number}")
        machine.readings = LOW

        async def failed() -> int:
            return sum(is_failed(pod) for pod in (await machine.client.list(PODS, "default")).items)

        await asyncio.sleep(13)
        assert await failed() == 1
        machine.readings = PLENTY
        await asyncio.sleep(60)
        assert await failed() == 1
        machine.readings = LOW
        await asyncio.sleep(40)
        assert await failed() == 3

    scenario(body, SCRIPTS)


def test_n217_n218_the_node_says_what_it_is_short_of_and_for_five_minutes_more(scenario):
    async def body(machine):
        await asyncio.sleep(1)
        assert (await node_condition(machine, "MemoryPressure"))["reason"] == "KubeletHasSufficientMemory"
        machine.readings = LOW | {"nodefs.available": Reading(0, 100 * GI)}
        await asyncio.sleep(12)
        memory = await node_condition(machine, "MemoryPressure")
        assert (memory["status"], memory["reason"]) == ("True", "KubeletHasInsufficientMemory")
        assert memory["message"] == "kubelet has insufficient memory available"
        disk = await node_condition(machine, "DiskPressure")
        assert (disk["status"], disk["reason"]) == ("True", "KubeletHasDiskPressure")
        assert (await node_condition(machine, "Ready"))["status"] == "True"
        machine.readings = PLENTY
        await asyncio.sleep(280)
        assert (await node_condition(machine, "MemoryPressure"))["status"] == "True"
        await asyncio.sleep(40)
        memory = await node_condition(machine, "MemoryPressure")
        assert (memory["status"], memory["reason"]) == ("False", "KubeletHasSufficientMemory")
        assert await node_events(machine, "NodeHasInsufficientMemory") == [
            "Node node-1 status is now: NodeHasInsufficientMemory"
        ]
        assert await node_events(machine, "NodeHasDiskPressure")
        assert await node_events(machine, "NodeHasNoDiskPressure")

    scenario(body)


def test_n146_n191_while_memory_is_short_only_pods_with_requests_are_taken(scenario):
    async def body(machine):
        machine.readings = LOW
        await asyncio.sleep(15)
        await machine.create({"containers": [APP]}, name="best-effort")
        refused = await machine.until(is_failed, name="best-effort")
        assert refused["status"]["reason"] == "Evicted"
        assert refused["status"]["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
        assert "containerStatuses" not in refused["status"]
        assert not machine.runtime.containers()

    scenario(body)


def test_n145_a_pod_beyond_its_own_limit_goes_although_the_node_has_plenty(scenario):
    async def body(machine):
        limits = {"limits": {"ephemeral-storage": "1Gi"}}
        await machine.create({"containers": [{"name": "app", "image": "writer:1", "resources": limits}]})
        await machine.create({"containers": [{"name": "app", "image": "writer:1"}]}, name="unlimited")
        evicted = await machine.until(is_failed, within_s=20)
        assert evicted["status"]["reason"] == "Evicted"
        assert evicted["status"]["message"] == (
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "
        )
        assert not of(evicted, "DisruptionTarget")
        assert is_ready(await machine.pod("unlimited"))

    scenario(body, SCRIPTS)


@pytest.mark.parametrize("pause_s", [0.0, 0.1, 0.5, 1.5])
def test_n146_n15_an_agent_killed_in_an_eviction_leaves_it_to_the_next(scenario, pause_s):
    async def body(machine):
        await machine.create({"containers": [big()]})
        await machine.until(is_ready)
        machine.readings = LOW
        while not (await machine.pod())["status"].get("reason"):
            assert (await machine.pod())["status"]["phase"] == "Running"
            await asyncio.sleep(0.01)
        await asyncio.sleep(pause_s)
        await machine.stop()
        machine.readings = PLENTY
        await machine.start()
        evicted = await machine.until(is_failed)
        assert evicted["status"]["reason"] == "Evicted"
        assert all(record.state is not ContainerState.RUNNING for record in machine.runtime.containers())

    scenario(body, SCRIPTS)


def test_n147_an_evicted_pod_can_be_deleted(scenario):
    async def body(machine):
        await machine.create({"containers": [big()]})
        await machine.until(is_ready)
        machine.readings = LOW
        await machine.until(is_failed, within_s=20)
        await machine.client.delete(PODS, "web-0", "default")
        await machine.gone(within_s=5)
        assert not machine.runtime.sandboxes()

    scenario(body, SCRIPTS)
