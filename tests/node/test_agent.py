"""The agent against a real API server and a runtime in which nothing runs, on time that jumps."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from holdfast.api.coordination.lease import LEASES
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.secret import SECRETS
from holdfast.client import PatchType
from holdfast.node.pod import Pod
from holdfast.node.runtime import ContainerState
from holdfast.node.runtime.simulated import Script
from holdfast.node.volumes.pod_volumes import ImaginedVolumes

sys.path.insert(0, str(Path(__file__).parent))

from machines import APP, condition, entry, is_ready, state, waits_for


def test_n215_n217_the_node_is_registered_and_ready(scenario):
    async def body(machine):
        await asyncio.sleep(1)
        node = await machine.client.get(NODES, "node-1")
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "node-1"
        assert node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == ""
        conditions = node["status"]["conditions"]
        assert [c["type"] for c in conditions] == ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]
        assert conditions[3]["reason"] == "KubeletReady"
        assert node["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.36.")
        lease = await machine.client.get(LEASES, "node-1", "kube-node-lease")
        assert lease["spec"]["holderIdentity"] == "node-1"
        assert lease["metadata"]["ownerReferences"][0]["kind"] == "Node"

    scenario(body)


def test_the_node_tells_its_ranges_of_pods_once_for_all(scenario, caplog):
    """As upstream: ranges may come, they never change."""
    both = ("10.244.0.0/24", "fd00:10:244::/64")

    async def body(machine):
        async def told():
            await asyncio.sleep(1)
            spec = (await machine.client.get(NODES, "node-1"))["spec"]
            return spec.get("podCIDR"), spec.get("podCIDRs")

        assert await told() == (None, None)
        for ranges in (both, ("10.245.0.0/24",)):
            await machine.stop()
            await machine.start(pod_cidrs=ranges)
            assert await told() == (both[0], [*both])
        await machine.client.delete(NODES, "node-1")
        await asyncio.sleep(400)
        assert await told() == ("10.245.0.0/24", ["10.245.0.0/24"])

    scenario(body)
    assert "delete it to renew it" in caplog.text


def test_d1_addresses_of_both_families_are_told(scenario):
    async def body(machine):
        await machine.stop()
        await machine.start(node_ips=("192.0.2.1", "2001:db8::1"))
        await machine.create({"containers": [APP], "hostNetwork": True})
        status = (await machine.until(is_ready))["status"]
        node = await machine.client.get(NODES, "node-1")
        both = ["192.0.2.1", "2001:db8::1"]
        assert [each["ip"] for each in status["hostIPs"]] == [each["ip"] for each in status["podIPs"]] == both
        assert [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"] == both

    scenario(body)


def test_n181_a_quiet_node_writes_only_its_lease(scenario):
    async def body(machine):
        await asyncio.sleep(30)
        before = machine.server.store.revision
        await asyncio.sleep(100)
        writes = machine.server.store.revision - before
        assert 9 <= writes <= 11

    scenario(body)


def test_n31_n77_a_simple_pod_becomes_ready(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        pod = await machine.until(is_ready)
        status = pod["status"]
        assert status["phase"] == "Running"
        assert status["podIP"].startswith("10.244.")
        assert status["hostIP"] == "192.0.2.1"
        types = [c["type"] for c in status["conditions"]]
        assert types == ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        assert entry(pod)["restartCount"] == 0
        assert entry(pod)["containerID"].startswith("simulated://")
        assert await machine.events("Started") == ["Container started"]
        assert await machine.events("Pulled") != []

    scenario(body)


def test_n13_n86_n89_a_crashing_container_is_restarted_with_back_off(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        pod = await machine.until(waits_for("CrashLoopBackOff"))
        assert pod["status"]["phase"] == "Running"  # N13
        waiting = state(pod)["waiting"]
        uid = pod["metadata"]["uid"]
        assert waiting["message"] == f"back-off 10s restarting failed container=app pod=web-0_default({uid})"
        assert entry(pod)["restartCount"] == 1
        assert entry(pod)["lastState"]["terminated"]["exitCode"] == 3
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await machine.until(lambda pod: entry(pod)["restartCount"] == 2)
        assert 9 <= loop.time() - begin <= 11
        await machine.until(lambda pod: entry(pod)["restartCount"] == 3)
        assert 29 <= loop.time() - begin <= 33
        assert (await machine.events("BackOff"))[
            0
        ] == f"Back-off restarting failed container app in pod web-0_default({uid})"

    scenario(body, {"app:1": Script(exit_after_s=0.5, exit_code=3)})


def test_n131_deletion_stops_the_container_then_removes_the_object(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "terminationGracePeriodSeconds": 30})
        pod = await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        assert await machine.gone() < 5
        assert machine.runtime.containers() == []
        assert machine.runtime.sandboxes() == []
        assert await machine.events("Killing") == ["Stopping container app"]
        assert pod["metadata"]["uid"]

    scenario(body, {"app:1": Script(stop_s=2)})


def test_n134_a_process_that_ignores_the_signal_takes_the_whole_grace(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "terminationGracePeriodSeconds": 20})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        assert 19 <= await machine.gone() <= 22

    scenario(body, {"app:1": Script(ignores_signal=True)})


def test_n132_a_shorter_grace_interrupts_the_waiting(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "terminationGracePeriodSeconds": 600})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        await asyncio.sleep(5)
        await machine.client.delete(PODS, "web-0", "default", grace_period_s=3)
        assert 2 <= await machine.gone() <= 5

    scenario(body, {"app:1": Script(ignores_signal=True)})


def test_n136_a_successor_waits_for_a_force_deleted_pod(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "terminationGracePeriodSeconds": 20})
        first = await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default", grace_period_s=0)
        await machine.create({"containers": [APP]})
        await asyncio.sleep(10)
        running = {record.pod_uid for record in machine.runtime.containers()}
        assert running == {first["metadata"]["uid"]}
        await machine.until(is_ready)
        running = {record.pod_uid for record in machine.runtime.containers()}
        assert first["metadata"]["uid"] not in running

    scenario(body, {"app:1": Script(ignores_signal=True)})


def test_n137_a_pod_deleted_before_it_started_leaves_at_once(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await asyncio.sleep(1)
        await machine.client.delete(PODS, "web-0", "default")
        assert await machine.gone() < 2
        assert await machine.events("Killing") == []

    scenario(body, {"app:1": Script(pull_s=1000)})


def test_n195_a_new_agent_adopts_what_runs(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        before = await machine.until(is_ready)
        await asyncio.sleep(60)
        await machine.stop()
        await asyncio.sleep(30)
        revision = machine.server.store.revision
        await machine.start()
        await asyncio.sleep(5)
        after = await machine.pod()
        assert after["status"] == before["status"]
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert machine.server.store.revision - revision <= 3
        assert await machine.events("Started") == ["Container started"]

    scenario(body)


def test_v103_a_new_agent_brings_the_files_of_what_runs_up_to_date(scenario, monkeypatch):
    """Tokens among them, of which it does not know how old they are (A220)."""
    refreshed: list[str] = []

    async def refresh(self: ImaginedVolumes, pod: Pod) -> None:
        refreshed.append(pod.name)

    monkeypatch.setattr(ImaginedVolumes, "refresh", refresh)

    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        await asyncio.sleep(100)
        assert refreshed == []
        await machine.stop()
        await machine.start()
        await asyncio.sleep(60)
        assert refreshed == ["web-0"]

    scenario(body)


@pytest.fixture
def refreshed(monkeypatch):
    """Names of pods whose volumes are brought up to date."""
    names: list[str] = []

    async def refresh(self: ImaginedVolumes, pod: Pod) -> None:
        names.append(pod.name)

    monkeypatch.setattr(ImaginedVolumes, "refresh", refresh)
    return names


BOTH = pytest.mark.parametrize(("kind", "reference"), [(SECRETS, "secretRef"), (CONFIG_MAPS, "configMapRef")])


def drawing_on(reference, name):
    return {"containers": [{**APP, "envFrom": [{reference: {"name": name, "optional": True}}]}]}


@BOTH
def test_v103_pods_that_draw_on_what_changes_are_told_at_once_and_no_others(scenario, refreshed, kind, reference):
    other = "secretRef" if reference == "configMapRef" else "configMapRef"

    async def body(machine):
        await machine.create(drawing_on(reference, "words"), name="drawing")
        await machine.create(drawing_on(other, "words"), name="of-the-other-kind")
        await machine.create({"containers": [{**APP, "args": ["words"]}]}, name="saying-so")
        for name in ("drawing", "of-the-other-kind", "saying-so"):
            await machine.until(is_ready, name=name)
        await machine.client.create(kind, {"metadata": {"name": "words"}}, "default")
        await asyncio.sleep(1)
        assert refreshed == ["drawing"]

    scenario(body)


@BOTH
def test_v103_an_agent_that_follows_neither_asks_for_those_of_its_pods_again(scenario, refreshed, kind, reference):
    async def body(machine):
        await machine.create(drawing_on(reference, "words"), name="drawing")
        await machine.create({"containers": [APP]}, name="other")
        for name in ("drawing", "other"):
            await machine.until(is_ready, name=name)
        await machine.client.create(kind, {"metadata": {"name": "words"}}, "default")
        await asyncio.sleep(5)
        assert refreshed == [], "nobody has told it"
        await asyncio.sleep(90)
        assert refreshed == ["drawing"]
        await asyncio.sleep(300)
        assert refreshed == ["drawing"], "it is as it was"
        await machine.client.patch(kind, "words", {"data": {"a": "Yg=="}}, "default")
        await asyncio.sleep(90)
        assert refreshed == ["drawing"] * 2

    scenario(body, asks_one_by_one=True)


@BOTH
def test_v103_what_cannot_be_asked_for_is_asked_for_again(scenario, refreshed, kind, reference):
    async def body(machine):
        await machine.create(drawing_on(reference, "words"), name="drawing")
        await machine.until(is_ready, name="drawing")
        await asyncio.sleep(100)
        refreshed.clear()
        machine.line.clear()
        await machine.client.create(kind, {"metadata": {"name": "words"}}, "default")
        await asyncio.sleep(300)
        assert refreshed == []
        machine.line.set()
        await asyncio.sleep(180)
        assert refreshed == ["drawing"]

    scenario(body, asks_one_by_one=True)


def test_a_pod_that_waits_for_a_config_map_starts_when_it_is_there(scenario):
    """Also where nobody tells of it."""

    async def body(machine):
        await machine.create({"containers": [{**APP, "envFrom": [{"configMapRef": {"name": "words"}}]}]})
        await machine.until(waits_for("CreateContainerConfigError"))
        await machine.client.create(CONFIG_MAPS, {"metadata": {"name": "words"}}, "default")
        await machine.until(is_ready)

    scenario(body, asks_one_by_one=True)


def test_n197_a_container_that_died_meanwhile_counts_as_a_restart(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        await machine.stop()
        machine.runtime.kill(machine.runtime.containers()[0].id, 9)
        await asyncio.sleep(5)
        await machine.start()
        pod = await machine.until(lambda pod: entry(pod)["restartCount"] == 1 and is_ready(pod))
        assert entry(pod)["lastState"]["terminated"]["exitCode"] == 9

    scenario(body)


def test_n139_n198_n200_orphans_are_removed_after_the_first_list(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        await machine.stop()
        await machine.client.delete(PODS, "web-0", "default", grace_period_s=0)
        await machine.start()
        await asyncio.sleep(3)
        assert machine.runtime.containers() == []
        assert machine.runtime.sandboxes() == []

    scenario(body)


def test_n199_after_a_reboot_containers_start_again_with_one_restart_more(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        await machine.stop()
        machine.runtime.crash()
        await machine.start()
        pod = await machine.until(lambda pod: entry(pod)["restartCount"] == 1 and is_ready(pod))
        assert entry(pod)["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"

    scenario(body)


def test_n95_init_containers_run_in_order_before_the_app(scenario):
    async def body(machine):
        await machine.create(
            {
                "initContainers": [{"name": "one", "image": "init:1"}, {"name": "two", "image": "init:1"}],
                "containers": [APP],
            }
        )
        pod = await machine.until(lambda pod: "running" in state(pod, "one"))
        assert pod["status"]["phase"] == "Pending"
        assert state(pod)["waiting"]["reason"] == "PodInitializing"
        pod = await machine.until(is_ready)
        ends = [e["state"]["terminated"] for e in pod["status"]["initContainerStatuses"]]
        assert ends[0]["finishedAt"] <= ends[1]["startedAt"]
        assert [end["reason"] for end in ends] == ["Completed", "Completed"]

    scenario(body, {"init:1": Script(exit_after_s=3)})


def test_n97_n98_a_sidecar_starts_first_and_does_not_keep_a_finished_pod(scenario):
    async def body(machine):
        await machine.create(
            {
                "restartPolicy": "Never",
                "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
                "containers": [{"name": "app", "image": "job:1"}],
            }
        )
        pod = await machine.until(lambda pod: pod["status"]["phase"] == "Running")
        assert "running" in state(pod, "proxy")
        pod = await machine.until(lambda pod: pod["status"]["phase"] == "Succeeded")
        assert not any(r.state is ContainerState.RUNNING for r in machine.runtime.containers())
        conditions = {c["type"]: c.get("reason") for c in pod["status"]["conditions"]}
        assert conditions["Ready"] == "PodCompleted"  # N16

    scenario(body, {"job:1": Script(exit_after_s=5)})


def test_n111_a_failing_liveness_probe_restarts_the_container(scenario):
    async def body(machine):
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 5, "failureThreshold": 2}
        await machine.create({"containers": [{**APP, "livenessProbe": probe}]})
        pod = await machine.until(lambda pod: entry(pod)["restartCount"] == 1, within_s=90)
        assert pod["status"]["phase"] == "Running"
        assert await machine.events("Killing") == ["Container app failed liveness probe, will be restarted"]
        assert (await machine.events("Unhealthy"))[0].startswith("Liveness probe failed: ")

    scenario(body, {"app:1": Script(dead_after_s=20)})


def test_n34_readiness_is_published_when_the_probe_turns(scenario):
    async def body(machine):
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        await machine.create({"containers": [{**APP, "readinessProbe": probe}]})
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await machine.until(is_ready)
        assert 5 <= loop.time() - begin <= 7
        await machine.until(lambda pod: not is_ready(pod))
        pod = await machine.until(is_ready)
        assert entry(pod)["restartCount"] == 0
        assert 30 <= loop.time() - begin <= 33

    scenario(body, {"app:1": Script(ready_after_s=5, unready_between_s=(15, 30))})


def test_n47_n107_n231_ready_waits_for_the_startup_probe(scenario):
    async def body(machine):
        startup = {"tcpSocket": {"port": 80}, "periodSeconds": 2, "failureThreshold": 30}
        await machine.create({"containers": [{**APP, "startupProbe": startup}]})
        pod = await machine.until(lambda pod: "running" in state(pod))
        assert (entry(pod)["started"], entry(pod)["ready"]) == (False, False)
        pod = await machine.until(is_ready)
        assert entry(pod)["started"] is True

    scenario(body, {"app:1": Script(ready_after_s=9)})


def test_n64_an_image_that_is_not_there_is_pulled_with_back_off(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(waits_for("ErrImagePull"))
        pod = await machine.until(waits_for("ImagePullBackOff"))
        assert state(pod)["waiting"]["message"].startswith('Back-off pulling image "app:1": ')
        assert pod["status"]["phase"] == "Pending"
        messages = await machine.events("Failed")
        assert 'Failed to pull image "app:1": failed to resolve image "app:1": not found' in messages
        assert "Error: ErrImagePull" in messages

    scenario(body, {"app:1": Script(has_image=False)})


def test_n153_a_missing_config_map_holds_the_start_until_it_appears(scenario):
    async def body(machine):
        source = {"configMapKeyRef": {"name": "settings", "key": "mode"}}
        await machine.create({"containers": [{**APP, "env": [{"name": "MODE", "valueFrom": source}]}]})
        pod = await machine.until(waits_for("CreateContainerConfigError"))
        assert state(pod)["waiting"]["message"] == 'configmap "settings" not found'
        assert 'Error: configmap "settings" not found' in await machine.events("Failed")
        await machine.client.create(
            CONFIG_MAPS,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"mode": "x"}},
            "default",
        )
        await machine.until(is_ready, within_s=3)

    scenario(body)


def test_n78_an_unbound_claim_holds_the_pod_with_an_event(scenario):
    async def body(machine):
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]
        mounts = [{"name": "data", "mountPath": "/data"}]
        await machine.create({"containers": [{**APP, "volumeMounts": mounts}], "volumes": volumes})
        await asyncio.sleep(10)
        pod = await machine.pod()
        assert state(pod)["waiting"]["reason"] == "ContainerCreating"
        [message] = await machine.events("FailedMount")
        assert message.startswith("Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[]")

    scenario(body)


def test_n35_n186_a_status_somebody_else_spoiled_is_repaired(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        pod = await machine.until(is_ready)
        conditions = [{**c, "status": "False"} if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
        await machine.client.patch(
            PODS, "web-0", {"status": {"conditions": conditions}}, "default", subresource="status"
        )
        await machine.until(is_ready, within_s=2)

    scenario(body)


def test_n25_conditions_of_others_survive(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "readinessGates": [{"conditionType": "example.com/open"}]})
        pod = await machine.until(lambda pod: condition(pod, "ContainersReady") == "True")
        assert not is_ready(pod)
        gate = {"type": "example.com/open", "status": "True"}
        conditions = [*pod["status"]["conditions"], gate]
        await machine.client.patch(
            PODS, "web-0", {"status": {"conditions": conditions}}, "default", subresource="status"
        )
        pod = await machine.until(is_ready, within_s=2)
        assert condition(pod, "example.com/open") == "True"

    scenario(body)


def test_n19_a_pod_past_its_deadline_fails(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "activeDeadlineSeconds": 20})
        pod = await machine.until(lambda pod: pod["status"]["phase"] == "Failed")
        assert pod["status"]["reason"] == "DeadlineExceeded"
        assert not any(r.state is ContainerState.RUNNING for r in machine.runtime.containers())

    scenario(body)


def test_n138_a_pod_with_a_finalizer_stays_terminal_until_it_is_removed(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]}, finalizers=["example.com/hold"])
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        pod = await machine.until(lambda pod: pod["status"]["phase"] == "Succeeded")
        await asyncio.sleep(120)
        assert machine.runtime.containers() == []
        await machine.client.patch(PODS, "web-0", {"metadata": {"finalizers": None}}, "default")
        await machine.gone(within_s=3)
        assert pod["metadata"]["finalizers"]

    scenario(body)


def test_n123_a_failing_post_start_hook_ends_the_run(scenario):
    async def body(machine):
        hook = {"postStart": {"exec": {"command": ["fail"]}}}
        await machine.create({"containers": [{**APP, "lifecycle": hook}]})
        await machine.until(
            lambda pod: state(pod).get("waiting", {}).get("reason") in ("PostStartHookError", "CrashLoopBackOff")
        )
        assert "PostStartHook failed" in await machine.events("FailedPostStartHook")

    scenario(body, {"app:1": Script(exec_code=1)})


def test_n125_pre_stop_time_is_taken_from_the_grace(scenario):
    async def body(machine):
        hook = {"preStop": {"sleep": {"seconds": 6}}}
        await machine.create({"containers": [{**APP, "lifecycle": hook}], "terminationGracePeriodSeconds": 10})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        assert 9 <= await machine.gone() <= 11.5

    scenario(body, {"app:1": Script(ignores_signal=True)})


def test_n83_a_new_image_restarts_only_that_container(scenario):
    async def body(machine):
        await machine.create({"containers": [APP, {"name": "other", "image": "other:1"}]})
        before = await machine.until(is_ready)
        patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": "app:2"}]
        await machine.client.patch(PODS, "web-0", patch, "default", type=PatchType.JSON)
        pod = await machine.until(lambda pod: entry(pod)["restartCount"] == 1 and is_ready(pod))
        assert pod["status"]["podIP"] == before["status"]["podIP"]
        assert entry(pod, "other") == entry(before, "other")
        assert await machine.events("Killing") == ["Container app definition changed, will be restarted"]

    scenario(body)


def test_a_quiet_pod_costs_no_writes(scenario):
    async def body(machine):
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        await machine.create({"containers": [{**APP, "readinessProbe": probe, "livenessProbe": probe}]})
        pod = await machine.until(is_ready)
        await asyncio.sleep(600)
        assert (await machine.pod())["metadata"]["resourceVersion"] == pod["metadata"]["resourceVersion"]

    scenario(body)


def test_a_pod_is_ready_after_few_writes(scenario):
    async def body(machine):
        created = await machine.create({"containers": [APP]})
        pod = await machine.until(is_ready)
        assert pod["metadata"]["generation"] == created["metadata"]["generation"]
        fields = [f for f in pod["metadata"].get("managedFields", ()) if f.get("subresource") == "status"]
        assert len(fields) <= 1

    scenario(body)


def test_a_node_shut_down_in_good_order_goes_on_with_its_pods_later(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        before = await machine.until(is_ready)
        await machine.agent.shut_down()
        await machine.stop()
        pod = await machine.pod()
        assert machine.runtime.sandboxes() == []
        assert pod["status"]["phase"] == "Running"
        assert not is_ready(pod)
        assert state(pod)["terminated"]["exitCode"] == 143
        await machine.start()
        pod = await machine.until(is_ready)
        assert pod["metadata"]["uid"] == before["metadata"]["uid"]
        assert entry(pod)["restartCount"] == 1
        assert entry(pod)["lastState"]["terminated"]["exitCode"] == 143

    scenario(body, {"app:1": Script(stop_s=1, stop_code=143)})


SHUTDOWN = "Pod was terminated in response to imminent node shutdown."


def test_n192_pods_of_a_node_that_is_told_how_long_a_shutdown_takes_have_failed(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        await machine.agent.shut_down()
        await machine.stop()
        status = (await machine.pod())["status"]
        assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Terminated", SHUTDOWN)
        [target] = [each for each in status["conditions"] if each["type"] == "DisruptionTarget"]
        assert (target["status"], target["reason"], target["message"]) == ("True", "TerminationByKubelet", SHUTDOWN)
        assert state(await machine.pod())["terminated"]["exitCode"] == 143
        await machine.start()
        await asyncio.sleep(60)
        assert (await machine.pod())["status"]["phase"] == "Failed", "its owner makes another; the node does not"

    scenario(body, {"app:1": Script(stop_s=1, stop_code=143)}, shutdown_grace_s=30.0)


def test_n192_all_pods_together_have_that_long_and_a_set_still_stops_in_order(scenario):
    async def body(machine):
        owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "set-1", "controller": True}
        for ordinal in range(3):
            spec = {"containers": [APP], "terminationGracePeriodSeconds": 20}
            await machine.create(spec, name=f"web-{ordinal}", ownerReferences=[owner])
        for ordinal in range(3):
            await machine.until(is_ready, name=f"web-{ordinal}")
        async with asyncio.timeout(35):  # two seconds are the least that a pod is given
            await machine.agent.shut_down()
        ends = [state(await machine.pod(f"web-{each}"))["terminated"]["finishedAt"] for each in (2, 1, 0)]
        assert ends == sorted(ends)
        assert [(await machine.pod(f"web-{each}"))["status"]["phase"] for each in range(3)] == ["Failed"] * 3

    scenario(body, {"app:1": Script(ignores_signal=True)}, shutdown_grace_s=30.0)


def test_n192_a_pod_that_had_ended_or_is_deleted_anyhow_has_not_failed_by_the_shutdown(scenario):
    async def body(machine):
        await machine.create({"containers": [APP], "restartPolicy": "Never"}, name="done")
        await machine.until(lambda pod: pod["status"]["phase"] == "Succeeded", name="done")
        await machine.create(
            {"containers": [{**APP, "image": "long:1"}]}, name="leaving", finalizers=["example.com/keep"]
        )
        await machine.until(is_ready, name="leaving")
        await machine.client.delete(PODS, "leaving", "default")
        await asyncio.sleep(0.1)
        await machine.agent.shut_down()
        assert (await machine.pod("done"))["status"]["phase"] == "Succeeded"
        assert "reason" not in (await machine.pod("leaving"))["status"]

    scenario(body, {"app:1": Script(exit_after_s=1), "long:1": Script(stop_s=1)}, shutdown_grace_s=30.0)


async def shuts_down_without_the_api(machine, within_s):
    """The API's process ends, then the node is stopped; comes back with both at work again."""
    machine.api.kill()
    async with asyncio.timeout(within_s):
        await machine.agent.shut_down()
    await machine.stop()
    assert machine.runtime.sandboxes() == []
    await machine.start()


def test_a_node_shuts_down_without_the_api_and_removes_a_deleted_pod_later(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]})
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        await asyncio.sleep(0.1)
        await shuts_down_without_the_api(machine, within_s=8)
        await machine.gone()

    scenario(body, {"app:1": Script(stop_s=1)})


def test_a_node_shuts_down_although_a_deleted_pod_is_kept_by_a_finalizer(scenario):
    async def body(machine):
        await machine.create({"containers": [APP]}, finalizers=["example.com/keep"])
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default")
        async with asyncio.timeout(8):
            await machine.agent.shut_down()

    scenario(body, {"app:1": Script(stop_s=1)})


def test_without_the_api_a_set_stops_in_order_and_waits_for_the_api_only_once(scenario):
    async def body(machine):
        owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "set-1", "controller": True}
        for ordinal in range(5):
            await machine.create({"containers": [APP]}, name=f"web-{ordinal}", ownerReferences=[owner])
        for ordinal in range(5):
            await machine.until(is_ready, name=f"web-{ordinal}")
        await shuts_down_without_the_api(machine, within_s=5 * 1 + 6)

    scenario(body, {"app:1": Script(stop_s=1)})
