"""What names mean: D52 to D63, D73, D78."""

from __future__ import annotations

import random

import pytest

from holdfast.network.dns.names import address_of, name_of
from holdfast.network.dns.records import Zone

from .builders import alias, endpoint, service, slice_of


@pytest.fixture
def zone():
    made = Zone("cluster.local", random.Random(0), lambda namespace, ip: (namespace, ip) == ("default", "10.244.0.9"))
    made.set_namespace("default", True)
    made.set_service("default/nginx", service())
    made.set_slice(
        "default/nginx-x",
        slice_of(
            "nginx",
            endpoint("10.244.0.2", hostname="web-0"),
            endpoint("10.244.0.3", hostname="web-1"),
            endpoint("10.244.0.4", hostname="web-2", ready=False),
            endpoint("10.244.0.5", ready=None),
        ),
    )
    made.set_service("default/api", service("api", ip="10.96.0.20"))
    made.set_slice("default/api-x", slice_of("api", endpoint("10.244.0.7", hostname="api-0")))
    return made


def asked(zone, name, type="A"):
    """Sorted data; None for NXDOMAIN."""
    answer = zone.answer(name_of(name), type)
    return sorted(record.data for record in answer.records) if answer.exists else None


def addresses(zone, name, type="A"):
    found = asked(zone, name, type)
    return None if found is None else [data[0] for data in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("nginx.default.svc", ["10.244.0.2", "10.244.0.3", "10.244.0.5"], id="D53: ready ones"),
        pytest.param("web-0.nginx.default.svc", ["10.244.0.2"], id="D54: host name"),
        pytest.param("WEB-0.Nginx.Default.SVC", ["10.244.0.2"], id="upper and lower case"),
        pytest.param("10-244-0-5.nginx.default.svc", ["10.244.0.5"], id="D54: dashes"),
        pytest.param("10-244-0-2.nginx.default.svc", None, id="D54: not dashes where there is a host name"),
        pytest.param("web-2.nginx.default.svc", None, id="D61: not ready"),
        pytest.param("web-9.nginx.default.svc", None, id="D60: no such pod"),
        pytest.param("api.default.svc", ["10.96.0.20"], id="D52: cluster address"),
        pytest.param("api-0.api.default.svc", ["10.244.0.7"], id="D54: pods of a service with an address"),
        pytest.param("nope.default.svc", None, id="D60: no such service"),
        pytest.param("nginx.nope.svc", None, id="D60: no such namespace"),
        pytest.param("a.b.nginx.default.svc", None, id="D78: nothing below"),
        pytest.param("default.svc", [], id="D59: namespace"),
        pytest.param("nope.svc", None, id="no namespace"),
        pytest.param("svc", [], id="D59: svc"),
        pytest.param("", [], id="D59: apex"),
        pytest.param("_tcp.nginx.default.svc", [], id="parent of SRV names"),
        pytest.param("_udp.nginx.default.svc", None, id="no port of the protocol"),
        pytest.param("10-244-0-9.default.pod", ["10.244.0.9"], id="D58: a pod"),
        pytest.param("10-244-0-8.default.pod", None, id="D58: no pod"),
        pytest.param("10-244-0-9.nope.pod", None, id="D58: no namespace"),
        pytest.param("x.y.z", None, id="nothing"),
    ],
)
def test_s22_d52_d53_d54_d58_d59_d60_d61_d78_addresses(zone, name, expected):
    assert addresses(zone, f"{name}.cluster.local") == expected


def test_d59_a_name_without_addresses_of_the_type_exists_all_the_same(zone):
    assert addresses(zone, "web-0.nginx.default.svc.cluster.local", "AAAA") == []
    assert addresses(zone, "api.default.svc.cluster.local", "AAAA") == []
    assert addresses(zone, "api.default.svc.cluster.local", "MX") == []


def test_d53_a_headless_service_without_a_ready_pod_does_not_exist(zone):
    zone.set_slice("default/nginx-x", slice_of("nginx", endpoint("10.244.0.2", hostname="web-0", ready=False)))
    assert addresses(zone, "nginx.default.svc.cluster.local") is None


