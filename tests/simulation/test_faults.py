"""What can go wrong does go wrong: servers, machines, conflicts, and deliveries in an order of their own."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.client import Unreachable
from holdfast.simulation.cluster import simulate
from holdfast.simulation.faults import Faults
from holdfast.simulation.scenarios import web


def settled(cluster, replicas=1):
    cluster.apply(web(replicas))
    cluster.run_until(lambda: cluster.is_settled("web"), within_s=120)


def is_ready(manifest):
    conditions = {each["type"]: each["status"] for each in manifest["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def reasons(cluster, name):
    return {each["reason"] for each in cluster.objects(EVENTS, "default") if each["involvedObject"]["name"] == name}


def host_of(cluster, name="web-0"):
    node = cluster.get(PODS, name)["spec"]["nodeName"]
    return next(each for each in cluster.nodes if each.name == node)


@pytest.mark.parametrize("after_s", [0, 0.2, 30])
def test_a_server_that_ends_answers_nobody_and_one_that_comes_back_knows_all(after_s):
    with simulate(0, Faults(request_delay_s=0.5)) as cluster:
        cluster.apply(web(2))
        cluster.run_for(after_s)
        cluster.kill(cluster.frontend)
        with pytest.raises(Unreachable):
            cluster.frontend.client("anybody")
        revision = cluster.store.revision
        cluster.run_for(20)
        assert cluster.store.revision == revision
        cluster.start(cluster.frontend)
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=120)
        cluster.scale("web", 3)
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=120)


def test_a_server_that_crashes_cancels_what_it_had_begun():
    """The caller hears that it is gone, whether its call had begun or not."""
    from random import Random

    from holdfast.simulation.faults import FaultyClient

    class Slow:
        async def get(self, resource, name, namespace="", **options):
            await asyncio.sleep(60)

    async def story(turns):
        under_way = set()
        client = FaultyClient(Slow, Faults, Random(0), at_server=under_way)
        call = asyncio.create_task(client.get(PODS, "a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in list(under_way):
            task.cancel()
        with pytest.raises(Unreachable):
            await call

    for turns in (1, 2, 3):
        asyncio.run(story(turns))


def test_users_wait_for_a_server_that_is_down():
    with simulate(0) as cluster:
        settled(cluster)
        before_s = cluster.time_s
        cluster.restart(cluster.frontend, 7)
        assert cluster.get(STATEFUL_SETS, "web")["metadata"]["name"] == "web"
        assert cluster.time_s == before_s + 7


def test_a_machine_that_is_cut_off_goes_on_with_its_containers_and_catches_up():
    with simulate(0, nodes=2) as cluster:
        settled(cluster)
        host = host_of(cluster)
        running = host.running_containers()
        cluster.trouble(host, "cut off", 100)
        cluster.delete(PODS, "web-0")
        cluster.run_for(90)
        assert host.running_containers() == running
        assert "deletionTimestamp" in cluster.get(PODS, "web-0")["metadata"]
        assert not is_ready(cluster.get(NODES, host.name))
        cluster.run_until(lambda: cluster.is_settled("web"), within_s=120)
        assert running[0] not in host.running_containers()


def test_a_machine_without_power_loses_its_containers_and_starts_them_again():
    with simulate(0) as cluster:
        settled(cluster)
        (node,) = cluster.nodes
        cluster.trouble(node, "crashed", 20)
        assert node.running_containers() == []
        cluster.run_until(lambda: node.running_containers() and cluster.is_settled("web"), within_s=120)


def test_a_slow_machine_takes_its_time():
    def took_s(trouble):
        with simulate(1) as cluster:
            if trouble:
                cluster.trouble(cluster.nodes[0], "slow", 500)
            settled(cluster, 2)
            return cluster.time_s

    assert took_s(True) > took_s(False) + 2


def test_pulls_fail_now_and_then():
    failed = set()
    for seed in range(10):
        with simulate(seed, Faults(failed_pull=0.5)) as cluster:
            cluster.apply(web(1))
            cluster.run_until(lambda cluster=cluster: cluster.is_settled("web"))
            cluster.run_for(1)
            failed.add({"Failed", "BackOff"} <= reasons(cluster, "web-0"))
    assert failed == {True, False}


def test_a_probe_that_fails_makes_a_pod_unready_for_a_while():
    with simulate(0) as cluster:
        settled(cluster)
        cluster.make_unready(cluster.get(PODS, "web-0")["metadata"]["uid"], 30)
        cluster.run_for(25)
        assert not is_ready(cluster.get(PODS, "web-0"))
        cluster.run_for(25)
        assert is_ready(cluster.get(PODS, "web-0"))


def test_others_write_between_reading_and_writing():
    with simulate(0, Faults(other_write_every_s=0.5)) as cluster:
        settled(cluster)
        cluster.run_for(20)
        assert "touched" in cluster.get(STATEFUL_SETS, "web")["metadata"]["annotations"]


def follow(informers, seen):
    """Notes the kinds of what has news, in the order in which a part hears of them."""

    def hear(old, new):
        if "news" in (new["metadata"].get("annotations") or {}):
            seen.append(new["kind"])

    for resource in (STATEFUL_SETS, PODS):
        informers.of(resource).subscribe(hear)


def test_news_of_different_kinds_overtake_each_other():
    """What was written first may be seen last: each watch has delays of its own."""
    orders = set()
    for seed in range(10):
        with simulate(seed, Faults(watch_delay_s=5)) as cluster:
            informers = cluster._parts.informers
            settled(cluster)
            cluster.run_for(20)
            seen = []
            follow(informers, seen)
            news = {"metadata": {"annotations": {"news": "1"}}}
            cluster.patch(STATEFUL_SETS, "web", news)
            cluster.patch(PODS, "web-0", news)
            cluster.run_for(10)
            orders.add(seen[0])
    assert orders == {"StatefulSet", "Pod"}
