"""The follower: tables while they are needed, pods that wait for them, and what becomes of refusals and of others."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import asynccontextmanager

import pytest
from tests.network.services.builders import Kernel

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.networking.network_policy import NETWORK_POLICIES
from holdfast.client import ObjectList, WatchEvent
from holdfast.client.informer import Informers, key_of
from holdfast.network.pods import gate as gate_module
from holdfast.network.pods.gate import Gate
from holdfast.network.policies import keeper, kept
from holdfast.network.policies.keeper import PolicyKeeper
from holdfast.world import real_world

from .builders import HERE, HERE6, Packet, labels, namespace, pod, policy, verdict

A, B = "10.244.0.2", "10.244.0.3"
DENY = policy("deny", podSelector={})


class Api:
    """Policies, pods and namespaces, and watches that tell what is put in."""

    def __init__(self, *manifests):
        self.objects = {resource: {} for resource in (NETWORK_POLICIES, PODS, NAMESPACES)}
        self.watches = {resource: [] for resource in self.objects}
        self.lists = []
        self.revision = 1
        self.is_reached = asyncio.Event()
        self.is_reached.set()
        for each in (namespace("default"), *manifests):
            self.put(each)

    def put(self, manifest, *, gone=False):
        spec = manifest.get("spec")
        kind = NAMESPACES if spec is None else PODS if "containers" in spec else NETWORK_POLICIES
        self.revision += 1
        manifest = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.revision)}}
        if gone:
            self.objects[kind].pop(key_of(manifest))
        else:
            self.objects[kind][key_of(manifest)] = manifest
        for watch in self.watches[kind]:
            watch.put_nowait(WatchEvent("DELETED" if gone else "MODIFIED", manifest))

    async def list(self, resource, namespace="", **options):
        await self.is_reached.wait()
        self.lists.append(resource)
        return ObjectList(list(self.objects[resource].values()), str(self.revision))

    async def watch(self, resource, namespace="", **options):
        queue = asyncio.Queue()
        self.watches[resource].append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.watches[resource].remove(queue)


class Nft:
    """Counts what the kernel takes, and refuses when told to. One table for each family."""

    def __init__(self):
        self.kernels = {}
        self.texts = []
        self.refusals = 0

    def run(self, commands):
        if commands == "list tables\n":
            return "".join(f"table {family} t\n" for family in self.kernels)
        if self.refusals:
            self.refusals -= 1
            raise OSError("nftables: no")
        self.texts.append(commands)
        family = commands.split(maxsplit=3)[1] if commands.startswith("table") else commands.split(maxsplit=3)[2]
        if commands == f"table {family} t\ndelete table {family} t\n":
            self.kernels.pop(family, None)
        else:
            self.kernels.setdefault(family, Kernel()).run(commands)
        return ""

    def passes(self, source, destination, hook="forward"):
        kernel = self.kernels.get("ip")
        return kernel is None or verdict(kernel, hook, Packet(source, destination)) != "drop"


@asynccontextmanager
async def keeping(monkeypatch, api, nft=None, here=(HERE,), notices=None, gate=None):
    monkeypatch.setattr(keeper, "COLLECT_S", 0.01)
    monkeypatch.setattr(kept, "FIRST_RETRY_S", 0.01)
    nft, world, gate = nft or Nft(), real_world(), gate or Gate(is_open=False)
    if notices is not None:
        notices.nft = nft
    informers = Informers(api, world)
    made = PolicyKeeper(informers, world, nft, "t", here, gate, lambda here: lambda: notices)
    tasks = [asyncio.create_task(part.run()) for part in (made, informers)]
    nft.gate = gate
    try:
        yield nft
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds):
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 -- whatever it is that holds
            await asyncio.sleep(0.002)


async def test_without_a_policy_nothing_is_asked_of_the_kernel_and_pods_are_not_followed(monkeypatch):
    api = Api(pod("a", A))
    async with keeping(monkeypatch, api) as nft:
        await until(lambda: nft.gate.is_open and api.lists)
        await asyncio.sleep(0.05)
        await nft.gate.admit("uid-a", (A,))
        assert nft.texts == []
        assert api.lists == [NETWORK_POLICIES]


async def test_a_table_comes_with_the_first_pod_that_is_isolated_and_goes_with_the_last(monkeypatch):
    api = Api(pod("a", A), pod("b", B))
    async with keeping(monkeypatch, api) as nft:
        await until(lambda: nft.gate.is_open and api.lists)
        web = policy("web", podSelector=labels(name="a"))
        api.put(policy("none", podSelector=labels(name="nobody")))
        await until(lambda: PODS in api.lists)
        await asyncio.sleep(0.05)
        assert nft.texts == [], "a policy alone is no reason"
        api.put(web)
        await until(lambda: not nft.passes(B, A))
        assert nft.passes(A, B)
        api.put(web, gone=True)
        await until(lambda: not nft.kernels)
        api.put(policy("none"), gone=True)
        await until(lambda: not api.watches[PODS] and not api.watches[NAMESPACES])
        assert nft.gate.is_open
        api.put(pod("c", "10.244.0.4"))
        api.put(policy("all", podSelector={}))
        await until(lambda: not nft.passes(B, "10.244.0.4"))


async def test_both_families_have_a_table(monkeypatch):
    api = Api(pod("a", A, "fd00:10:244::2"), DENY)
    async with keeping(monkeypatch, api, here=(HERE, HERE6)) as nft:
        await until(lambda: set(nft.kernels) == {"ip", "ip6"})
        assert "fd00:10:244::2" in nft.kernels["ip6"].elements["ingress"]
        api.put(DENY, gone=True)
        await until(lambda: not nft.kernels)


async def test_what_comes_together_is_one_transaction(monkeypatch):
    api = Api(pod("a", A), DENY)
    async with keeping(monkeypatch, api) as nft:
        await until(lambda: not nft.passes(B, A))
        monkeypatch.setattr(keeper, "COLLECT_S", 0.3)
        count = len(nft.texts)
        for n in range(3, 13):
            api.put(pod(f"p{n}", f"10.244.0.{n}"))
        await until(lambda: not nft.passes(A, "10.244.0.12"))
        assert len(nft.texts) == count + 1


async def test_what_an_earlier_process_has_left_is_replaced_at_once_or_taken_away(monkeypatch):
    left = Nft()
    left.kernels["ip"] = Kernel()
    async with keeping(monkeypatch, Api(pod("a", A)), left) as nft:
        await until(lambda: not nft.kernels)
    left.kernels["ip"] = Kernel()
    async with keeping(monkeypatch, Api(pod("a", A), DENY), left) as nft:
        await until(lambda: not nft.passes(B, A))
        assert nft.texts[-1].startswith("table ip t\ndelete table ip t\ntable ip t {")


async def test_a_keeper_that_is_stopped_leaves_the_rules(monkeypatch):
    async with keeping(monkeypatch, Api(pod("a", A), DENY)) as nft:
        await until(lambda: not nft.passes(B, A))
    assert not nft.passes(B, A)


async def test_a_pod_waits_until_its_rules_hold_although_the_keeper_has_not_seen_it_yet(monkeypatch):
    api = Api(DENY)
    async with keeping(monkeypatch, api) as nft:
        await until(lambda: PODS in api.lists)
        admitted = asyncio.create_task(nft.gate.admit("uid-a", (A,)))
        await asyncio.sleep(0.05)
        assert not admitted.done()
        api.put(pod("a", phase="Pending"))
        await admitted
        assert not nft.passes(B, A), "it is isolated when it comes in"


async def test_a_pod_that_waits_is_not_collected_with_others(monkeypatch):
    api = Api(pod("a", phase="Pending"), DENY)
    async with keeping(monkeypatch, api) as nft:
        await until(lambda: PODS in api.lists)
        await asyncio.sleep(0.05)
        monkeypatch.setattr(keeper, "COLLECT_S", 60)
        async with asyncio.timeout(10):
            await nft.gate.admit("uid-a", (A,))
        assert not nft.passes(B, A)


async def test_a_pod_that_no_policy_isolates_does_not_wait_for_the_kernel(monkeypatch):
    api = Api(pod("a", phase="Pending"), policy(podSelector=labels(name="b")))
    async with keeping(monkeypatch, api) as nft:
        await nft.gate.admit("uid-a", (A,))
        assert nft.texts == []


async def test_a_pod_is_not_let_in_while_the_kernel_refuses_its_rules(monkeypatch, caplog):
    monkeypatch.setattr(gate_module, "ADMITTED_WITHIN_S", 0.2)
    api, nft = Api(pod("a", phase="Pending"), DENY), Nft()
    nft.refusals = 10**6
    async with keeping(monkeypatch, api, nft):
        with pytest.raises(OSError, match="network policies are not in place yet"):
            await nft.gate.admit("uid-a", (A,))
        assert "policies are not in force" in caplog.text
        nft.refusals = 0
        monkeypatch.setattr(gate_module, "ADMITTED_WITHIN_S", 30)
        await nft.gate.admit("uid-a", (A,))
        assert not nft.passes(B, A)


async def test_pods_wait_for_a_keeper_that_does_not_know_yet_whether_there_are_policies(monkeypatch):
    api = Api()
    api.is_reached.clear()
    async with keeping(monkeypatch, api) as nft:
        await asyncio.sleep(0)
        admitted = asyncio.create_task(nft.gate.admit("uid-a", (A,)))
        await asyncio.sleep(0.05)
        assert not admitted.done()
        api.is_reached.set()
        await admitted


async def test_where_nobody_enforces_policies_nobody_waits():
    await Gate().admit("uid-a", (A,))


async def test_a_pod_that_is_deleted_is_isolated_until_it_has_lost_its_link(
    monkeypatch,
):
    api = Api(pod("a", phase="Pending"), DENY)
    async with keeping(monkeypatch, api) as nft:
        await nft.gate.admit("uid-a", (A,))
        api.put(pod("a", A), gone=True)
        successor = pod("a", B)
        successor["metadata"]["uid"] = "uid-a2"
        api.put(successor)
        await until(lambda: not nft.passes(A, B))
        assert not nft.passes(B, A)
        nft.gate.leave("uid-a")
        await until(lambda: nft.passes(B, A))
        assert not nft.passes(A, B)


async def test_a_pod_that_is_deleted_while_it_waits_does_not_come_in(monkeypatch):
    api, nft = Api(pod("a", phase="Pending"), DENY), Nft()
    nft.refusals = 10**6
    async with keeping(monkeypatch, api, nft):
        admitted = asyncio.create_task(nft.gate.admit("uid-a", (A,)))
        await until(lambda: nft.refusals < 10**6)
        api.put(pod("a"), gone=True)
        with pytest.raises(OSError, match="the pod has been deleted"):
            await admitted


async def test_a_refused_change_replaces_the_table_and_is_tried_until_it_is_taken(monkeypatch):
    api = Api(pod("a", A), DENY)
    async with keeping(monkeypatch, api) as nft:
        await until(lambda: not nft.passes(B, A))
        nft.refusals = 3
        api.put(pod("b", B))
        await until(lambda: not nft.passes(A, B))
        assert nft.texts[-1].startswith("table ip t\ndelete table ip t\n")


async def test_while_the_kernel_refuses_it_waits_whatever_somebody_does_to_the_table(monkeypatch):
    rounds, keep = [], kept.KeptTable.keep
    monkeypatch.setattr(kept.KeptTable, "keep", lambda self, is_needed: (rounds.append(1), keep(self, is_needed))[1])
    monkeypatch.setattr(kept, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(kept, "REPAIR_EVERY_S", 0.01)
    api, notices = Api(pod("a", A), DENY), Notices()
    async with keeping(monkeypatch, api, notices=notices) as nft:
        await until(lambda: not nft.passes(B, A))
        monkeypatch.setattr(kept, "FIRST_RETRY_S", 0.2)
        nft.refusals = 10**6
        notices.somebody_changes()
        await until(lambda: nft.refusals < 10**6)
        notices.somebody_changes()
        rounds.clear()
        await asyncio.sleep(0.15)
        assert len(rounds) <= 3


async def test_a_policy_that_cannot_be_understood_leaves_the_others_in_force(monkeypatch, caplog):
    odd = policy("odd", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "nonsense"}}]}])
    async with keeping(monkeypatch, Api(pod("a", A), odd, DENY)) as nft:
        await until(lambda: not nft.passes(B, A))
    assert "cannot be enforced policy=default/odd" in caplog.text


async def test_a_table_that_somebody_removed_is_put_back_though_nobody_told(monkeypatch):
    monkeypatch.setattr(kept, "LOOK_EVERY_S", 0.02)
    async with keeping(monkeypatch, Api(pod("a", A), DENY)) as nft:
        await until(lambda: not nft.passes(B, A))
        nft.kernels.clear()
        await until(lambda: not nft.passes(B, A))
        taken = len(nft.texts)
        await asyncio.sleep(0.1)
        assert len(nft.texts) == taken, "one that is there is left alone"


class Notices:
    """The kernel's: one for each transaction of the keeper's, and those that are put in."""

    def __init__(self):
        self.lost = False
        self.foreign = self.told = 0
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)

    def fileno(self):
        return self.reading

    def somebody_changes(self):
        self.foreign += 1
        os.write(self.writing, b"!")

    def drain(self):
        with contextlib.suppress(BlockingIOError):
            os.read(self.reading, 100)
        seen = self.foreign + len(self.nft.texts)
        count, self.told = seen - self.told, seen
        return count

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


async def test_a_change_by_somebody_else_is_put_right_and_our_own_is_not_taken_for_one(monkeypatch):
    monkeypatch.setattr(kept, "REPAIR_EVERY_S", 0.05)
    api, notices = Api(pod("a", A), DENY), Notices()
    async with keeping(monkeypatch, api, notices=notices) as nft:
        await until(lambda: not nft.passes(B, A))
        for n in range(3, 6):
            api.put(pod(f"p{n}", f"10.244.0.{n}"))
            await until(lambda n=n: not nft.passes(A, f"10.244.0.{n}"))
        assert sum(text.startswith("table ip t\ndelete") for text in nft.texts) == 1, "only the first build"
        nft.kernels["ip"].elements["ingress"].clear()
        notices.somebody_changes()
        await until(lambda: not nft.passes(B, A))


async def test_a_thousand_pods_and_a_hundred_policies_leave_others_their_turn(monkeypatch):
    peers = [{"from": [{"podSelector": {}}]}]
    policies = [policy(f"p{n}", podSelector=labels(group=str(n)), ingress=peers) for n in range(100)]
    api = Api(*policies)
    for n in range(1000):
        api.put(pod(f"p{n}", f"10.244.{n // 250}.{n % 250 + 2}", labels={"group": str(n % 100)}))
    turns = 0

    async def take_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with keeping(monkeypatch, api) as nft:
        others = asyncio.create_task(take_turns())
        await until(lambda: nft.kernels)
        others.cancel()
        assert turns > 1000 / keeper.AT_ONCE
        assert len(nft.kernels["ip"].elements["ingress"]) == 1000
