"""What services ask for: D40 to D42, D45, D49, D50."""

from __future__ import annotations

import pytest

from holdfast.network.services.routes import Endpoint, routes

from .builders import endpoint, service, slice_of


def only(*arguments, nodes=("one",)):
    (route,) = routes(*arguments, nodes)
    return route


def addresses(endpoints):
    return [each.address for each in endpoints]


def test_a_port_leads_to_the_ready_endpoints_of_all_slices():
    slices = [slice_of(endpoint("10.244.0.3")), slice_of(endpoint("10.244.0.2"), endpoint("10.244.0.4", ready=False))]
    route = only(service(), slices)
    assert (route.cluster_ip, route.protocol, route.port) == ("10.96.0.10", "tcp", 80)
    assert route.endpoints == (Endpoint("10.244.0.2", 8080), Endpoint("10.244.0.3", 8080))


def test_ports_are_matched_by_name_and_protocol_so_that_named_target_ports_may_differ():
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    slices = [
        slice_of(endpoint("10.244.0.2"), name="a")
        | {
            "ports": [
                {"name": "dns", "port": 5353, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 5354, "protocol": "TCP"},
            ]
        },
        slice_of(endpoint("10.244.0.3"), name="b") | {"ports": [{"name": "dns", "port": 6000, "protocol": "UDP"}]},
    ]
    udp, tcp = routes(service(ports=ports), slices, ["one"])
    assert udp.endpoints == (Endpoint("10.244.0.2", 5353), Endpoint("10.244.0.3", 6000))
    assert tcp.endpoints == (Endpoint("10.244.0.2", 5354),)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        pytest.param([{"ready": True}, {"ready": False, "serving": True, "terminating": True}], [0], id="ready first"),
        pytest.param([{"ready": False, "serving": True, "terminating": True}], [0], id="draining when none is ready"),
        pytest.param([{"ready": False, "serving": False, "terminating": True}], [], id="draining but not serving"),
        pytest.param([{"ready": False, "serving": True, "terminating": False}], [], id="not ready, not draining"),
        pytest.param([{"ready": True, "serving": False}], [0], id="published although not serving"),
    ],
)
def test_d41_terminating_endpoints_are_used_only_where_none_is_ready(listed, expected):
    endpoints = [endpoint(f"10.244.0.{n}", **conditions) for n, conditions in enumerate(listed)]
    assert addresses(only(service(), [slice_of(*endpoints)]).endpoints) == [f"10.244.0.{n}" for n in expected]


def test_an_endpoint_that_says_nothing_is_ready():
    made = {"addresses": ["10.244.0.2"]}
    assert addresses(only(service(), [slice_of(made)]).endpoints) == ["10.244.0.2"]


def test_d41_d49_local_endpoints_are_chosen_for_each_node_by_itself():
    draining = {"ready": False, "serving": True, "terminating": True}
    slices = [slice_of(endpoint("10.244.0.2", **draining), endpoint("10.244.1.2", "two"), endpoint("10.9.9.9", "far"))]
    route = only(service(internalTrafficPolicy="Local"), slices, nodes=("one", "two"))
    assert addresses(route.endpoints) == ["10.244.1.2", "10.9.9.9"]
    assert {node: addresses(endpoints) for node, endpoints in route.local} == {
        "one": ["10.244.0.2"],
        "two": ["10.244.1.2"],
    }


@pytest.mark.parametrize(
    "ignored",
    [
        service(ip="None"),
        service(ip=""),
        service(ip="fd00::1"),
        service(type="ExternalName"),
        service(labels={"service.kubernetes.io/service-proxy-name": ""}),
        service(labels={"service.kubernetes.io/headless": ""}),
    ],
    ids=["headless", "no address", "IPv6", "ExternalName", "another proxy's", "labelled headless"],
)
def test_d50_services_that_are_not_for_this_proxy_have_no_routes(ignored):
    assert routes(ignored, [slice_of(endpoint("10.244.0.2"))], ["one"]) == ()


def test_slices_of_other_families_do_not_count():
    slices = [slice_of(endpoint("fd00::2")) | {"addressType": "IPv6"}, slice_of(endpoint("10.244.0.2"))]
    assert addresses(only(service(), slices).endpoints) == ["10.244.0.2"]


def test_external_addresses_are_those_of_the_spec_and_of_the_load_balancer():
    ingress = [{"ip": "192.0.2.2", "ipMode": "VIP"}, {"ip": "192.0.2.3", "ipMode": "Proxy"}, {"hostname": "lb"}]
    made = service(
        type="LoadBalancer", externalIPs=["198.51.100.7", "192.0.2.2"], status={"loadBalancer": {"ingress": ingress}}
    )
    assert only(made, []).external_ips == ("198.51.100.7", "192.0.2.2")


def test_what_is_no_address_never_gets_into_a_rule():
    evil = "192.0.2.9 }; flush ruleset; #"
    made = service(type="LoadBalancer", externalIPs=[evil], status={"loadBalancer": {"ingress": [{"ip": evil}]}})
    route = only(made, [slice_of(endpoint(evil))])
    assert (route.external_ips, route.endpoints) == ((), ())
    assert routes(service(ip=evil), [], ["one"]) == ()


def test_what_a_load_balancer_left_behind_does_not_count_for_other_types():
    made = service(type="NodePort", status={"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}})
    assert only(made, []).external_ips == ()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}, 60),
    ],
)
def test_d45_affinity_lasts_three_hours_unless_told_otherwise(spec, expected):
    assert only(service(**spec), []).affinity_s == expected
