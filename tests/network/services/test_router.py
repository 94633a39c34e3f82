"""The follower: one full build, then one transaction for what came together; what a refusal leads to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from contextlib import asynccontextmanager

import pytest

from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.client import ObjectList, WatchEvent
from holdfast.client.informer import Informers
from holdfast.network.services import conntrack, machine, router
from holdfast.network.services.router import ServiceRouter
from holdfast.world import real_world

from .builders import HERE, Kernel, endpoint, pod_with_port, service, slice_of


class Api:
    """Services, slices and pods, and a watch that tells what is put in."""

    def __init__(self):
        self.objects = {resource: {} for resource in (SERVICES, ENDPOINT_SLICES, PODS)}
        self.watches = {resource: asyncio.Queue() for resource in self.objects}
        self.revision = 1

    def put(self, manifest, *, gone=False):
        kind = PODS if "containers" in manifest.get("spec", {}) else SERVICES if "spec" in manifest else ENDPOINT_SLICES
        self.revision += 1
        manifest = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.revision)}}
        event = "DELETED" if gone else "MODIFIED"
        self.objects[kind][manifest["metadata"]["name"]] = manifest
        self.watches[kind].put_nowait(WatchEvent(event, manifest))

    async def list(self, resource, namespace="", **options):
        return ObjectList(list(self.objects[resource].values()), str(self.revision))

    async def watch(self, resource, namespace="", **options):
        while True:
            yield await self.watches[resource].get()


class Nft:
    """Counts what the kernel takes, and refuses when told to."""

    def __init__(self):
        self.kernel = Kernel()
        self.texts = []
        self.refusals = 0
        self.clients = ""

    def run(self, commands):
        if commands == "list tables\n":
            return "".join(f"table ip {name}\n" for name in ["t"] if self.kernel.chains)
        if commands == "list chains\n":
            return ""
        if commands == "list sets table ip t\n":
            return self.clients
        if self.refusals:
            self.refusals -= 1
            raise OSError("nftables: no")
        self.texts.append(commands)
        self.kernel.run(commands)
        return ""


@asynccontextmanager
async def routing(monkeypatch, api, notices=None, link_notices=None, opened=None):
    monkeypatch.setattr(machine, "has_default_route", lambda version: True)
    monkeypatch.setattr(router, "COLLECT_S", 0.01)
    monkeypatch.setattr(router, "FIRST_RETRY_S", 0.01)
    nft, world = Nft(), real_world()
    if notices is not None:
        notices.nft = nft
    informers = Informers(api, world)
    made = ServiceRouter(informers, world, nft, "t", HERE, notices, link_notices, opened)
    tasks = [asyncio.create_task(part.run()) for part in (made, informers)]
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


def endpoints(nft):
    """Where connections to the service go."""
    chosen = [members for name, members in nft.kernel.elements.items() if name.startswith("to-")]
    return sorted(to for members in chosen for key, to in members.items() if key.startswith("10.96.0.10 . tcp . 80"))


async def test_what_comes_together_is_one_transaction(monkeypatch):
    api = Api()
    api.put(service())
    async with routing(monkeypatch, api) as nft:
        await until(lambda: nft.texts)
        assert not endpoints(nft)
        monkeypatch.setattr(router, "COLLECT_S", 0.5)
        api.put(slice_of(endpoint("10.244.0.2")))
        api.put(slice_of(endpoint("10.244.0.2"), endpoint("10.244.0.3")))
        api.put(service("other", "10.96.0.11"))
        await until(lambda: len(nft.texts) > 1)
        assert endpoints(nft) == ["10.244.0.2 . 8080", "10.244.0.3 . 8080"]
        assert "10.96.0.11" in nft.kernel.elements["cluster-ips"]
        assert len(nft.texts) == 2
        api.put(slice_of(endpoint("10.244.0.2")), gone=True)
        api.put(service(), gone=True)
        await until(lambda: not endpoints(nft))


async def test_a_service_that_cannot_be_understood_leaves_the_others_routed(monkeypatch, caplog):
    api = Api()
    api.put(service())
    api.put(slice_of(endpoint("10.244.0.2")))
    api.put(service("odd", "10.96.0.11", ports=[{"port": 80}]))
    api.put(slice_of({"addresses": [None]}, service="odd", name="odd-x") | {"ports": [{"port": 80, "protocol": "TCP"}]})
    async with routing(monkeypatch, api) as nft:
        await until(lambda: endpoints(nft))
    assert "cannot be routed key=default/odd" in caplog.text


async def test_a_refused_change_replaces_the_table_and_is_tried_until_it_is_taken(monkeypatch):
    api = Api()
    api.put(service())
    async with routing(monkeypatch, api) as nft:
        await until(lambda: nft.texts)
        nft.refusals = 3
        api.put(slice_of(endpoint("10.244.0.2")))
        await until(lambda: endpoints(nft))
        assert nft.texts[-1].startswith("table ip t\ndelete table ip t\n")


async def test_d51_a_table_that_somebody_removed_is_put_back(monkeypatch):
    monkeypatch.setattr(router, "LOOK_EVERY_S", 0.02)
    api = Api()
    api.put(service())
    api.put(slice_of(endpoint("10.244.0.2")))
    async with routing(monkeypatch, api) as nft:
        await until(lambda: endpoints(nft))
        nft.kernel = Kernel()
        await until(lambda: endpoints(nft))
        taken = len(nft.texts)
        await asyncio.sleep(0.1)
        assert len(nft.texts) == taken, "one that is there is left alone"


async def test_d45_clients_keep_their_endpoints_when_the_table_is_replaced(monkeypatch):
    api = Api()
    api.put(service(sessionAffinity="ClientIP"))
    api.put(slice_of(endpoint("10.244.0.2")))
    clients = "clients-default/web/tcp-80/10.244.0.2.8080-10800"
    known = "10.244.0.9 expires 2h59m,\n\t\t 10.244.0.8 expires 1s"
    async with routing(monkeypatch, api) as nft:
        nft.clients = (
            f"table ip t {{\n\tset {clients} {{\n\t\telements = {{ {known} }}\n\t}}\n"
            "\tset clients-gone {\n\t\telements = { 10.244.0.7 expires 1s }\n\t}\n}\n"
        )
        await until(lambda: nft.texts)
        assert nft.kernel.elements[clients] == {"10.244.0.9 expires 2h59m": "", "10.244.0.8 expires 1s": ""}


async def test_r84_without_a_default_route_the_host_gets_one_as_soon_as_the_gateway_is_there(monkeypatch):
    tried = []

    def add_route(services, gateway):
        tried.append((str(services), gateway))
        if len(tried) < 3:
            raise OSError(22, "the gateway is not there")

    monkeypatch.setattr(router, "ROUTE_RETRY_S", 0)
    api = Api()
    api.put(service())
    async with routing(monkeypatch, api) as nft:
        monkeypatch.setattr(machine, "has_default_route", lambda version: False)
        monkeypatch.setattr(machine, "add_route", add_route)
        await until(lambda: len(tried) == 3)
        api.put(slice_of(endpoint("10.244.0.2")))
        await until(lambda: endpoints(nft))
    assert tried == [("10.96.0.0/16", "10.244.0.1")] * 3


async def test_a_router_that_is_stopped_leaves_nothing_running_behind_it(monkeypatch):
    api, running, finished = Api(), threading.Event(), []
    api.put(service())

    def slowly(commands):
        if commands.startswith("table ip t"):
            running.set()
            finished.append(threading.Event().wait(0.05))
        return ""

    monkeypatch.setattr(Nft, "run", lambda self, commands: slowly(commands))
    async with routing(monkeypatch, api):
        await until(running.is_set)
    assert finished


@pytest.mark.parametrize("turns", range(8))
async def test_it_ends_although_something_changes_in_the_same_moment(monkeypatch, turns):
    api = Api()
    api.put(service())
    async with asyncio.timeout(60), routing(monkeypatch, api) as nft:
        await until(lambda: nft.texts)
        await asyncio.sleep(0.02)
        api.put(slice_of(endpoint("10.244.0.2")))
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_flows_are_forgotten_after_the_rules_have_changed(monkeypatch):
    forgotten = []
    ports = [{"name": "http", "port": 53, "protocol": "UDP"}]
    api = Api()
    api.put(service(ports=ports))
    api.put(slice_of(endpoint("10.244.0.2"), protocol="UDP"))
    flow = conntrack.Flow(("10.96.0.10", 53), ("10.244.0.2", 8080), b"")
    async with routing(monkeypatch, api) as nft:
        monkeypatch.setattr(
            conntrack, "forget", lambda is_stale, family: forgotten.append((len(nft.texts), is_stale(flow)))
        )
        await until(lambda: len(forgotten) == 1)
        api.put(slice_of(endpoint("10.244.0.3"), protocol="UDP"))
        await until(lambda: len(forgotten) == 2)
    assert forgotten == [(1, False), (2, True)]


async def test_a_pod_s_host_port_comes_with_its_address_and_goes_with_the_pod(monkeypatch):
    api = Api()
    async with routing(monkeypatch, api) as nft:
        await until(lambda: nft.texts)
        api.put(pod_with_port(8080, address=""))
        api.put(pod_with_port(8080))

        def routed():
            return nft.kernel.elements["at-1"]

        await until(routed)
        assert routed() == {"tcp . 8080": "10.244.0.9 . 5432"}
        api.put(pod_with_port(8080, phase="Failed"))
        await until(lambda: not routed())
        api.put(pod_with_port(8080))
        await until(routed)
        api.put(pod_with_port(8080), gone=True)
        await until(lambda: not routed())


async def test_r73_ports_of_every_address_are_told_as_they_come_and_go(monkeypatch):
    api, told = Api(), []
    api.put(service())
    async with routing(monkeypatch, api, opened=lambda ports: told.append(set(ports))):
        await until(lambda: told == [set()])
        port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30080}
        api.put(service(type="NodePort", ports=[port]))
        api.put(pod_with_port(8080))
        await until(lambda: told[-1] == {("tcp", 30080), ("tcp", 8080)})
        api.put(pod_with_port(8080), gone=True)
        await until(lambda: told[-1] == {("tcp", 30080)})
        api.put(service(type="NodePort", ports=[port]), gone=True)
        await until(lambda: told[-1] == set())


class Notices:
    """The kernel's: one for each transaction of the router's, and those that are put in."""

    def __init__(self):
        self.lost = False
        self.foreign = self.told = 0
        self.nft = None
        self.reading, self.writing = os.pipe()

    def fileno(self):
        return self.reading

    def somebody_changes(self):
        self.foreign += 1
        os.write(self.writing, b"!")

    def drain(self):
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self.reading, False)
            os.read(self.reading, 100)
        seen = self.foreign + (len(self.nft.texts) if self.nft else 0)
        count, self.told = seen - self.told, seen
        return count

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


async def test_d51_a_change_by_somebody_else_is_put_right_at_once_and_our_own_is_not_taken_for_one(monkeypatch):
    api, notices = Api(), Notices()
    api.put(service())
    api.put(slice_of(endpoint("10.244.0.2")))
    async with routing(monkeypatch, api, notices) as nft:
        await until(lambda: endpoints(nft))
        for n in range(3, 6):
            api.put(slice_of(endpoint(f"10.244.0.{n}")))
            await until(lambda n=n: endpoints(nft) == [f"10.244.0.{n} . 8080"])
        replacements = sum(text.startswith("table ip t\ndelete") for text in nft.texts)
        assert replacements == 1, "only the first build"
        nft.kernel.elements["to-1"].clear()
        notices.somebody_changes()
        await until(lambda: endpoints(nft))


async def test_r84_a_route_that_somebody_removes_is_put_back_at_once(monkeypatch):
    monkeypatch.setattr(router, "REPAIR_EVERY_S", 0.05)
    monkeypatch.setattr(machine, "add_route", lambda services, gateway: added.append(str(services)))
    added, notices, api = [], Notices(), Api()
    async with routing(monkeypatch, api, link_notices=notices):
        monkeypatch.setattr(machine, "has_default_route", lambda version: False)
        for count in (1, 2, 3):
            await until(lambda count=count: len(added) == count)
            notices.somebody_changes()
        await until(lambda: len(added) == 4)
        await asyncio.sleep(0.2)
        assert len(added) == 4


async def test_who_changes_the_table_all_the_time_is_not_answered_all_the_time(monkeypatch):
    monkeypatch.setattr(router, "REPAIR_EVERY_S", 0.2)
    api, notices = Api(), Notices()
    api.put(service())
    async with routing(monkeypatch, api, notices) as nft:
        await until(lambda: nft.texts)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for _ in range(50):
            notices.somebody_changes()
            await asyncio.sleep(0.01)
        assert 2 <= len(nft.texts) <= 3 + (loop.time() - begin) / 0.2


async def test_lost_notices_are_no_reason_to_replace_the_table(monkeypatch):
    api, notices = Api(), Notices()
    api.put(service())
    async with routing(monkeypatch, api, notices) as nft:
        await until(lambda: nft.texts)
        notices.lost, notices.foreign = True, 1
        api.put(slice_of(endpoint("10.244.0.2")))
        await until(lambda: endpoints(nft))
        await asyncio.sleep(0.1)
        assert len(nft.texts) == 2
