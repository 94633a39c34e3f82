"""Resources of running containers are changed in place (N148)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.api.core.pod import PODS
from holdfast.client import PatchType
from holdfast.node.resizing import changed, granted_before, in_words, refusal
from holdfast.node.runtime.simulated import Script

sys.path.insert(0, str(Path(__file__).parent))

from machines import APP, entry, is_ready
from pods import pod

NODE = {"cpu": "4", "memory": "4196Mi"}
"""Of which the eviction threshold leaves 4 GiB allocatable."""


def resources(cpu: str, memory: str, **limits: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "4", "memory": memory, **limits}}


def app(cpu: str = "1", memory: str = "1Gi", **members: Any) -> dict[str, Any]:
    return {**APP, "resources": resources(cpu, memory), **members}


async def resize(machine, cpu: str, memory: str = "1Gi", name: str = "web-0") -> dict[str, Any]:
    patch = {"spec": {"containers": [{"name": "app", "resources": resources(cpu, memory)}]}}
    return await machine.client.patch(PODS, name, patch, "default", type=PatchType.STRATEGIC, subresource="resize")


def of(pod: dict[str, Any], type: str) -> dict[str, Any]:
    return next((c for c in pod["status"]["conditions"] if c["type"] == type), {})


def has_cpu(cpu: str):
    return lambda pod: entry(pod).get("resources", {}).get("requests", {}).get("cpu") == cpu


def running_id(machine) -> str:
    return next(record.id for record in machine.runtime.containers() if record.finished is None)


def test_n148_a_running_container_is_given_what_it_asks_for_without_a_restart(scenario):
    async def body(machine):
        await machine.create({"containers": [app()]})
        before = await machine.until(is_ready)
        assert machine.runtime.resources(running_id(machine)).cpu_shares == 1024
        await resize(machine, "2", "2Gi")
        after = await machine.until(has_cpu("2"))
        limits = machine.runtime.resources(running_id(machine))
        assert (limits.cpu_shares, limits.memory_limit_bytes) == (2048, 2 << 30)
        assert entry(after)["allocatedResources"] == {"cpu": "2", "memory": "2Gi"}
        assert entry(after)["resources"]["limits"] == {"cpu": "4", "memory": "2Gi"}
        assert (entry(after)["restartCount"], entry(after)["containerID"]) == (0, entry(before)["containerID"])
        done = await machine.until(lambda pod: not of(pod, "PodResizeInProgress"))
        assert not of(done, "PodResizePending")
        [started] = await machine.events("ResizeStarted")
        [completed] = await machine.events("ResizeCompleted")
        told = {"name": "app", "resources": resources("2", "2Gi")}
        assert started.startswith("Pod resize started: ")
        assert msgspec.json.decode(completed.removeprefix("Pod resize completed: ")) == {
            "containers": [told],
            "generation": 2,
        }

    scenario(body, capacity=NODE)


def test_n142_n148_the_pod_grows_before_its_containers_and_shrinks_after_them(scenario):
    def of_pod(machine):
        limits = machine.runtime.sandboxes()[0].resources
        return limits.cpu_shares, limits.memory_limit_bytes >> 30

    async def body(machine):
        steps = []
        for name in ("update_sandbox", "update_container"):
            setattr(machine.runtime, name, noted(getattr(machine.runtime, name), name, steps))
        await machine.create({"containers": [app()]})
        await machine.until(is_ready)
        assert of_pod(machine) == (1024, 1)
        await resize(machine, "2", "2Gi")
        await machine.until(has_cpu("2"))
        assert of_pod(machine) == (2048, 2)
        await resize(machine, "1", "1Gi")
        await machine.until(has_cpu("1"))
        await asyncio.sleep(1)
        assert of_pod(machine) == (1024, 1)
        assert steps == ["update_sandbox", "update_container", "update_sandbox", "update_container", "update_sandbox"]

    def noted(call, name, steps):
        async def noting(*arguments):
            steps.append(name)
            await call(*arguments)

        return noting

    scenario(body, capacity=NODE)


def test_n148_what_the_node_does_not_have_at_all_is_infeasible(scenario):
    async def body(machine):
        await machine.create({"containers": [app()]})
        await machine.until(is_ready)
        await resize(machine, "1", "6Gi")
        refused = await machine.until(lambda pod: of(pod, "PodResizePending"))
        pending = of(refused, "PodResizePending")
        assert (pending["status"], pending["reason"]) == ("True", "Infeasible")
        needed, there = 6 << 30, 4096 << 20
        assert pending["message"] == f"Node didn't have enough capacity: memory, requested: {needed}, capacity: {there}"
        assert pending["observedGeneration"] == 2
        assert entry(refused)["resources"]["requests"]["memory"] == "1Gi"
        assert refused["spec"]["containers"][0]["resources"]["requests"]["memory"] == "6Gi"
        [event] = await machine.events("ResizeInfeasible")
        assert event.startswith("Pod resize Infeasible: {")
        await resize(machine, "1", "1Gi")  # thought better of it
        await machine.until(lambda pod: not of(pod, "PodResizePending"))
        assert entry(await machine.pod())["restartCount"] == 0

    scenario(body, capacity=NODE)


def test_n148_what_others_use_for_now_is_deferred_until_they_have_gone(scenario):
    async def body(machine):
        await machine.create({"containers": [app("1")]})
        await machine.create({"containers": [app("2")], "terminationGracePeriodSeconds": 1}, name="other")
        await machine.until(is_ready)
        await machine.until(is_ready, name="other")
        await resize(machine, "3")
        refused = await machine.until(lambda pod: of(pod, "PodResizePending"))
        pending = of(refused, "PodResizePending")
        assert pending["reason"] == "Deferred"
        expected = "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000"
        assert pending["message"] == expected
        assert len(await machine.events("ResizeDeferred")) == 1
        await machine.client.delete(PODS, "other", "default")
        await machine.gone(name="other")
        resized = await machine.until(has_cpu("3"), within_s=2)
        assert not of(resized, "PodResizePending")

    scenario(body, capacity=NODE)


def test_n148_a_container_may_ask_to_be_restarted_for_it(scenario):
    async def body(machine):
        policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        await machine.create({"containers": [app(resizePolicy=policy)]})
        await machine.until(is_ready)
        await resize(machine, "2", "1Gi")
        pod = await machine.until(has_cpu("2"))
        assert entry(pod)["restartCount"] == 0  # only memory wants it
        await resize(machine, "2", "2Gi")
        loop = asyncio.get_running_loop()
        since = loop.time()
        await machine.until(lambda pod: entry(pod)["restartCount"] == 1 and is_ready(pod))
        assert loop.time() - since < 5  # N87: new resources begin a new sequence of back-offs
        assert await machine.events("Killing") == ["Container app resize requires restart"]
        assert machine.runtime.resources(running_id(machine)).memory_limit_bytes == 2 << 30
        await machine.until(lambda pod: not of(pod, "PodResizeInProgress"))

    scenario(body, capacity=NODE)


def test_n148_n85_a_container_that_is_replaced_runs_again_whatever_its_restart_policy(scenario):
    async def body(machine):
        await machine.create({"restartPolicy": "Never", "containers": [APP]})
        await machine.until(is_ready)
        patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": "app:2"}]
        await machine.client.patch(PODS, "web-0", patch, "default", type=PatchType.JSON)
        pod = await machine.until(lambda pod: entry(pod)["restartCount"] == 1 and is_ready(pod))
        assert pod["status"]["phase"] == "Running"

    scenario(body)


def test_n148_memory_is_not_taken_from_a_container_that_uses_it(scenario):
    async def body(machine):
        await machine.create({"containers": [app("1", "2Gi")]})
        await machine.until(is_ready)
        await resize(machine, "1", "1Gi")
        failed = await machine.until(lambda pod: of(pod, "PodResizeInProgress").get("reason") == "Error")
        expected = f'attempting to set container "app" memory limit ({1 << 30}) below current usage ({1536 << 20})'
        assert of(failed, "PodResizeInProgress")["message"] == expected
        assert entry(failed)["resources"]["limits"]["memory"] == "2Gi"
        assert entry(failed)["allocatedResources"]["memory"] == "1Gi"
        assert len(await machine.events("ResizeError")) == 1
        await asyncio.sleep(60)
        assert len(await machine.events("ResizeError")) == 1  # tried again, told once
        await resize(machine, "1", "2Gi")
        await machine.until(lambda pod: not of(pod, "PodResizeInProgress"))

    scenario(body, {"app:1": Script(memory_bytes=1536 << 20)}, capacity=NODE)


def test_n148_what_the_runtime_refuses_is_tried_again(scenario):
    async def body(machine):
        await machine.create({"containers": [app()]})
        await machine.until(is_ready)
        await resize(machine, "2")
        failed = await machine.until(lambda pod: of(pod, "PodResizeInProgress").get("reason") == "Error")
        assert of(failed, "PodResizeInProgress")["message"] == "no such controller"
        assert entry(failed)["resources"]["requests"]["cpu"] == "1"

    scenario(body, {"app:1": Script(update_failure="no such controller")}, capacity=NODE)


@pytest.mark.parametrize("pause_s", [0.0, 0.01, 0.1, 5.0])
def test_n148_n195_an_agent_killed_in_a_resize_leaves_it_to_the_next(scenario, pause_s):
    async def body(machine):
        await machine.create({"containers": [app()]})
        before = await machine.until(is_ready)
        await resize(machine, "2")
        await asyncio.sleep(pause_s)
        await machine.stop()
        await machine.start()
        after = await machine.until(has_cpu("2"))
        assert machine.runtime.resources(running_id(machine)).cpu_shares == 2048
        assert entry(after)["containerID"] == entry(before)["containerID"]
        await machine.until(lambda pod: not of(pod, "PodResizeInProgress"))

    scenario(body, capacity=NODE)


def test_n148_n195_what_was_refused_is_still_refused_by_the_next_agent(scenario):
    async def body(machine):
        await machine.create({"containers": [app("1")]})
        await machine.create({"containers": [app("2")]}, name="other")
        await machine.until(is_ready)
        await machine.until(is_ready, name="other")
        await resize(machine, "3")
        await machine.until(lambda pod: of(pod, "PodResizePending"))
        await machine.stop()
        await machine.start()
        await asyncio.sleep(5)
        kept = await machine.pod()
        assert of(kept, "PodResizePending")["reason"] == "Deferred"
        assert entry(kept)["resources"]["requests"]["cpu"] == "1"
        own = entry(kept)["containerID"].removeprefix("simulated://")
        assert machine.runtime.resources(own).cpu_shares == 1024

    scenario(body, capacity=NODE)


def test_n148_a_quiet_resized_pod_costs_no_writes(scenario):
    async def body(machine):
        await machine.create({"containers": [app()]})
        await machine.until(is_ready)
        await resize(machine, "1", "6Gi")
        await machine.until(lambda pod: of(pod, "PodResizePending"))
        await asyncio.sleep(1)
        before = (await machine.pod())["metadata"]["resourceVersion"]
        await asyncio.sleep(600)
        assert (await machine.pod())["metadata"]["resourceVersion"] == before

    scenario(body, capacity=NODE)


def test_n148_quantities_are_compared_by_value():
    assert not changed(resources("1", "1Gi"), resources("1000m", "1024Mi"))
    assert changed(resources("1", "1Gi"), resources("2", "1Gi")) == {"cpu"}
    assert changed({}, {"limits": {"memory": "1Gi"}}) == {"memory"}


def test_n148_without_a_registered_node_nothing_is_refused():
    assert refusal(pod(), {}, {}) is None


def test_n148_messages_tell_of_sidecars_too_and_of_the_error():
    one = pod("app", init=[{"name": "proxy", "restartPolicy": "Always", "resources": {"limits": {"cpu": "1"}}}])
    told = msgspec.json.decode(in_words("error", one, "no").removeprefix("Pod resize error: "))
    assert told["initContainers"] == [{"name": "proxy", "resources": {"limits": {"cpu": "1"}}}]
    assert told["containers"] == [{"name": "app", "resources": {}}]
    assert told["error"] == "no"


def test_n148_what_cannot_be_resized_is_always_the_spec_s():
    spec = {"containers": [{"name": "app", "resources": {"requests": {"cpu": "2", "ephemeral-storage": "1Gi"}}}]}
    told = {"name": "app", "state": {}, "allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "1"}}}
    granted = granted_before(pod(**spec, status={"containerStatuses": [told]}))
    assert granted["app"]["requests"] == {"cpu": "1", "ephemeral-storage": "1Gi"}


def test_n148_a_pod_as_a_whole_is_given_what_it_asks_for(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "resources": resources("1", "1Gi")})
        await machine.until(is_ready)
        patch = {"spec": {"resources": resources("2", "2Gi")}}
        await machine.client.patch(PODS, "web-0", patch, "default", type=PatchType.STRATEGIC, subresource="resize")
        after = await machine.until(lambda pod: pod["status"]["resources"] == resources("2", "2Gi"))
        assert after["status"]["allocatedResources"] == {"cpu": "2", "memory": "2Gi"}
        assert machine.runtime.sandboxes()[0].resources.memory_limit_bytes == 2 << 30
        await machine.until(lambda pod: not of(pod, "PodResizeInProgress"))
        assert await machine.events("ResizeCompleted")
        patch = {"spec": {"resources": {"requests": {"cpu": "100"}, "limits": {"cpu": "200"}}}}
        await machine.client.patch(PODS, "web-0", patch, "default", type=PatchType.STRATEGIC, subresource="resize")
        refused = await machine.until(lambda pod: of(pod, "PodResizePending"))
        assert of(refused, "PodResizePending")["reason"] == "Infeasible"
        assert refused["status"]["allocatedResources"] == {"cpu": "2", "memory": "2Gi"}
        await machine.stop()
        await machine.start()
        await asyncio.sleep(60)
        kept = await machine.pod()
        assert kept["status"]["allocatedResources"] == {"cpu": "2", "memory": "2Gi"}
        assert of(kept, "PodResizePending")["reason"] == "Infeasible"

    scenario(body)
