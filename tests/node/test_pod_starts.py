"""How a pod comes up: conditions, events, retries, what containers are told (N27, N77-N80, N153-N162, N212, N242)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.client import PatchType
from holdfast.node import own_machine
from holdfast.node.runtime import RuntimeFailure, SandboxFailure
from holdfast.node.runtime.simulated import Script

sys.path.insert(0, str(Path(__file__).parent))

from machines import APP, condition, entry, is_ready, state, waits_for


def env_of(machine, name: str = "app") -> dict[str, str]:
    """What the latest run of that container was given."""
    held = [one for one in machine.runtime._containers.values() if one.spec.name == name]
    return dict(held[-1].spec.env)


async def config_map(machine, name: str, **data: str) -> dict[str, Any]:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    return await machine.client.create(CONFIG_MAPS, manifest, "default")


def from_config_map(name: str, key: str) -> dict[str, Any]:
    return {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}


def test_n27_the_sandbox_counts_as_soon_as_it_has_an_address(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]}, finalizers=["example.org/kept"])
        pod = await machine.until(lambda pod: condition(pod, "PodReadyToStartContainers") == "True")
        assert pod["status"]["podIP"]
        assert "waiting" in state(pod)  # the image is still on its way
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        gone = await machine.until(lambda pod: condition(pod, "PodReadyToStartContainers") == "False")
        assert "terminated" in state(gone)

    scenario(body, {"app:1": Script(pull_s=5, stop_s=2)})


def test_n77_n212_events_of_a_container_name_it_in_their_field_path(scenario):
    async def body(machine):
        init = {"name": "init", "image": "init:1"}
        await machine.create({"initContainers": [init], "containers": [APP]})
        await machine.until(is_ready)
        await asyncio.sleep(0.1)
        found = (await machine.client.list(EVENTS, "default")).items
        told = {
            (event["reason"], event["involvedObject"].get("fieldPath", ""), event["message"])
            for event in found
            if event["source"]["component"] == "kubelet" and event["reason"] in ("Created", "Started")
        }
        assert told == {
            ("Created", "spec.initContainers{init}", "Container created"),
            ("Started", "spec.initContainers{init}", "Container started"),
            ("Created", "spec.containers{app}", "Container created"),
            ("Started", "spec.containers{app}", "Container started"),
        }

    scenario(body, {"init:1": Script(exit_after_s=1)})


def test_n79_a_sandbox_that_cannot_be_made_is_told_and_tried_again(scenario):
    async def body(machine):
        make = machine.runtime.create_sandbox

        async def refuse(spec):
            raise RuntimeFailure("CreatePodSandboxError", "no address is free")

        machine.runtime.create_sandbox = refuse
        await machine.create({"containers": [APP]})
        await asyncio.sleep(3)
        assert await machine.events("FailedCreatePodSandBox") == ["Failed to create pod sandbox: no address is free"]
        assert state(await machine.pod()) == {"waiting": {"reason": "ContainerCreating"}}
        machine.runtime.create_sandbox = make
        await machine.until(is_ready, within_s=20)

    scenario(body)


def test_n163_n79_a_full_name_that_no_kernel_holds_keeps_the_pod_waiting(scenario):
    async def body(machine):
        name = "n" * 33
        await machine.create({"containers": [APP], "hostname": name, "subdomain": "group", "setHostnameAsFQDN": True})
        await asyncio.sleep(3)
        assert await machine.events("FailedCreatePodSandBox") == [
            "Failed to create pod sandbox: failed to construct FQDN from pod hostname and cluster domain, "
            f"FQDN {name}.group.default.svc.cluster.local is too long "
            "(64 characters is the max, 65 characters requested)"
        ]
        assert not machine.runtime.sandboxes()

    scenario(body)


def test_n79_a_sandbox_that_proves_unfit_as_the_first_container_starts_is_told_and_made_anew(scenario):
    async def body(machine):
        start = machine.runtime.start_container

        async def refuse(identifier):
            await machine.runtime.remove_sandbox(pod["metadata"]["uid"])
            raise SandboxFailure("CreatePodSandboxError", "no device left")

        machine.runtime.start_container = refuse
        pod = await machine.create({"containers": [APP]})
        await asyncio.sleep(3)
        assert await machine.events("FailedCreatePodSandBox") == ["Failed to create pod sandbox: no device left"]
        assert state(await machine.pod()) == {"waiting": {"reason": "ContainerCreating"}}
        machine.runtime.start_container = start
        ready = await machine.until(is_ready, within_s=20)
        assert entry(ready)["restartCount"] == 0

    scenario(body)


def test_n80_n44_a_start_that_failed_is_tried_again_after_ten_to_fifteen_seconds(scenario):
    async def body(machine):
        await machine.create({"containers": [{**APP, "env": [from_config_map("words", "one")]}]})
        pod = await machine.until(waits_for("CreateContainerConfigError"))
        assert state(pod)["waiting"]["message"] == 'configmap "words" not found'
        await asyncio.sleep(60)
        count = max(
            event["count"]
            for event in (await machine.client.list(EVENTS, "default")).items
            if event["message"] == 'Error: configmap "words" not found'
        )
        assert 4 <= count <= 7

    scenario(body)


def test_n155_a_changed_config_map_reaches_only_the_next_run(scenario):
    async def body(machine):
        await config_map(machine, "words", one="before")
        await machine.create({"containers": [{**APP, "env": [from_config_map("words", "one")]}]})
        await machine.until(is_ready)
        await machine.client.patch(CONFIG_MAPS, "words", {"data": {"one": "after"}}, "default")
        await asyncio.sleep(120)
        assert env_of(machine)["WORD"] == "before"
        machine.runtime.kill(next(record.id for record in machine.runtime.containers()))
        await machine.until(lambda pod: entry(pod)["restartCount"] == 1 and is_ready(pod))
        assert env_of(machine)["WORD"] == "after"

    scenario(body)


def test_n158_n156_containers_know_the_services_that_were_there_before_them(scenario):
    async def body(machine):
        spec = {"ports": [{"port": 5432}], "selector": {"app": "db"}}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "my-db"}, "spec": spec}
        created = await machine.client.create(SERVICES, service, "default")
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        assert env_of(machine)["MY_DB_SERVICE_HOST"] == created["spec"]["clusterIP"]
        assert env_of(machine)["MY_DB_PORT"].startswith("tcp://")
        assert "KUBERNETES_SERVICE_HOST" in env_of(machine)

    scenario(body)


def test_n162_n160_the_pod_s_address_is_known_before_its_first_container(scenario):
    async def body(machine):
        field = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        await machine.create({"containers": [{**APP, "env": [field]}]})
        pod = await machine.until(is_ready)
        assert env_of(machine)["POD_IP"] == pod["status"]["podIP"] != ""

    scenario(body)


def test_n242_what_was_created_just_before_the_pod_is_found(scenario):
    async def body(machine):
        for number in range(20):
            await config_map(machine, f"words-{number}", one=str(number))
            container = {**APP, "env": [from_config_map(f"words-{number}", "one")]}
            await machine.create({"containers": [container]}, name=f"web-{number}")
        for number in range(20):
            await machine.until(is_ready, name=f"web-{number}")
        assert await machine.events("Failed") == []

    scenario(body)


def test_n168_behind_a_local_stub_the_real_resolver_file_is_read(tmp_path, monkeypatch):
    stub, real = tmp_path / "resolv.conf", tmp_path / "real.conf"
    stub.write_text("nameserver 127.0.0.53\noptions edns0\n")
    real.write_text("nameserver 192.0.2.53\nsearch example.org\n")
    read = own_machine.read_text
    moved = {"/run/systemd/resolve/resolv.conf": str(real)}
    monkeypatch.setattr(own_machine, "read_text", lambda path: read(moved.get(str(path), path)))
    assert own_machine.node_resolver(stub).nameservers == ("192.0.2.53",)
    real.unlink()
    assert own_machine.node_resolver(stub).nameservers == ("127.0.0.53",)
    stub.write_text("nameserver 192.0.2.1\n")
    assert own_machine.node_resolver(stub).nameservers == ("192.0.2.1",)


def test_n241_a_hook_that_hangs_keeps_nobody_else(scenario):
    async def body(machine):
        hanging = {**APP, "lifecycle": {"postStart": {"exec": {"command": ["wait"]}}}, "image": "slow:1"}
        await machine.create({"containers": [hanging]}, name="slow")
        await asyncio.sleep(1)
        await machine.create({"containers": [APP]}, name="quick")
        await machine.until(is_ready, name="quick", within_s=3)
        assert "waiting" in state(await machine.pod("slow"))

    scenario(body, {"slow:1": Script(exec_s=10_000)})


def test_n202_the_api_s_absence_disturbs_nothing_that_runs(scenario):
    async def body(machine):
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        await machine.create({"containers": [{**APP, "livenessProbe": probe}]})
        before = await machine.until(is_ready)
        machine.api.kill()
        await asyncio.sleep(30)
        [record] = machine.runtime.containers()
        machine.runtime.kill(record.id)
        await asyncio.sleep(30)
        runs = [one for one in machine.runtime.containers() if one.finished is None]
        assert [one.attempt for one in runs] == [1]  # restarted all the same
        assert entry(await machine.pod()) == entry(before)

    scenario(body)


def test_n203_two_agents_do_not_share_a_state_directory(tmp_path):
    with (
        own_machine.only_one(tmp_path),
        pytest.raises(RuntimeError, match=f"another agent uses {tmp_path}"),
        own_machine.only_one(tmp_path),
    ):
        raise AssertionError("both have it")
    with own_machine.only_one(tmp_path):
        pass


def test_n215_n219_labels_and_role_that_scripts_select_nodes_by(scenario):
    async def body(machine):
        await asyncio.sleep(1)
        await machine.client.patch(NODES, "node-1", {"metadata": {"labels": {"mine": "kept"}}}, type=PatchType.MERGE)
        await machine.stop()
        await machine.start()
        await asyncio.sleep(1)
        labels = (await machine.client.get(NODES, "node-1"))["metadata"]["labels"]
        assert labels["mine"] == "kept"
        assert labels["kubernetes.io/os"] == labels["beta.kubernetes.io/os"] == "linux"
        assert labels["node-role.kubernetes.io/control-plane"] == ""

    scenario(body)


def test_v81_volumes_are_mounted_once_whatever_containers_do(scenario):
    async def body(machine):
        await machine.agent.started.wait()
        volumes, mounts = machine.agent._shared.volumes, []
        mount = volumes.mount

        async def counted(pod):
            mounts.append(pod.name)
            return await mount(pod)

        volumes.mount = counted
        await machine.create({"containers": [APP, {"name": "other", "image": "app:1"}]})
        await machine.until(lambda pod: entry(pod)["restartCount"] >= 3, within_s=300)
        assert mounts == ["web-0"]

    scenario(body, {"app:1": Script(exit_after_s=2, exit_code=1)})
