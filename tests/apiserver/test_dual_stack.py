"""Services of a cluster with two families: who gets which addresses, and how a service gains or loses the second."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from holdfast.apiserver.server import ApiServer
from holdfast.store.memory import MemoryStore
from holdfast.world import World

from .conftest import CONFIG, Web, until

SERVICES = "/api/v1/namespaces/default/services"
RANGES = "/apis/networking.k8s.io/v1/servicecidrs"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
MERGE = {"content-type": "application/merge-patch+json"}
BOTH = ("10.96.0.0/16", "fd00:10:96::/112")


@pytest.fixture
async def dual(store: MemoryStore, world: World) -> AsyncIterator[Web]:
    server = ApiServer(store, world, replace(CONFIG, service_cidrs=BOTH))
    await server.open()
    yield Web(server)
    await server.close()


async def make(web: Any, name: str, **spec: Any) -> Any:
    spec = {"selector": {"a": "b"}, "ports": [{"port": 80}], **spec}
    return await web("POST", SERVICES, {"metadata": {"name": name}, "spec": spec})


async def change(web: Any, name: str, **spec: Any) -> Any:
    return await web("PATCH", f"{SERVICES}/{name}", {"spec": spec}, headers=MERGE)


def families_of(answer: Any) -> tuple[Any, Any, list[str]]:
    """Policy, families, and of which family each address is."""
    spec = answer["spec"]
    assert spec["clusterIP"] == spec["clusterIPs"][0]
    kinds = [
        "None" if ip == "None" else "IPv6" if ip.startswith("fd00:10:96::") else "IPv4" for ip in spec["clusterIPs"]
    ]
    return spec["ipFamilyPolicy"], spec["ipFamilies"], kinds


@pytest.mark.parametrize(
    ("spec", "policy", "families"),
    [
        pytest.param({}, "SingleStack", ["IPv4"], id="says nothing"),
        pytest.param({"ipFamilies": ["IPv6"]}, "SingleStack", ["IPv6"], id="the other family"),
        pytest.param({"ipFamilyPolicy": "PreferDualStack"}, "PreferDualStack", ["IPv4", "IPv6"], id="prefers both"),
        pytest.param({"ipFamilyPolicy": "RequireDualStack"}, "RequireDualStack", ["IPv4", "IPv6"], id="requires both"),
        pytest.param(
            {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]},
            "RequireDualStack",
            ["IPv6", "IPv4"],
            id="the other family first",
        ),
        pytest.param({"clusterIP": "fd00:10:96::99"}, "SingleStack", ["IPv6"], id="told by the address"),
        pytest.param(
            {
                "clusterIP": "10.96.1.1",
                "clusterIPs": ["10.96.1.1", "fd00:10:96::98"],
                "ipFamilyPolicy": "PreferDualStack",
            },
            "PreferDualStack",
            ["IPv4", "IPv6"],
            id="two addresses",
        ),
    ],
)
async def test_d10_d12_families_and_addresses_of_a_new_service(
    dual: Any, spec: Any, policy: str, families: list[str]
) -> None:
    made = await make(dual, "a", **spec)
    assert families_of(made) == (policy, families, families)
    if "clusterIPs" in spec:
        assert made["spec"]["clusterIPs"] == spec["clusterIPs"]


async def test_d15_headless_services_have_the_families_they_ask_for(dual: Any) -> None:
    assert families_of(await make(dual, "a", clusterIP="None")) == ("SingleStack", ["IPv4"], ["None"])
    made = await make(dual, "b", clusterIP="None", ipFamilyPolicy="PreferDualStack")
    assert families_of(made) == ("PreferDualStack", ["IPv4", "IPv6"], ["None"])
    changed = await change(dual, "a", ipFamilyPolicy="RequireDualStack")
    assert families_of(changed) == ("RequireDualStack", ["IPv4", "IPv6"], ["None"])
    changed = await change(dual, "a", ipFamilyPolicy="SingleStack")
    assert families_of(changed) == ("SingleStack", ["IPv4"], ["None"])


async def test_d13_a_service_gains_and_loses_its_second_address(dual: Any) -> None:
    first = (await make(dual, "a"))["spec"]["clusterIP"]
    gained = await change(dual, "a", ipFamilyPolicy="PreferDualStack")
    assert families_of(gained) == ("PreferDualStack", ["IPv4", "IPv6"], ["IPv4", "IPv6"])
    assert gained["spec"]["clusterIP"] == first
    second = gained["spec"]["clusterIPs"][1]
    assert "already allocated" in (await make(dual, "b", clusterIP=second))["message"]
    lost = await change(dual, "a", ipFamilyPolicy="SingleStack")
    assert (families_of(lost), lost["spec"]["clusterIP"]) == (("SingleStack", ["IPv4"], ["IPv4"]), first)
    assert (await make(dual, "b", clusterIP=second)).code == 201


async def test_d13_a_service_gains_the_address_it_names(dual: Any) -> None:
    first = (await make(dual, "a"))["spec"]["clusterIP"]
    spec = {"ipFamilyPolicy": "RequireDualStack", "clusterIPs": [first, "fd00:10:96::77"]}
    assert (await change(dual, "a", **spec))["spec"]["clusterIPs"] == [first, "fd00:10:96::77"]


async def test_d13_an_address_is_released_by_policy_only(dual: Any) -> None:
    made = await make(dual, "a", ipFamilyPolicy="RequireDualStack")
    refused = await change(dual, "a", clusterIPs=made["spec"]["clusterIPs"][:1])
    assert refused.code == 422
    assert "must be 'SingleStack' to release the secondary cluster IP" in refused["message"]
    turned = made["spec"]["clusterIPs"][::-1]
    refused = await change(dual, "a", ipFamilies=["IPv6", "IPv4"], clusterIPs=turned, clusterIP=turned[0])
    assert "may not change once set" in refused["message"]


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"clusterIP": "fd00:99::1"}, "failed to allocate IP fd00:99::1: the provided network does not match"),
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            "must be RequireDualStack or PreferDualStack when multiple IP families are specified",
        ),
        (
            {"ipFamilies": ["IPv4"], "clusterIP": "fd00:10:96::9"},
            "expected an IPv4 value as indicated by `ipFamilies[0]`",
        ),
    ],
)
async def test_d12_what_is_refused(dual: Any, spec: Any, refusal: str) -> None:
    made = await make(dual, "a", **spec)
    assert (made.code, refusal in made["message"]) == (422, True), made["message"]


async def test_a_range_of_the_other_family_gives_its_addresses(dual: Any) -> None:
    """The largest there are: looking for a free address must not look at all of them."""
    body = {"metadata": {"name": "more"}, "spec": {"cidrs": ["fd00:77::/64"]}}
    assert (await dual("POST", RANGES, body)).code == 201
    ready = {"type": "Ready", "status": "True", "reason": "", "message": "m", "lastTransitionTime": None}
    await dual("PATCH", f"{RANGES}/more/status", {"status": {"conditions": [ready]}}, headers=MERGE)
    made = await make(dual, "a", ipFamilies=["IPv6"], clusterIP="fd00:77::ffff:ffff:ffff:ffff")
    assert made.code == 201
    found = [(await make(dual, f"s{i}", ipFamilies=["IPv6"]))["spec"]["clusterIP"] for i in range(20)]
    assert any(address.startswith("fd00:77:") for address in found)


async def test_the_clusters_own_ranges_and_services(dual: Any) -> None:
    """As of an upstream cluster with two families: its own service has one."""
    assert (await dual("GET", f"{RANGES}/kubernetes"))["spec"]["cidrs"] == [*BOTH]
    own = await dual("GET", f"{SERVICES}/kubernetes")
    assert families_of(own) == ("SingleStack", ["IPv4"], ["IPv4"])


async def test_address_objects_name_their_family(dual: Any) -> None:
    made = await make(dual, "a", ipFamilyPolicy="RequireDualStack")
    for address, family in zip(made["spec"]["clusterIPs"], ("IPv4", "IPv6"), strict=True):

        async def is_there(address: str = address) -> bool:
            return bool((await dual("GET", f"{ADDRESSES}/{address}")).code == 200)

        await until(is_there)
        found = await dual("GET", f"{ADDRESSES}/{address}")
        assert found["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == family
        assert found["spec"]["parentRef"]["name"] == "a"


async def test_a_cluster_gains_its_second_family_later(store: MemoryStore, world: World) -> None:
    """A service that is there stays as it is, whatever it would prefer, until somebody asks for more."""
    single = ApiServer(store, world, CONFIG)
    await single.open()
    made = await make(Web(single), "a", ipFamilyPolicy="PreferDualStack")
    assert families_of(made) == ("PreferDualStack", ["IPv4"], ["IPv4"])
    await single.close()
    dual = ApiServer(store, world, replace(CONFIG, service_cidrs=BOTH))
    await dual.open()
    web: Any = Web(dual)
    assert (await web("GET", f"{RANGES}/kubernetes"))["spec"]["cidrs"] == [*BOTH]
    same = await change(web, "a", ports=[{"port": 81}])
    assert families_of(same) == ("PreferDualStack", ["IPv4"], ["IPv4"])
    assert families_of(await change(web, "a", ipFamilies=["IPv4", "IPv6"])) == (
        "PreferDualStack",
        ["IPv4", "IPv6"],
        ["IPv4", "IPv6"],
    )
    await dual.close()


async def test_a_cluster_that_has_lost_its_second_family_goes_on(store: MemoryStore, world: World) -> None:
    dual = ApiServer(store, world, replace(CONFIG, service_cidrs=BOTH))
    await dual.open()
    made = await make(Web(dual), "a", ipFamilyPolicy="PreferDualStack")
    await dual.close()
    single = ApiServer(store, world, CONFIG)
    await single.open()
    web: Any = Web(single)
    kept = await change(web, "a", ports=[{"port": 81}])
    assert kept["spec"]["clusterIPs"] == made["spec"]["clusterIPs"]
    refused = await make(web, "b", ipFamilyPolicy="RequireDualStack")
    assert "this cluster is not configured for dual-stack services" in refused["message"]
    assert (await web("DELETE", f"{SERVICES}/a")).code == 200
    await single.close()
