"""What the server adds to objects, and what it refuses although it is valid (A233-A241, A250, A265)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

PODS = "/api/v1/namespaces/ns/pods"
CLAIMS = "/api/v1/namespaces/ns/persistentvolumeclaims"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
SERVICES = "/api/v1/namespaces/ns/services"
CONTAINERS = [{"name": "main", "image": "app:1"}]


async def create_pod(web: Any, name: str = "a", namespace: str = "ns", **spec: Any) -> Any:
    body = {"metadata": {"name": name}, "spec": {"containers": CONTAINERS, **spec}}
    return await web("POST", f"/api/v1/namespaces/{namespace}/pods", body)


# -- pods


async def test_n2_n182_a_pod_gets_the_default_account_and_tolerations(web: Any) -> None:
    spec = (await create_pod(web))["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    assert [one["key"] for one in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    assert {one["tolerationSeconds"] for one in spec["tolerations"]} == {300}
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")


async def test_n182_a_pod_that_tolerates_already_is_left_alone(web: Any) -> None:
    tolerations = [{"operator": "Exists"}]
    assert (await create_pod(web, tolerations=tolerations))["spec"]["tolerations"] == tolerations


async def test_a_pod_of_a_missing_account_is_forbidden(web: Any) -> None:
    answer = await create_pod(web, serviceAccountName="nosa")
    assert answer.code == 403
    assert answer["message"] == (
        'pods "a" is forbidden: error looking up service account ns/nosa: serviceaccount "nosa" not found'
    )


async def test_a_pod_waits_a_moment_for_the_account_of_a_young_namespace(web: Any) -> None:
    await web("POST", "/api/v1/namespaces", {"metadata": {"name": "young"}})
    waiting = asyncio.create_task(create_pod(web, namespace="young"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await web("POST", "/api/v1/namespaces/young/serviceaccounts", {"metadata": {"name": "default"}})
    assert (await waiting).code == 201


async def test_n228_a_priority_class_becomes_a_number(web: Any) -> None:
    assert (await create_pod(web, priorityClassName="system-node-critical"))["spec"]["priority"] == 2000001000


async def test_an_unknown_class_and_a_number_of_ones_own_are_forbidden(web: Any) -> None:
    unknown = await create_pod(web, priorityClassName="nope")
    assert unknown["message"] == 'pods "a" is forbidden: no PriorityClass with name nope was found'
    own = await create_pod(web, priority=5)
    assert own["message"] == (
        'pods "a" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission '
        "controller computed 0 from the given PriorityClass name"
    )


# -- claims and volumes


async def make_class(web: Any, name: str, **more: Any) -> None:
    body = {"metadata": {"name": name, **more.pop("metadata", {})}, "provisioner": "x.example/y", **more}
    assert (await web("POST", CLASSES, body)).code == 201


async def create_claim(web: Any, **spec: Any) -> Any:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return await web("POST", CLAIMS, {"metadata": {"name": "c"}, "spec": wanted})


async def test_v9_a_claim_without_class_gets_the_newest_default(web: Any, clock: Any) -> None:
    default = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    await make_class(web, "old", metadata=default)
    clock.advance(10)
    await make_class(web, "new", metadata=default)
    await make_class(web, "plain")
    assert (await create_claim(web))["spec"]["storageClassName"] == "new"


async def test_v8_an_empty_class_is_an_answer(web: Any) -> None:
    await make_class(web, "d", metadata={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}})
    assert (await create_claim(web, storageClassName=""))["spec"]["storageClassName"] == ""


async def test_v11_claims_and_volumes_are_protected_while_in_use(web: Any) -> None:
    assert (await create_claim(web))["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
    volume = await web("POST", "/api/v1/persistentvolumes", {"metadata": {"name": "v"}, "spec": spec})
    assert volume["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]


async def test_v11_classes_of_attributes_are_protected_too(web: Any) -> None:
    fast = {"metadata": {"name": "fast"}, "driverName": "a.example", "parameters": {"iops": "100"}}
    made = await web("POST", "/apis/storage.k8s.io/v1/volumeattributesclasses", fast)
    assert made["metadata"]["finalizers"] == ["kubernetes.io/vac-protection"]


@pytest.mark.parametrize(("expands", "code"), [(True, 200), (False, 403)])
async def test_v65_a_bound_claim_grows_if_its_class_can(web: Any, expands: bool, code: int) -> None:
    await make_class(web, "s", allowVolumeExpansion=expands)
    claim = (await create_claim(web, storageClassName="s", volumeName="v")).body
    bound = await web("PUT", f"{CLAIMS}/c/status", {**claim, "status": {"phase": "Bound"}})
    bigger = {**bound["spec"], "resources": {"requests": {"storage": "2Gi"}}}
    answer = await web("PUT", f"{CLAIMS}/c", {**bound.body, "spec": bigger})
    assert answer.code == code
    if code == 403:
        assert answer["message"] == (
            'persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the '
            "storageclass that provisions the pvc must support resize"
        )


async def test_v65_a_claim_that_is_not_bound_does_not_grow(web: Any) -> None:
    await make_class(web, "s", allowVolumeExpansion=True)
    claim = (await create_claim(web, storageClassName="s")).body
    bigger = {**claim["spec"], "resources": {"requests": {"storage": "2Gi"}}}
    answer = await web("PUT", f"{CLAIMS}/c", {**claim, "spec": bigger})
    assert answer.code == 422  # the kind's own rules come before admission has its say, as upstream
    assert "spec: Forbidden: spec is immutable after creation except resources.requests" in answer["message"]


# -- nodes and namespaces


async def test_a_node_is_tainted_until_it_is_ready(web: Any) -> None:
    node = await web("POST", "/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "2"}}})
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    assert node["status"]["capacity"] == {"cpu": "2"}


async def test_a_namespace_carries_its_name_as_a_label(web: Any) -> None:
    body = {"metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "other"}}}
    made = await web("POST", "/api/v1/namespaces", body)
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}


# -- services


def taken(server: Any) -> list[int]:
    """The offsets of the addresses in use."""
    addresses = server.api.allocation.families["IPv4"].own
    numbers = range(addresses.first, addresses.last + 1)
    return [number - addresses.first for number in numbers if addresses.is_taken(number)]


async def create_service(web: Any, name: str, **spec: Any) -> Any:
    ports = [{"port": 80}]
    return await web("POST", SERVICES, {"metadata": {"name": name}, "spec": {"ports": ports, **spec}})


async def test_d12_a_service_gets_an_address_of_its_own(web: Any) -> None:
    addresses = {(await create_service(web, f"s{number}"))["spec"]["clusterIP"] for number in range(20)}
    assert len(addresses) == 20
    assert all(address.startswith("10.96.") for address in addresses)
    assert not any(address.startswith("10.96.0.") for address in addresses), "kept for those who ask by number"


async def test_d14_one_node_port_serves_both_protocols_of_a_port(web: Any) -> None:
    """D14."""
    ports = [{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]
    made = await create_service(web, "dns", type="NodePort", ports=ports)
    tcp, udp = made["spec"]["ports"]
    assert tcp["nodePort"] == udp["nodePort"]
    assert 30086 <= tcp["nodePort"] <= 32767
    other = await create_service(web, "x", type="NodePort", ports=[{"port": 1, "nodePort": tcp["nodePort"]}])
    assert other.code == 422


async def test_a_full_range_says_so(web: Any, server: Any) -> None:
    allocation = server.api.allocation
    for number in range(allocation.ports.first, allocation.ports.last + 1):
        allocation.ports.take(number)
    answer = await create_service(web, "a", type="NodePort")
    assert (answer.code, "range is full" in answer["message"]) == (500, True)
    allocation.ports.give_back(30000)
    assert (await create_service(web, "a", type="NodePort"))["spec"]["ports"][0]["nodePort"] == 30000


async def test_d12_d19_the_api_servers_own_service_has_the_first_address(web: Any) -> None:
    service = await web("GET", "/api/v1/namespaces/default/services/kubernetes")
    assert service["spec"]["clusterIPs"] == ["10.96.0.1"]
    endpoints = await web("GET", "/api/v1/namespaces/default/endpoints/kubernetes")
    assert endpoints["subsets"][0]["addresses"] == [{"ip": "192.0.2.1"}]


async def test_d12_an_address_is_given_once_and_again_when_it_is_free(web: Any) -> None:
    assert (await create_service(web, "a", clusterIP="10.96.0.50")).code == 201
    taken = await create_service(web, "b", clusterIP="10.96.0.50")
    assert taken.code == 422
    assert "provided IP is already allocated" in taken["message"]
    await web("DELETE", f"{SERVICES}/a")
    assert (await create_service(web, "b", clusterIP="10.96.0.50")).code == 201


async def test_d76_a_refused_or_dry_request_keeps_no_address(web: Any, server: Any) -> None:
    before = taken(server)
    await web("POST", f"{SERVICES}?dryRun=All", {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}})
    assert (await create_service(web, "A")).code == 422
    assert taken(server) == before


async def test_what_is_in_use_is_known_after_a_restart(web: Any, server: Any) -> None:
    await create_service(web, "a", clusterIP="10.96.0.50", type="NodePort", ports=[{"port": 80, "nodePort": 30100}])
    await server.close()
    await server.open()
    assert (await create_service(web, "b", clusterIP="10.96.0.50")).code == 422
    taken = await create_service(web, "b", type="NodePort", ports=[{"port": 80, "nodePort": 30100}])
    assert "provided port is already allocated" in taken["message"]


async def test_d13_an_update_without_addresses_keeps_them(web: Any) -> None:
    made = await create_service(web, "a", type="NodePort")
    body = {"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 80}], "selector": {"x": "y"}}}
    updated = await web("PUT", f"{SERVICES}/a", body)
    assert updated["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert updated["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][0]["nodePort"]


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.example"}])
async def test_d15_d16_some_services_need_no_address(web: Any, server: Any, spec: dict[str, Any]) -> None:
    before = taken(server)
    assert (await create_service(web, "a", **spec)).code == 201
    assert taken(server) == before


# -- classes of which one is the default


async def test_a236_only_one_priority_class_is_for_all(web: Any) -> None:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"

    async def make(name: str, is_default: bool) -> Any:
        return await web("POST", path, {"metadata": {"name": name}, "value": 5, "globalDefault": is_default})

    assert [(await make(name, is_default)).code for name, is_default in (("a", True), ("b", False))] == [201, 201]
    refusal = "is forbidden: PriorityClass a is already marked as default. Only one default can exist"
    answer = await make("c", True)
    assert (answer.code, answer["message"]) == (403, f'priorityclasses.scheduling.k8s.io "c" {refusal}')
    merge = {"content-type": "application/merge-patch+json"}
    answer = await web("PATCH", f"{path}/b", {"globalDefault": True}, headers=merge)
    assert (answer.code, answer["message"]) == (403, f'priorityclasses.scheduling.k8s.io "b" {refusal}')
    assert (await web("PATCH", f"{path}/a", {"description": "for all"}, headers=merge)).code == 200


async def test_a239_an_ingress_without_a_class_gets_the_default_one(web: Any) -> None:
    group = "/apis/networking.k8s.io/v1"
    for name, is_default in (("b", "true"), ("a", "true"), ("c", "false")):
        annotations = {"ingressclass.kubernetes.io/is-default-class": is_default}
        body = {"metadata": {"name": name, "annotations": annotations}, "spec": {"controller": "example.com/c"}}
        assert (await web("POST", f"{group}/ingressclasses", body)).code == 201

    async def chosen(name: str, annotations: dict[str, str] | None = None, **spec: Any) -> Any:
        backend = {"service": {"name": "web", "port": {"number": 80}}}
        body = {
            "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {"defaultBackend": backend, **spec},
        }
        return (await web("POST", f"{group}/namespaces/ns/ingresses", body))["spec"].get("ingressClassName")

    assert await chosen("one") == "a"
    assert await chosen("two", ingressClassName="c") == "c"
    assert await chosen("three", {"kubernetes.io/ingress.class": "x"}) is None
