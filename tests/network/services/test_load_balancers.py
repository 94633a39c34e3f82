"""Which services get the machine's address, and which of its ports are taken: D17."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.api.core.service import SERVICES
from holdfast.client import ObjectList
from holdfast.client.informer import Informers
from holdfast.network.services.load_balancers import LoadBalancers, listeners, plan
from holdfast.world import real_world

from .builders import service

ADDRESS, SECOND = "192.0.2.2", "fd00::2"


def balanced(name="web", created="1", ports=((80, "TCP"),), has="", **spec):
    listed = [{"port": port, "protocol": protocol} for port, protocol in ports]
    ingress = {"ingress": [{"ip": each, "ipMode": "VIP"} for each in has.split(",")]} if has else {}
    made = service(name, ports=listed, status={"loadBalancer": ingress}, **{"type": "LoadBalancer", **spec})
    made["metadata"]["creationTimestamp"] = created
    return made


def planned(*services, in_use=None):
    changes = plan(services, [ADDRESS, SECOND], in_use or {})
    return {each.service["metadata"]["name"]: each.refusal or each.ingress for each in changes}


def test_d17_a_load_balancer_gets_the_machines_address_once():
    assert planned(balanced()) == {"web": (ADDRESS,)}
    assert planned(balanced(has=ADDRESS)) == {}


@pytest.mark.parametrize("spec", [{"loadBalancerClass": "example.com/other"}, {"type": "ClusterIP"}])
def test_services_of_a_class_and_of_other_types_do_not_get_it_and_give_it_back(spec):
    assert planned(balanced(**spec)) == {}
    assert planned(balanced(has=ADDRESS, **spec)) == {"web": ()}
    assert planned(balanced(has="198.51.100.1", **spec)) == {}, "another controller's"


def test_d17_it_gets_one_address_of_each_of_its_families_in_their_order():
    both = {"ipFamilies": ["IPv6", "IPv4"]}
    assert planned(balanced(**both)) == {"web": (SECOND, ADDRESS)}
    assert planned(balanced(has=f"{SECOND},{ADDRESS}", **both)) == {}
    assert planned(balanced(has=ADDRESS, **both)) == {"web": (SECOND, ADDRESS)}, "it has gained one"
    assert planned(balanced(has=f"{ADDRESS},{SECOND}")) == {"web": (ADDRESS,)}, "it has lost one"
    assert plan([balanced(ipFamilies=["IPv6"])], [ADDRESS], {}) == [], "the machine has none of the family"


def test_of_two_services_the_older_one_has_the_port_unless_the_other_has_it_already():
    old, new = balanced("old", "1"), balanced("new", "2")
    taken = f"port 80/TCP of {ADDRESS} is in use by the service default/"
    assert planned(new, old) == {"old": (ADDRESS,), "new": f"{taken}old"}
    assert planned(balanced("new", "2", has=ADDRESS), old) == {"old": f"{taken}new"}


def test_a_port_number_may_be_shared_by_protocols():
    tcp, udp = balanced("tcp"), balanced("udp", ports=((80, "UDP"),))
    assert planned(tcp, udp) == {"tcp": (ADDRESS,), "udp": (ADDRESS,)}


def test_d75_a_port_that_a_program_listens_on_is_not_taken_from_it_but_one_given_out_stays():
    in_use = {("tcp", 80): "a program of this machine"}
    assert planned(balanced(), in_use=in_use) == {
        "web": f"port 80/TCP of {ADDRESS} is in use by a program of this machine"
    }
    assert planned(balanced(has=ADDRESS), in_use=in_use) == {}


def test_listeners_are_those_that_the_machines_address_reaches(tmp_path):
    head = "  sl  local_address rem_address   st\n"
    (tmp_path / "tcp").write_text(
        head
        + "   0: 00000000:0016 00000000:0000 0A 0\n"  # everywhere, 22
        + "   1: 0100007F:1F90 00000000:0000 0A 0\n"  # 127.0.0.1, 8080
        + "   2: 020200C0:0050 00000000:0000 0A 0\n"  # 192.0.2.2, 80
        + "   3: 020200C0:0051 00000000:0000 01 0\n"  # a connection
    )
    (tmp_path / "tcp6").write_text(head + f"   0: {'0' * 32}:01BB {'0' * 32}:0000 0A 0\n")
    (tmp_path / "udp").write_text(head + "   0: 00000000:0035 00000000:0000 07 0\n")
    assert set(listeners([ADDRESS], tmp_path)) == {("tcp", 22), ("tcp", 80), ("tcp", 443), ("udp", 53)}


def test_listeners_on_the_machines_second_address_count_too(tmp_path):
    head, second, mapped = "head\n", "000000FD" + "0" * 16 + "02000000", "0" * 16 + "FFFF0000" + "020200C0"
    lines = [f"  {n}: {host}:{80 + n:04X} {'0' * 32}:0000 0A 0\n" for n, host in enumerate((second, mapped))]
    (tmp_path / "tcp6").write_text(head + "".join(lines))
    assert set(listeners([SECOND], tmp_path)) == {("tcp", 80)}
    assert set(listeners([ADDRESS], tmp_path)) == {("tcp", 81)}


class Api:
    """One service; what is written shows up in the watch."""

    def __init__(self, manifest):
        self.manifest = manifest
        self.patches = []
        self.changed = asyncio.Queue()

    async def list(self, resource, namespace="", **options):
        return ObjectList([self.manifest], "1")

    async def watch(self, resource, namespace="", **options):
        while True:
            yield await self.changed.get()

    async def patch(self, resource, name, patch, namespace="", *, subresource=""):
        self.patches.append((resource, namespace, name, patch, subresource))
        metadata = {**self.manifest["metadata"], "resourceVersion": "1"}
        return {**self.manifest, "metadata": metadata, **patch}


class Recorder:
    def __init__(self):
        self.events = []

    def record(self, subject, type, reason, message):
        self.events.append((type, reason, message))


async def test_the_status_is_written_and_told():
    api, recorder, world = Api(balanced(ports=((1, "TCP"),))), Recorder(), real_world()
    informers = Informers(api, world)
    balancers = LoadBalancers(api, informers, world, recorder, ["203.0.113.99"])
    tasks = [asyncio.create_task(part.run()) for part in (informers, balancers)]
    async with asyncio.timeout(60):
        while not recorder.events:  # noqa: ASYNC110 -- it has no event to wait for
            await asyncio.sleep(0.001)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ingress = [{"ip": "203.0.113.99", "ipMode": "VIP"}]
    assert api.patches == [(SERVICES, "default", "web", {"status": {"loadBalancer": {"ingress": ingress}}}, "status")]
    assert recorder.events == [("Normal", "EnsuredLoadBalancer", "Ensured load balancer")]