def test_d55_d73_srv_of_a_headless_service_names_pods_and_their_port(zone):
    answer = zone.answer(name_of("_web._tcp.nginx.default.svc.cluster.local"), "SRV")
    found = sorted((record.data[3][0], record.data[2]) for record in answer.records)
    assert found == [("10-244-0-5", 8080), ("web-0", 8080), ("web-1", 8080)]  # D73: not the service's 80
    assert sorted(record.data for record in answer.additional) == [("10.244.0.2",), ("10.244.0.3",), ("10.244.0.5",)]


def test_d55_srv_of_a_service_with_an_address_names_the_service_and_its_port(zone):
    ((_, _, port, target),) = asked(zone, "_web._tcp.api.default.svc.cluster.local", "SRV")
    assert (port, ".".join(target)) == (80, "api.default.svc.cluster.local")


@pytest.mark.parametrize("name", ["_http._tcp", "_web._udp", "_._tcp"])
def test_d55_srv_of_a_port_that_is_not_there(zone, name):
    assert asked(zone, f"{name}.api.default.svc.cluster.local", "SRV") is None


def test_d55_srv_of_the_bare_name_gives_all_ports(zone):
    assert len(asked(zone, "nginx.default.svc.cluster.local", "SRV")) == 3


def test_d57_an_alias_is_a_cname_for_every_type(zone):
    zone.set_service("default/db", alias("db", "db.example.com"))
    for type in ("A", "AAAA", "CNAME"):
        assert asked(zone, "db.default.svc.cluster.local", type) == [(("db", "example", "com"),)]


def test_d59_the_version_and_the_authority(zone):
    assert asked(zone, "dns-version.cluster.local", "TXT") == [("1.1.0",)]
    assert len(asked(zone, "cluster.local", "SOA")) == 1
    assert asked(zone, "cluster.local", "NS") == [(("ns", "dns", "cluster", "local"),)]


def reverse(zone, address):
    name = (*address.split(".")[::-1], "in-addr", "arpa")
    answer = zone.reverse(name, "PTR")
    return None if answer is None else sorted(".".join(record.data[0]) for record in answer.records)


def test_d56_reverse_names_of_services_and_endpoints(zone):
    assert reverse(zone, "10.96.0.20") == ["api.default.svc.cluster.local"]
    assert reverse(zone, "10.244.0.2") == ["web-0.nginx.default.svc.cluster.local"]
    assert reverse(zone, "10.244.0.4") is None
    zone.set_slice("default/nginx-x", None)
    zone.set_service("default/api", None)
    assert reverse(zone, "10.244.0.2") is None
    assert reverse(zone, "10.96.0.20") is None


def test_d56_reverse_names_of_ipv6():
    nibbles = "1" + "0" * 23 + "8bd01002"
    assert address_of((*nibbles, "ip6", "arpa")) == "2001:db8::1"
    assert address_of(("x", "ip6", "arpa")) == ""
    assert address_of(("1", "2", "in-addr", "arpa")) == ""


def test_d77_a_pod_that_comes_back_elsewhere_is_found_there_only(zone):
    zone.set_slice("default/nginx-x", slice_of("nginx", endpoint("10.244.0.99", hostname="web-0")))
    assert addresses(zone, "web-0.nginx.default.svc.cluster.local") == ["10.244.0.99"]
    assert reverse(zone, "10.244.0.2") is None


def test_slices_of_several_families_and_parts_make_one_service(zone):
    zone.set_slice("default/nginx-6", slice_of("nginx", endpoint("fd00::2", hostname="web-0"), family="IPv6"))
    zone.set_slice("default/nginx-y", slice_of("nginx", endpoint("10.244.0.50", hostname="web-50")))
    assert addresses(zone, "web-0.nginx.default.svc.cluster.local", "AAAA") == ["fd00::2"]
    assert len(addresses(zone, "nginx.default.svc.cluster.local")) == 4


def test_nothing_is_left_of_what_is_gone(zone):
    for key in ("default/nginx-x", "default/api-x"):
        zone.set_slice(key, None)
    for key in ("default/nginx", "default/api"):
        zone.set_service(key, None)
    zone.set_namespace("default", False)
    assert addresses(zone, "nginx.default.svc.cluster.local") is None
    assert addresses(zone, "default.svc.cluster.local") is None
    assert not zone._reverse
    assert not zone._slices_of
