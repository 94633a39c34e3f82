"""A pod is found, or no longer found, the moment it says so itself; slices follow and then decide (D32, D61, D72)."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.client import ObjectList, WatchEvent
from holdfast.client.informer import Informers
from holdfast.network.dns.ahead import endpoints_of, follow
from holdfast.network.dns.names import name_of
from holdfast.network.dns.records import Zone
from holdfast.world import real_world

from .builders import endpoint, service, slice_of

KEY = ("default", "nginx")
DOMAIN = "default.svc.cluster.local"


def selecting(**spec):
    return service(selector={"app": "nginx"}, ipFamilies=["IPv4"], **spec)


def pod(number=0, *, ready=True, leaving=False, phase="Running", ip=None, subdomain="nginx", app="nginx"):
    metadata = {"name": f"web-{number}", "namespace": "default", "uid": f"uid-{number}", "labels": {"app": app}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    address = ip or f"10.244.0.{number + 2}"
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
    spec = {"hostname": f"web-{number}", "subdomain": subdomain, "containers": []}
    return {"metadata": metadata, "spec": spec, "status": status}


def zone(**spec):
    made = Zone("cluster.local", random.Random(0))
    made.set_namespace("default", True)
    made.set_service("default/nginx", selecting(**spec))
    return made


def found(zone, name="nginx"):
    """The addresses at the name, below the service's namespace; None if there is no such name."""
    answer = zone.answer(name_of(f"{name}.{DOMAIN}"), "A")
    return sorted(record.data[0] for record in answer.records) if answer.exists else None


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        pytest.param(pod(), "web-0", id="ready"),
        pytest.param(pod(subdomain="other"), "10-244-0-2", id="its name is of another service (D28)"),
        pytest.param(pod(ready=False), None, id="not ready (D61)"),
        pytest.param(pod(leaving=True), None, id="leaving (D70)"),
        pytest.param(pod(phase="Failed"), None, id="ended (D26)"),
        pytest.param(pod(app="other"), None, id="not selected"),
        pytest.param(None, None, id="gone"),
    ],
)
def test_which_pods_are_found(changed, label):
    assert [each.label for each in endpoints_of(selecting(), changed)] == ([label] if label else [])


def test_d61_d62_who_is_not_ready_is_found_only_where_the_service_says_so():
    wanted = selecting(publishNotReadyAddresses=True)
    assert len(endpoints_of(wanted, pod(ready=False))) == 1
    assert len(endpoints_of(wanted, pod(leaving=True))) == 1


def test_d53_d54_a_ready_pod_is_found_before_its_slice_and_not_twice_with_it():
    made = zone()
    assert found(made) is None
    made.note(KEY, (), endpoints_of(selecting(), pod()))
    assert found(made) == found(made, "web-0.nginx") == ["10.244.0.2"]
    made.set_slice("default/nginx-x", slice_of("nginx", endpoint("10.244.0.2", hostname="web-0")))
    assert found(made) == found(made, "web-0.nginx") == ["10.244.0.2"]


def test_d72_d77_who_is_no_longer_ready_is_not_found_though_a_slice_still_lists_it():
    made = zone()
    made.set_slice("default/nginx-x", slice_of("nginx", endpoint("10.244.0.2", hostname="web-0")))
    made.note(KEY, endpoints_of(selecting(), pod()), ())
    assert found(made) is None
    assert made.answer(name_of(f"_web._tcp.nginx.{DOMAIN}"), "SRV").exists is False
    made.note(KEY, (), endpoints_of(selecting(), pod(ip="10.244.0.9")))
    assert found(made, "web-0.nginx") == ["10.244.0.9"], "its successor, and not the address it had"
    made.set_slice("default/nginx-x", slice_of("nginx", endpoint("10.244.0.9", hostname="web-0")))
    made.set_slice("default/nginx-x", slice_of("nginx", endpoint("10.244.0.2", hostname="web-0")))
    assert found(made, "web-0.nginx") == ["10.244.0.2"], "what pods said once counts until the slices agree, no longer"


STATES = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=30)
"""Which pod, whether it is ready then, and whether the slice follows."""


@given(STATES)
def test_at_any_moment_the_pods_decide_and_once_the_slice_has_followed_nothing_is_left_of_it(steps):
    made, ready = zone(), dict.fromkeys(range(4), False)
    for number, is_ready, follows in steps:
        before, after = (endpoints_of(selecting(), pod(number, ready=each)) for each in (ready[number], is_ready))
        ready[number] = is_ready
        made.note(KEY, before, after)
        if follows:
            publish(made, ready)
        assert (found(made) or []) == [f"10.244.0.{n + 2}" for n, is_there in ready.items() if is_there]
    publish(made, ready)
    fresh = zone()
    publish(fresh, ready)
    assert found(made) == found(fresh)
    publish(made, dict.fromkeys(ready, True))
    assert len(found(made)) == 4, "slices alone decide again"


def publish(made, ready):
    endpoints = [endpoint(f"10.244.0.{n + 2}", hostname=f"web-{n}") for n, is_there in ready.items() if is_there]
    made.set_slice("default/nginx-x", slice_of("nginx", *endpoints))


class Api:
    """Services that stay, and pods that change."""

    def __init__(self, *services):
        self.services = list(services)
        self.pods = asyncio.Queue()

    async def list(self, resource, namespace="", **options):
        return ObjectList(self.services if resource is SERVICES else [], "1")

    async def watch(self, resource, namespace="", **options):
        while True:
            if resource is PODS:
                yield await self.pods.get()
            else:
                await asyncio.Event().wait()


@asynccontextmanager
async def following(api, made):
    informers = Informers(api, real_world())
    end = follow(informers, made)
    task = asyncio.create_task(informers.run())
    try:
        await informers.wait_synced()
        yield
    finally:
        end()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_pods_are_followed_for_the_services_that_select_them():
    api, made, revisions = Api(selecting(), service("other", selector={"app": "other"})), zone(), count(2)

    async def told(manifest, event="MODIFIED"):
        manifest["metadata"]["resourceVersion"] = str(next(revisions))
        api.pods.put_nowait(WatchEvent(event, manifest))
        for _ in range(50):  # as many turns as it may take on the way
            await asyncio.sleep(0)

    async with following(api, made):
        await told(pod(ready=False))
        assert found(made) is None
        await told(pod())
        assert found(made) == ["10.244.0.2"]
        await told(pod(app="other"))
        assert found(made) is None, "it is another's now"
        await told(pod())
        await told(pod(ready=False, leaving=True, phase="Failed"), "DELETED")
        assert found(made) is None
