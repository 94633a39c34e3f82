"""Pods that a node does not take although they were bound to it (N191)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.pod import PODS
from holdfast.node.admission import rejection
from holdfast.node.sysctls import read_option

sys.path.insert(0, str(Path(__file__).parent))

from machines import APP, is_ready
from pods import pod

NODE = {
    "metadata": {"name": "node-1", "labels": {"disk": "ssd"}},
    "spec": {},
    "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "3", "ephemeral-storage": "100Gi"}},
}


def asking(name: str = "app", limits: dict[str, str] | None = None, **requests: str) -> Any:
    one = pod(name)
    one.spec["containers"][0]["resources"] = {"requests": requests | (limits or {})}
    return one


def with_port(number: int, ip: str = "") -> Any:
    one = pod()
    one.spec["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": number, "hostIP": ip}]
    return one


@pytest.mark.parametrize(
    ("one", "others", "reason", "message"),
    [
        pytest.param(asking(cpu="4"), [], "", "", id="all there is"),
        pytest.param(
            asking(cpu="2"),
            [asking(cpu="2500m")],
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 2000, used: 2500, capacity: 4000",
            id="cpu",
        ),
        pytest.param(
            asking(memory="6Gi"),
            [asking(memory="3Gi")],
            "OutOfmemory",
            f"Node didn't have enough resource: memory, requested: {6 << 30}, used: {3 << 30}, capacity: {8 << 30}",
            id="memory",
        ),
        pytest.param(
            pod(),
            [pod(), pod(), pod()],
            "OutOfpods",
            "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3",
            id="pods",
        ),
        pytest.param(
            asking(limits={"ephemeral-storage": "200Gi"}),
            [],
            "OutOfephemeral-storage",
            f"Node didn't have enough resource: ephemeral-storage, requested: {200 << 30}, used: 0, "
            f"capacity: {100 << 30}",
            id="disk",
        ),
        pytest.param(pod(), [asking(cpu="400")], "", "", id="who asks for nothing always fits"),
        pytest.param(asking(limits={"example.com/unknown": "1"}), [], "", "", id="what the node has never heard of"),
        pytest.param(
            pod(nodeSelector={"disk": "tape"}),
            [],
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
            id="selector",
        ),
        pytest.param(
            with_port(8080),
            [with_port(8080, "127.0.0.1")],
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
            id="port in use",
        ),
        pytest.param(with_port(8080, "127.0.0.2"), [with_port(8080, "127.0.0.1")], "", "", id="other address"),
    ],
)
def test_n191_reasons_and_messages(one, others, reason, message):
    verdict = rejection(one, NODE, others, frozenset())
    assert (verdict.reason, verdict.message) == (reason, message) if reason else verdict is None


def test_n191_a_taint_that_ends_pods_also_keeps_them_out():
    tainted = {**NODE, "spec": {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}}
    verdict = rejection(pod(), tainted, [], frozenset())
    assert verdict.reason == "TaintToleration"
    tolerant = pod(tolerations=[{"key": "maintenance", "operator": "Exists"}])
    assert rejection(tolerant, tainted, [], frozenset()) is None
    avoided = {**NODE, "spec": {"taints": [{"key": "maintenance", "effect": "NoSchedule"}]}}
    assert rejection(pod(), avoided, [], frozenset()) is None


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        ({"os": {"name": "linux"}, "nodeSelector": {"kubernetes.io/os": "linux"}}, "", ""),
        (
            {"os": {"name": "windows"}},
            "PodOSNotSupported",
            "Failed to admit pod as the OS field doesn't match node OS",
        ),
        (
            {"nodeSelector": {"kubernetes.io/os": "windows"}},
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        ),
    ],
)
def test_n191_pods_of_another_system_are_not_taken(spec, reason, message):
    labelled = {**NODE, "metadata": {"name": "node-1", "labels": {"kubernetes.io/os": "linux"}}}
    verdict = rejection(pod(**spec), labelled, [], frozenset())
    assert (verdict.reason, verdict.message) == (reason, message) if reason else verdict is None


def with_sysctls(*names: str) -> Any:
    return pod(securityContext={"sysctls": [{"name": name, "value": "1"} for name in names]})


@pytest.mark.parametrize(
    ("names", "allowed", "refused"),
    [
        (["kernel.shm_rmid_forced", "net.ipv4.tcp_rmem", "net/ipv4/ip_local_port_range"], [], ""),
        (["net.ipv4.tcp_syncookies", "net.core.somaxconn"], [], "net.core.somaxconn"),
        (["net/ipv4/conf/eth0.1/forwarding"], [], "net.ipv4.conf.eth0/1.forwarding"),
        (["net.core.somaxconn", "kernel.msgmax"], ["kernel.msg*", "net.core.somaxconn"], ""),
        (["kernel.sem"], ["kernel.msg*"], "kernel.sem"),
    ],
)
def test_n191_sysctls_that_reach_beyond_the_pod_are_allowed_by_name_only(names, allowed, refused):
    verdict = rejection(with_sysctls(*names), NODE, [], frozenset(), allowed)
    told = f'forbidden sysctl: "{refused}" not allowlisted'
    assert (verdict.reason, verdict.message) == ("SysctlForbidden", told) if refused else verdict is None


def test_n191_sysctls_are_allowed_as_the_kubelets_flag_has_them():
    assert read_option("kernel.msg*, net/core/somaxconn,") == ("kernel.msg*", "net.core.somaxconn")
    with pytest.raises(ValueError, match=r"vm\.max_map_count: a pod has no such setting of its own"):
        read_option("net.*,vm.max_map_count")


def test_n191_a_rejected_pod_has_failed_and_nothing_of_it_was_begun(scenario):
    async def body(machine):
        await machine.create({"containers": [{**APP, "resources": {"requests": {"cpu": "3"}}}]}, name="first")
        await machine.until(is_ready, name="first")
        await machine.create({"containers": [{**APP, "resources": {"requests": {"cpu": "2"}}}]}, name="second")
        rejected = await machine.until(lambda pod: pod["status"]["phase"] == "Failed", name="second")
        text = "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"
        assert rejected["status"]["reason"] == "OutOfcpu"
        assert rejected["status"]["message"] == f"Pod was rejected: {text}"
        assert "containerStatuses" not in rejected["status"]
        assert await machine.events("OutOfcpu") == [text]
        assert len(machine.runtime.containers()) == 1
        await machine.client.delete(PODS, "second", "default")
        await machine.gone(within_s=5, name="second")

    scenario(body, capacity={"cpu": "4"})


def test_n191_a_rejected_pod_takes_no_room_and_a_running_one_is_not_asked_again(scenario):
    async def body(machine):
        asked = {"resources": {"requests": {"cpu": "3"}}}
        await machine.create({"containers": [{**APP, **asked}]}, name="first")
        await machine.until(is_ready, name="first")
        await machine.create({"containers": [{**APP, **asked}]}, name="second")
        await machine.until(lambda pod: pod["status"]["phase"] == "Failed", name="second")
        await machine.stop()
        await machine.start()
        await asyncio.sleep(5)
        assert is_ready(await machine.pod("first"))
        await machine.create({"containers": [{**APP, "resources": {"requests": {"cpu": "1"}}}]}, name="third")
        await machine.until(is_ready, name="third")

    scenario(body, capacity={"cpu": "4"})


def test_n191_n136_who_was_force_deleted_does_not_keep_its_successor_out(scenario):
    async def body(machine):
        spec = {"containers": [{**APP, "resources": {"requests": {"cpu": "3"}}}], "terminationGracePeriodSeconds": 20}
        await machine.create(spec)
        await machine.until(is_ready)
        await machine.client.delete(PODS, "web-0", "default", grace_period_s=0)
        await machine.create(spec)
        await machine.until(is_ready)

    scenario(body, capacity={"cpu": "4"})
