"""What the agent tells of what is used (A277), in the kubelet's forms."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.node.node_status import imagined_machine
from holdfast.node.runtime import ContainerResources, ContainerSpec, SandboxSpec, Usage
from holdfast.node.runtime.process import ProcessRuntime
from holdfast.node.runtime.process_usage import tree_usage
from holdfast.node.runtime.simulated import Script, SimulatedRuntime
from holdfast.node.server import AgentServer
from holdfast.node.statistics import machine
from holdfast.node.statistics.exposition import cadvisor, kubelet, resources
from holdfast.node.statistics.sampling import ContainerSample, Sample, Statistics, VolumeSample
from holdfast.node.statistics.summary import document
from holdfast.node.streaming import ContainerView, PodView
from holdfast.node.volumes.usage import VolumeUse
from holdfast.wire.http import Request
from holdfast.wire.prometheus import written
from holdfast.world import real_world

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds):
    return BEGIN + timedelta(seconds=seconds)


def container(name, seconds, cpu_ns, memory=1 << 20, started=0, pod="p"):
    usage = Usage(at(seconds), cpu_ns, memory, memory // 2)
    return ContainerSample("ns", pod, f"uid-{pod}", name, at(started), usage)


def test_a_sample_is_written_as_prometheus_reads_it():
    node = Usage(at(10), 20_500_000_000, 4096)
    sample = Sample(at(10), node, [container("a", 10, 1_500_000_000), container("b", 10, 500_000_000, 1 << 10)])
    lines = resources(sample).splitlines()
    told = "[STABLE] Cumulative cpu time consumed by the container in core-seconds"
    assert lines[:4] == [
        f"# HELP container_cpu_usage_seconds_total {told}",
        "# TYPE container_cpu_usage_seconds_total counter",
        'container_cpu_usage_seconds_total{container="a",namespace="ns",pod="p"} 1.5 1767225610000',
        'container_cpu_usage_seconds_total{container="b",namespace="ns",pod="p"} 0.5 1767225610000',
    ]
    assert 'container_start_time_seconds{container="a",namespace="ns",pod="p"} 1767225600' in lines
    assert "node_cpu_usage_seconds_total 20.5 1767225610000" in lines
    assert 'pod_cpu_usage_seconds_total{namespace="ns",pod="p"} 2 1767225610000' in lines
    assert 'pod_memory_working_set_bytes{namespace="ns",pod="p"} 1049600 1767225610000' in lines
    assert lines[-1] == "resource_scrape_error 0"
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert names == sorted(names)


def test_an_empty_node_still_answers():
    assert resources(Sample(at(0), None, [])).splitlines()[-1] == "resource_scrape_error 1"
    assert document("n", Sample(at(0), None, []), Sample(at(1), None, [])) == {"node": {"nodeName": "n"}, "pods": []}


def test_the_summary_has_rates_of_what_was_there_before():
    base = Sample(at(10), Usage(at(10), 0, 1), [container("a", 10, 10**9), container("c", 10, 0, started=2, pod="q")])
    last = Sample(
        at(12),
        Usage(at(12), 3 * 10**9, 7, 3),
        [
            container("a", 12, 2 * 10**9),
            container("b", 12, 10**9, started=11),
            container("c", 12, 5, started=11, pod="q"),
        ],
    )
    found = document("n", base, last)
    assert found["node"] == {
        "nodeName": "n",
        "cpu": {"time": "2026-01-01T00:00:12Z", "usageNanoCores": 1_500_000_000, "usageCoreNanoSeconds": 3 * 10**9},
        "memory": {"time": "2026-01-01T00:00:12Z", "workingSetBytes": 7, "rssBytes": 3},
    }
    p, q = found["pods"]
    assert p["podRef"] == {"name": "p", "namespace": "ns", "uid": "uid-p"}
    assert [each.get("cpu").get("usageNanoCores") for each in p["containers"]] == [500_000_000, None]
    assert p["cpu"] == {"time": "2026-01-01T00:00:12Z", "usageCoreNanoSeconds": 3 * 10**9}, "not of half a pod"
    assert p["memory"]["workingSetBytes"] == 2 << 20
    assert "usageNanoCores" not in q["containers"][0]["cpu"], "another run of the container"


def test_the_machine_s_usage_is_read_from_proc():
    stat = "cpu  100 20 30 4000 500 6 7 8 9 10\ncpu0 1 2 3\n"
    meminfo = "MemTotal:  1000 kB\nMemFree:  200 kB\nInactive(file):  300 kB\nAnonPages:  50 kB\nHugePages_Total:  0\n"
    tick = 10**9 // os.sysconf("SC_CLK_TCK")
    assert machine.parse(stat, meminfo, at(0)) == Usage(at(0), 171 * tick, 500 << 10, 50 << 10)
    if sys.platform == "linux":
        first, second = machine.read_usage(at(0)), machine.read_usage(at(1))
        assert second.cpu_usage_ns >= first.cpu_usage_ns > 0
        assert second.memory_working_set_bytes > 1 << 20


def one_pod(record, name="app"):
    return [
        PodView("default", "web-0", "uid-1", {name: ContainerView(running_id=record.id), "waiting": ContainerView()})
    ]


async def simulated(world, **script):
    runtime = SimulatedRuntime(world, scripts={"app:1": Script(**script)})
    await runtime.pull("app:1")
    await runtime.create_sandbox(SandboxSpec("uid-1", "web-0", "default", "web-0"))
    record = await runtime.create_container(ContainerSpec(pod_uid="uid-1", name="app", attempt=0, image="app:1"))
    return runtime, await runtime.start_container(record.id)


def test_a_simulated_container_uses_what_its_script_says(world, on_jumping_time):
    async def scenario():
        runtime, record = await simulated(world, cpu_cores=0.25, memory_bytes=32 << 20, exit_after_s=100)
        await asyncio.sleep(10)
        usage = await runtime.usage(record.id)
        assert (usage.cpu_usage_ns, usage.memory_working_set_bytes) == (2_500_000_000, 32 << 20)
        await asyncio.sleep(100)
        assert await runtime.usage(record.id) is None
        assert await runtime.usage("nothing") is None

    on_jumping_time(scenario())


def test_a_summary_is_two_samples_apart_and_the_second_serves_the_next(world, on_jumping_time):
    async def scenario():
        runtime, record = await simulated(world, cpu_cores=0.25, memory_bytes=1 << 20)
        statistics = Statistics("n", lambda: one_pod(record), runtime, world.clock)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(5)
        for pause_s, took_s in ((0, 1), (30, 0), (0.5, 1), (61, 1)):
            await asyncio.sleep(pause_s)
            before = loop.time()
            found = await statistics.summary()
            assert loop.time() - before == took_s
            assert found["pods"][0]["containers"][0]["cpu"]["usageNanoCores"] == 250_000_000
            assert found["node"]["cpu"]["usageNanoCores"] == 250_000_000

    on_jumping_time(scenario())


@pytest.mark.parametrize("path", ["/stats/summary", "/metrics/resource", "/metrics/cadvisor"])
def test_the_agent_answers_both_to_the_api_server_only(world, on_jumping_time, path):
    async def scenario():
        runtime, record = await simulated(world, cpu_cores=0.25, memory_bytes=1 << 20)
        statistics = Statistics("n", lambda: one_pod(record), runtime, world.clock)
        server = AgentServer(None, runtime, is_trusted=lambda certificate: certificate == {}, statistics=statistics)
        refused = server.handle(Request("GET", path, "", {}))
        assert refused.status == 403
        answer = await server.handle(Request("GET", path, "", {}, peer_certificate={}))
        assert answer.status == 200
        if path == "/stats/summary":
            assert answer.content_type == "application/json"
            assert json.loads(answer.body)["pods"][0]["podRef"]["name"] == "web-0"
        else:
            assert answer.content_type.startswith("text/plain")
            assert b'pod="web-0"' in answer.body

    on_jumping_time(scenario())


def test_kubelet_volume_stats_are_told_of_claims():
    use = VolumeUse("data", 10, 90, 100, 7, 5, 2, claim="data-web-0")
    scratch = VolumeUse("scratch", 1, 1, 1, 1, 1, 1)
    volumes = [VolumeSample("ns", "web-0", "uid", use), VolumeSample("ns", "web-0", "uid", scratch)]
    lines = written(kubelet("n", "v1.36.2", 1, {"running": 2, "exited": 1}, volumes)).splitlines()
    labels = '{namespace="ns",persistentvolumeclaim="data-web-0"}'
    told = [line for line in lines if line.startswith("kubelet_volume_stats")]
    assert told == [
        f"kubelet_volume_stats_available_bytes{labels} 90",
        f"kubelet_volume_stats_capacity_bytes{labels} 100",
        f"kubelet_volume_stats_inodes{labels} 7",
        f"kubelet_volume_stats_inodes_free{labels} 5",
        f"kubelet_volume_stats_inodes_used{labels} 2",
        f"kubelet_volume_stats_used_bytes{labels} 10",
    ]
    assert 'kubelet_running_containers{container_state="running"} 2' in lines
    assert "kubelet_running_pods 1" in lines
    assert 'kubelet_node_name{node="n"} 1' in lines


def test_cadvisor_tells_limits_beside_what_is_used():
    usage = Usage(at(10), 10**9, 100, 50, 200, oom_kills=3)
    limits = ContainerResources(memory_limit_bytes=1 << 20, cpu_quota_us=50_000, cpu_shares=512)
    one = ContainerSample("ns", "web-0", "uid", "app", at(1), usage, "c0ffee", "app:1", limits)
    lines = cadvisor(Sample(at(10), None, [one]), imagined_machine("n")).splitlines()
    labels = 'container="app",id="/uid/c0ffee",image="app:1",name="c0ffee",namespace="ns",pod="web-0"'
    assert f"container_memory_usage_bytes{{{labels}}} 200 1767225610000" in lines
    assert f"container_oom_events_total{{{labels}}} 3 1767225610000" in lines
    assert f"container_spec_memory_limit_bytes{{{labels}}} {1 << 20}" in lines
    assert f"container_spec_cpu_quota{{{labels}}} 50000" in lines
    cpu = labels.replace('container="app",', 'container="app",cpu="total",')
    assert f"container_cpu_usage_seconds_total{{{cpu}}} 1 1767225610000" in lines
    assert any(line.startswith("machine_cpu_cores{") and line.endswith(" 8") for line in lines)


def test_the_summary_tells_of_volumes_and_whose_claims_they_are():
    use = VolumeUse("data", 10, 90, 100, 7, 5, 2, claim="data-p")
    last = Sample(at(1), None, [container("a", 1, 0)], [VolumeSample("ns", "p", "uid-p", use)])
    [volume] = document("n", Sample(at(0), None, []), last)["pods"][0]["volume"]
    assert volume["usedBytes"] == 10
    assert volume["pvcRef"] == {"name": "data-p", "namespace": "ns"}


def test_the_agent_tells_of_itself(world, on_jumping_time):
    async def scenario():
        runtime, record = await simulated(world, cpu_cores=0.25, memory_bytes=1 << 20)
        text = await Statistics("n", lambda: one_pod(record), runtime, world.clock).agent()
        assert 'kubelet_running_containers{container_state="running"} 1' in text
        assert "process_resident_memory_bytes" in text
        assert 'kubernetes_build_info{git_version="v1.36' in text

    on_jumping_time(scenario())


BURN = "import time\nwhile time.process_time() < 0.2: pass\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_a_process_counts_with_all_it_has_started(tmp_path):
    program = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {BURN!r}])
child = subprocess.Popen([sys.executable, "-c", {BURN!r} + "print('done', flush=True)\\ntime.sleep(600)"])
time.sleep(600)
"""
    runtime = ProcessRuntime(tmp_path / "run", real_world())
    await runtime.open()
    await runtime.create_sandbox(SandboxSpec("uid-1", "web-0", "default", "web-0"))
    log = tmp_path / "log"
    spec = ContainerSpec(
        pod_uid="uid-1",
        name="app",
        attempt=0,
        image="app:1",
        command=(sys.executable, "-c", program),
        log_path=str(log),
    )
    record = await runtime.start_container((await runtime.create_container(spec)).id)
    async with asyncio.timeout(120):
        while not log.exists() or "done" not in log.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    usage = await runtime.usage(record.id)
    assert usage.cpu_usage_ns >= 380_000_000, "of the child that has ended, and of the one that has not"
    alone = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{os.getpid()}/status").read_text())[1]) << 10
    assert 4 << 20 < usage.memory_working_set_bytes < 4 * alone
    await runtime.remove_sandbox("uid-1")
    await runtime.close()


def test_a_process_that_has_gone_uses_nothing():
    assert tree_usage(2**22 + 1) is None
