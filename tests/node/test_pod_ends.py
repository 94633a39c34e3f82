"""Restarts, hooks and the end of a pod (N80-N103, N112-N139, N233)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.pod import PODS
from holdfast.node.hooks import HookFailure, run_hook
from holdfast.node.pod import Container, Role
from holdfast.node.probes import Kind, Result, Target
from holdfast.node.probes.http import Request, get
from holdfast.node.probes.prober import NetworkProber
from holdfast.node.runtime import ContainerSpec, ExecResult, RuntimeFailure
from holdfast.node.runtime.simulated import Script

sys.path.insert(0, str(Path(__file__).parent))

from machines import APP, condition, entry, is_ready, state, waits_for


def hooked(**handlers: Any) -> dict[str, Any]:
    return {**APP, "lifecycle": handlers}


# -- restarts -------------------------------------------------------------------------------------


def test_n88_a_container_that_succeeds_is_restarted_with_back_off_too(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        pod = await machine.until(waits_for("CrashLoopBackOff"))
        assert entry(pod)["lastState"]["terminated"]["reason"] == "Completed"
        assert pod["status"]["phase"] == "Running"

    scenario(body, {"app:1": Script(exit_after_s=0.5)})


def test_n90_a_new_agent_has_forgotten_the_back_off(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(lambda pod: entry(pod)["restartCount"] == 4 and "waiting" in state(pod), within_s=200)
        await machine.stop()
        await machine.start()
        loop = asyncio.get_running_loop()
        since = loop.time()
        await machine.until(lambda pod: entry(pod)["restartCount"] == 5)
        assert loop.time() - since < 2

    scenario(body, {"app:1": Script(exit_after_s=0.5, exit_code=1)})


def test_n45_n49_a_start_that_failed_for_good_is_the_state_and_no_state_before_it(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "restartPolicy": "Never"})
        pod = await machine.until(lambda pod: pod.get("status", {}).get("phase") == "Failed")
        assert state(pod)["terminated"]["reason"] == "StartError"
        assert entry(pod)["lastState"] == {}
        assert entry(pod)["restartCount"] == 0

    scenario(body, {"app:1": Script(start_failure="no such program")})


@pytest.mark.parametrize("is_deleted", [False, True], ids=["by itself", "deleted"])
def test_n197_how_a_container_ended_is_known_although_api_and_agent_were_away(scenario, is_deleted):
    """The API went first, then the container ended, and then the agent was killed before it could tell."""

    async def body(machine):
        created = await machine.create({"containers": [APP], "restartPolicy": "Never"})
        await machine.until(lambda pod: "running" in state(pod))
        watch = machine.client.watch(PODS, "default", resource_version=created["metadata"]["resourceVersion"])
        if is_deleted:
            await machine.client.delete(PODS, "web-0", "default")
            await asyncio.sleep(0.1)
        machine.line.clear()
        await asyncio.sleep(20)
        await machine.stop()
        machine.line.set()
        await machine.start()
        async for event in watch:
            if ended := state(event.object).get("terminated"):
                assert (ended["exitCode"], ended["reason"]) == (7, "Error")
                break

    scenario(body, {"app:1": Script(exit_after_s=5, exit_code=7, ignores_signal=True)})


def test_n91_nothing_is_restarted_in_a_pod_that_is_being_deleted(scenario):
    async def body(machine):
        slow = {"name": "slow", "image": "slow:1"}
        await machine.create({"containers": [slow], "initContainers": [{**APP, "restartPolicy": "Always"}]})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        await asyncio.sleep(1)
        sidecar = next(record for record in machine.runtime.containers() if record.name == "app")
        machine.runtime.kill(sidecar.id, 1)
        await asyncio.sleep(5)
        assert [record.attempt for record in machine.runtime.containers() if record.name == "app"] == [0]

    scenario(body, {"slow:1": Script(stop_s=20)})


def test_n102_n81_a_lost_sandbox_has_init_containers_run_again(scenario):
    async def body(machine):
        init = {"name": "init", "image": "init:1"}
        await machine.create({"initContainers": [init], "containers": [APP]})
        before = await machine.until(is_ready)
        machine.runtime.crash()
        machine.agent._workers[before["metadata"]["uid"]].wake()
        after = await machine.until(lambda pod: entry(pod)["restartCount"] == 1 and is_ready(pod))
        assert after["status"]["initContainerStatuses"][0]["restartCount"] == 1
        assert after["status"]["podIP"] != before["status"]["podIP"]

    scenario(body, {"init:1": Script(exit_after_s=1)})


def test_n112_a_failing_readiness_probe_kills_nothing(scenario):
    async def body(machine):
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1}
        await machine.create({"containers": [{**APP, "readinessProbe": probe}]})
        before = await machine.until(is_ready)
        unready = await machine.until(lambda pod: not is_ready(pod))
        assert (entry(unready)["ready"], entry(unready)["started"]) == (False, True)
        after = await machine.until(is_ready)
        assert entry(after)["containerID"] == entry(before)["containerID"]
        assert await machine.events("Killing") == []

    scenario(body, {"app:1": Script(unready_between_s=(5, 15))})


# -- hooks ----------------------------------------------------------------------------------------


class Commands:
    """A runtime that only runs commands; remembers them."""

    def __init__(self, code: int = 0, failure: str = "") -> None:
        self.ran: list[list[str]] = []
        self._code, self._failure = code, failure

    async def exec_sync(self, container_id, command, timeout_s):
        self.ran.append(list(command))
        if self._failure:
            raise RuntimeFailure("", self._failure)
        return ExecResult(self._code, b"said")


TARGET = Target("id", Container({"name": "app", "ports": [{"name": "web", "containerPort": 1}]}, Role.APP), "127.0.0.1")


async def test_n122_a_hook_is_a_command_a_request_or_a_pause():
    commands = Commands()
    await run_hook(commands, {"exec": {"command": ["a", "b"]}}, TARGET)
    assert commands.ran == [["a", "b"]]
    loop = asyncio.get_running_loop()
    since = loop.time()
    await run_hook(commands, {"sleep": {"seconds": 1}}, TARGET)
    assert 0.9 < loop.time() - since < 3
    with pytest.raises(HookFailure, match="command 'a' exited with 3: said"):
        await run_hook(Commands(code=3), {"exec": {"command": ["a"]}}, TARGET)
    with pytest.raises(HookFailure, match="gone"):
        await run_hook(Commands(failure="gone"), {"exec": {"command": ["a"]}}, TARGET)
    with pytest.raises(HookFailure, match="couldn't find port: db in container"):
        await run_hook(commands, {"httpGet": {"port": "db"}}, TARGET)


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_n126_any_answer_to_an_http_hook_is_success(status):
    async def answer(reader, writer):
        await reader.read(1)  # as servers do, it answers a greeting in TLS too
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await run_hook(Commands(), {"httpGet": {"port": port}}, TARGET)
        await run_hook(Commands(), {"httpGet": {"port": port, "scheme": "HTTPS"}}, TARGET)  # answered in plain HTTP
    with pytest.raises(HookFailure):
        await run_hook(Commands(), {"httpGet": {"port": port}}, TARGET)


def test_n124_n127_a_failing_pre_stop_hook_is_told_without_its_output_and_the_end_goes_on(scenario):
    async def body(machine):
        await machine.create({"containers": [hooked(preStop={"exec": {"command": ["false"]}})]})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        assert await machine.gone() < 3
        assert await machine.events("FailedPreStopHook") == ["PreStopHook failed"]
        assert await machine.events("Killing") == ["Stopping container app"]

    scenario(body, {"app:1": Script(exec_code=1, exec_output="secret")})


def test_n124_a_container_that_ends_by_itself_has_no_pre_stop_hook(scenario):
    async def body(machine):
        await machine.create({"restartPolicy": "Never", "containers": [hooked(preStop={"exec": {"command": ["x"]}})]})
        await machine.until(lambda pod: pod["status"]["phase"] == "Succeeded")
        assert await machine.events("FailedPreStopHook") == []

    scenario(body, {"app:1": Script(exit_after_s=2, exec_code=1)})


def test_n124_n111_before_a_probe_s_kill_too(scenario):
    async def body(machine):
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1}
        await machine.create({"containers": [{**hooked(preStop={"exec": {"command": ["x"]}}), "livenessProbe": probe}]})
        await machine.until(lambda pod: entry(pod)["restartCount"] == 1)
        assert await machine.events("FailedPreStopHook") == ["PreStopHook failed"]

    scenario(body, {"app:1": Script(dead_after_s=3, exec_code=1)})


# -- probes ---------------------------------------------------------------------------------------


async def test_n116_a_command_succeeds_with_code_0_and_what_it_says_is_told():
    probe = {"exec": {"command": ["check", "$(NAME)", "$(OTHER)"]}}
    commands = Commands()
    variables = {"NAME": "db"}
    target = Target("id", TARGET.container, "127.0.0.1", variables)
    answer = await NetworkProber(commands).ask(Kind.LIVENESS, probe, target)
    assert (answer.result, commands.ran) == (Result.SUCCESS, [["check", "db", "$(OTHER)"]])
    failed = await NetworkProber(Commands(code=1)).ask(Kind.LIVENESS, probe, target)
    assert (failed.result, failed.output) == (Result.FAILURE, "said")
    broken = await NetworkProber(Commands(failure="no such container")).ask(Kind.LIVENESS, probe, target)
    assert (broken.result, broken.output) == (Result.UNKNOWN, "no such container")


async def test_n240_a_probe_s_connection_does_not_outlive_it():
    left = asyncio.Event()

    async def hold(reader, writer):
        with contextlib.suppress(ConnectionError):  # it may end with a reset
            await reader.read()
        left.set()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await get(Request("http", "127.0.0.1", port, "/"), 0.2)
        assert answer.result is Result.FAILURE
        async with asyncio.timeout(60):
            await left.wait()


# -- the end --------------------------------------------------------------------------------------


def test_n99_apps_end_first_and_together_then_sidecars_in_reverse(scenario):
    async def body(machine):
        sidecars = [{"name": name, "image": f"{name}:1", "restartPolicy": "Always"} for name in ("one", "two")]
        apps = [{"name": name, "image": "slow:1"} for name in ("a", "b")]
        await machine.create({"initContainers": sidecars, "containers": apps})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        ended: dict[str, float] = {}
        loop = asyncio.get_running_loop()
        while len(ended) < 4:
            for record in machine.runtime.containers():
                if record.finished is not None:
                    ended.setdefault(record.name, loop.time())
            await asyncio.sleep(0.05)
        assert abs(ended["a"] - ended["b"]) < 0.2
        assert ended["a"] + 1 < ended["two"]
        assert ended["two"] + 1 < ended["one"]

    scripts = {"slow:1": Script(stop_s=3), "one:1": Script(stop_s=2), "two:1": Script(stop_s=2)}
    scenario(body, scripts)


def test_n135_v82_the_object_stays_until_its_volumes_are_away(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        is_hung = True

        async def unmount(pod_uid):
            if is_hung:
                raise OSError("device is busy")

        volumes = machine.agent._shared.volumes
        volumes.unmount = unmount
        await machine.client.delete(PODS, "web-0", "default")
        await asyncio.sleep(60)
        assert (await machine.pod())["metadata"]["deletionTimestamp"]
        is_hung = False
        await machine.gone(within_s=130)

    scenario(body)


def test_n233_a_successor_of_the_same_name_is_not_deleted_for_its_predecessor(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "terminationGracePeriodSeconds": 5})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")  # the agent is stopping it
        await asyncio.sleep(1)
        await machine.client.delete(PODS, "web-0", "default", grace_period_s=0)
        successor = await machine.create({"containers": [APP]})
        pod = await machine.until(is_ready)
        await asyncio.sleep(30)
        assert (await machine.pod())["metadata"]["uid"] == successor["metadata"]["uid"] == pod["metadata"]["uid"]
        assert "deletionTimestamp" not in (await machine.pod())["metadata"]

    scenario(body, {"app:1": Script(stop_s=3)})


def test_n243_a_grace_period_of_zero_in_the_spec_is_one_second(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "terminationGracePeriodSeconds": 0})
        await machine.until(is_ready)
        uid = (await machine.pod())["metadata"]["uid"]
        worker = machine.agent._workers[uid]
        assert worker.pod.grace_period_s == 1
        await machine.client.delete(PODS, "web-0", "default")
        await machine.gone(within_s=4)

    scenario(body, {"app:1": Script(ignores_signal=True)})


def test_n85_the_end_of_one_container_restarts_all_by_its_rule(scenario):
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
    source = {"name": "source", "image": "source:1", "restartPolicy": "Never", "restartPolicyRules": [rule]}
    spec = {"initContainers": [{"name": "init", "image": "init:1"}], "containers": [APP, source]}

    def script(container: ContainerSpec) -> Script:
        if container.name == "init":
            return Script(exit_after_s=1)
        ends = container.name == "source" and container.attempt == 0
        return Script(exit_after_s=5, exit_code=42) if ends else Script(stop_s=1)

    async def body(machine):
        await machine.create({**spec, "restartPolicy": "Never"})
        first = await machine.until(is_ready)
        assert condition(first, "AllContainersRestarting") == "False"
        await machine.until(lambda pod: condition(pod, "AllContainersRestarting") == "True")
        pod = await machine.until(waits_for("RestartingAllContainers"))
        assert (pod["status"]["phase"], condition(pod, "AllContainersRestarting")) == ("Running", "False")
        entries = [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]
        ends = [entry["lastState"]["terminated"] for entry in entries]
        assert [(end["reason"], end["exitCode"]) for end in ends] == [("RestartingAllContainers", 137)] * 3
        again = await machine.until(is_ready)
        assert again["status"]["podIP"] == first["status"]["podIP"]
        for one in (pod, again):
            entries = [*one["status"]["initContainerStatuses"], *one["status"]["containerStatuses"]]
            assert [entry["restartCount"] for entry in entries] == [1, 1, 1]

    scenario(body, script)
