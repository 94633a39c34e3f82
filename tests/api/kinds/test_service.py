"""Services and what stands behind them (D10-D19, D25-D30)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.service import SERVICES
from holdfast.api.decode import decode_body
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.resource import Manifest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def service(**spec: Any) -> Manifest:
    body = {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}], **spec}}
    manifest, _ = decode_body(SERVICES, json.dumps(body).encode(), "application/json")
    SERVICES.default(manifest)
    return manifest


def stored(**spec: Any) -> Manifest:
    """As it is after allocation."""
    made = service(**{"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], **spec})
    made["spec"].update(ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    return made


def updated(old: Manifest, **spec: Any) -> Manifest:
    new = service(**spec)
    SERVICES.prepare_update(new, old)
    spec_after: Manifest = new["spec"]
    return spec_after


def errors(**spec: Any) -> list[str]:
    made = service(**spec)
    SERVICES.prepare_create(made)
    return [str(error) for error in SERVICES.validate(made)]


def test_a265_a_service_is_filled_in() -> None:
    assert service()["spec"] == {
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "internalTrafficPolicy": "Cluster",
    }
    assert service(sessionAffinity="ClientIP")["spec"]["sessionAffinityConfig"] == {
        "clientIP": {"timeoutSeconds": 10800}
    }
    assert service(type="NodePort")["spec"]["externalTrafficPolicy"] == "Cluster"
    assert service(type="LoadBalancer")["spec"]["allocateLoadBalancerNodePorts"] is True
    assert "internalTrafficPolicy" not in service(type="ExternalName", externalName="a.b")["spec"]


def test_both_fields_of_the_address_agree() -> None:
    made = service(clusterIP="None")
    SERVICES.prepare_create(made)
    assert (made["spec"]["clusterIP"], made["spec"]["clusterIPs"]) == ("None", ["None"])


def test_d11_ports_are_needed_unless_headless_or_external() -> None:
    assert errors(ports=None) == ["spec.ports: Required value"]
    assert errors(ports=None, clusterIP="None") == []
    assert errors(ports=None, type="ExternalName", externalName="a.b") == []


def test_d13_an_update_without_address_keeps_it() -> None:
    after = updated(stored())
    assert (after["clusterIP"], after["clusterIPs"]) == ("10.96.1.1", ["10.96.1.1"])
    assert (after["ipFamilies"], after["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


def test_d13_another_address_is_refused() -> None:
    old, new = stored(), service(clusterIP="10.96.9.9")
    SERVICES.prepare_update(new, old)
    (error,) = SERVICES.validate_update(new, old)
    assert str(error) == 'spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set'


def test_d13_node_ports_are_kept_by_name() -> None:
    old = stored(
        type="NodePort",
        ports=[{"port": 80, "name": "a", "nodePort": 30001}, {"port": 81, "name": "b", "nodePort": 30002}],
    )
    after = updated(old, type="NodePort", ports=[{"port": 81, "name": "c"}, {"port": 90, "name": "a"}])
    assert [port.get("nodePort") for port in after["ports"]] == [None, 30001]


def test_d13_a_type_without_node_ports_drops_them() -> None:
    port = {"port": 80, "nodePort": 30001}
    after = updated(stored(type="NodePort", ports=[port]), type="ClusterIP", ports=[port])
    assert "nodePort" not in after["ports"][0]
    assert "externalTrafficPolicy" not in after


def test_d13_an_external_name_has_no_address() -> None:
    old = stored()
    same_spec = {**old["spec"], "type": "ExternalName", "externalName": "a.b"}
    new = {"metadata": {"name": "a"}, "spec": same_spec}
    SERVICES.prepare_update(new, old)
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"} & new["spec"].keys()
    assert SERVICES.validate_update(new, old) == []


@pytest.mark.parametrize(
    ("spec", "cells"),
    [
        ({}, ["ClusterIP", "10.96.1.1", "<none>", "80/TCP"]),
        ({"clusterIP": "None", "clusterIPs": ["None"], "ports": None}, ["ClusterIP", "None", "<none>", "<none>"]),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}, {"port": 53, "protocol": "UDP"}]},
            ["NodePort", "10.96.1.1", "<none>", "80:30001/TCP,53/UDP"],
        ),
        ({"type": "LoadBalancer"}, ["LoadBalancer", "10.96.1.1", "<pending>", "80/TCP"]),
        ({"externalIPs": ["1.2.3.4", "1.2.3.5"]}, ["ClusterIP", "10.96.1.1", "1.2.3.4,1.2.3.5", "80/TCP"]),
    ],
)
def test_s194_d18_a_service_as_it_is_printed(spec: Manifest, cells: list[str]) -> None:
    assert SERVICES.cells(stored(**spec), NOW)[1:5] == cells


def test_s194_d18_an_external_name_as_it_is_printed() -> None:
    made = service(type="ExternalName", externalName="db.example", ports=None)
    assert SERVICES.cells(made, NOW)[1:5] == ["ExternalName", "<none>", "db.example", "<none>"]


def test_s194_d18_a_load_balancer_shows_what_it_got() -> None:
    made = stored(type="LoadBalancer")
    made["status"] = {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "b.example"}]}}
    assert SERVICES.cells(made, NOW)[3] == "9.9.9.9,b.example"


def addresses(count: int) -> list[Manifest]:
    return [{"ip": f"10.0.0.{i}"} for i in range(count)]


@pytest.mark.parametrize(
    ("subsets", "shown"),
    [
        ([], "<none>"),
        ([{"addresses": addresses(1)}], "10.0.0.0"),
        ([{"addresses": addresses(2), "ports": [{"port": 80}]}], "10.0.0.0:80,10.0.0.1:80"),
        ([{"addresses": addresses(5), "ports": [{"port": 80}]}], "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."),
        ([{"notReadyAddresses": addresses(1), "ports": [{"port": 80}]}], "<none>"),
    ],
)
def test_s194_endpoints_as_they_are_printed(subsets: list[Manifest], shown: str) -> None:
    assert ENDPOINTS.cells({"metadata": {"name": "a"}, "subsets": subsets}, NOW)[1] == shown


def test_s194_a_slice_as_it_is_printed() -> None:
    made = {
        "metadata": {"name": "a"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"10.0.0.{i}"]} for i in range(4)],
        "ports": [{"port": 80}, {"name": "any"}],
    }
    assert ENDPOINT_SLICES.cells(made, NOW)[1:4] == ["IPv4", "80,*", "10.0.0.0,10.0.0.1,10.0.0.2 + 1 more..."]
    empty = {"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [], "ports": []}
    assert ENDPOINT_SLICES.cells(empty, NOW)[2:4] == ["<unset>", "<unset>"]


def test_a_slices_address_type_is_fixed_and_its_addresses_are_of_that_type() -> None:
    made: Manifest = {"addressType": "IPv6", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": []}
    (error,) = ENDPOINT_SLICES.validate(made)
    assert str(error) == 'endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be an IPv6 address'
    (error,) = ENDPOINT_SLICES.validate_update(made, {**made, "addressType": "IPv4"})
    assert str(error) == 'addressType: Invalid value: "IPv6": field is immutable'
