"""Where requests to /proxy go, and which go nowhere (A157)."""

from __future__ import annotations

import random

import pytest

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.errors import ApiError, BadRequest, NotFound, ServiceUnavailable
from holdfast.apiserver.streams.proxy_targets import Location, locate


def pod(ip="10.1.0.5", *ports):
    container = {"name": "main", "ports": [{"containerPort": port} for port in ports]}
    status = {"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {}
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "first"}, container]}, "status": status}


def service(*ports):
    return {"metadata": {"name": "s"}, "spec": {"ports": [{"name": name, "port": port} for name, port in ports]}}


def endpoints(*addresses, ports=(("http", 8080),), namespace="ns"):
    ready = [{"ip": ip, "targetRef": {"kind": "Pod", "namespace": namespace, "name": name}} for name, ip in addresses]
    return {"subsets": [{"addresses": ready, "ports": [{"name": name, "port": port} for name, port in ports]}]}


def node(**status):
    metadata = {"name": "n", "annotations": {"holdfast.dev/agent-address": "127.0.0.1:4711"}}
    return {"metadata": metadata, "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}], **status}}


def find_in(*objects):
    known = {(resource.plural, name): manifest for resource, name, manifest in objects}

    def find(resource, namespace, name):
        try:
            return known[resource.plural, name]
        except KeyError:
            raise NotFound(f'{resource.plural} "{name}" not found') from None

    return find


def to(resource, asked, *objects):
    return locate(resource, "ns", asked, find_in(*objects), random.Random(1))


def refusal(resource, asked, *objects):
    with pytest.raises(ApiError) as caught:
        to(resource, asked, *objects)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("p", Location("http", "10.1.0.5", "8080")),
        ("p:9090", Location("http", "10.1.0.5", "9090")),
        ("http:p:9090", Location("http", "10.1.0.5", "9090")),
        ("https:p:", Location("https", "10.1.0.5", "8080")),
        ("https:p:https", Location("https", "10.1.0.5", "https")),
        (":p:1", Location("http", "10.1.0.5", "1")),
    ],
)
def test_a_pod_is_asked_at_its_first_port_unless_told_otherwise(asked, location):
    assert to(PODS, asked, (PODS, "p", pod("10.1.0.5", 8080, 9090))) == location


def test_a_pod_without_ports_is_asked_at_the_schemes_own():
    assert to(PODS, "p", (PODS, "p", pod())).authority == "10.1.0.5"
    assert to(PODS, "p:80", (PODS, "p", pod("fd00::1"))).authority == "[fd00::1]:80"


@pytest.mark.parametrize("asked", ["ftp:p:80", "a:b:c:d", ":80", "http::80", ""])
@pytest.mark.parametrize(("resource", "kind"), [(PODS, "pod"), (SERVICES, "service"), (NODES, "node")])
def test_a_name_that_is_none_is_refused(resource, kind, asked):
    assert refusal(resource, asked) == (BadRequest, f'invalid {kind} request "{asked}"')


@pytest.mark.parametrize(
    "ip", ["", "127.0.0.1", "127.9.9.9", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "fe80::1",
           "::ffff:127.0.0.1", "example.org", "2001:db8::1%x/@127.0.0.1", "fe80::1%eth0"],
)  # fmt: skip
def test_only_addresses_of_others_are_dialed(ip):
    """A pod's status, endpoints and nodes are written by clients: none of them may open this machine's own services."""
    assert refusal(PODS, "p:80", (PODS, "p", pod(ip))) == (BadRequest, "address not allowed")
    assert refusal(SERVICES, "s:http", (ENDPOINTS, "s", endpoints(("p", ip))), (PODS, "p", pod(ip))) == (
        ServiceUnavailable,
        'no endpoints available for service "s:http"',
    )
    addresses = [{"type": "InternalIP", "address": ip}]
    assert refusal(NODES, "n:80", (NODES, "n", node(addresses=addresses))) == (BadRequest, "address not allowed")


@pytest.mark.parametrize("asked", ["s:http", "s:80", "http:s:80"])
def test_a_service_is_asked_by_the_name_or_the_number_of_its_port(asked):
    objects = [
        (SERVICES, "s", service(("http", 80))),
        (ENDPOINTS, "s", endpoints(("p", "10.1.0.5"))),
        (PODS, "p", pod()),
    ]
    assert to(SERVICES, asked, *objects) == Location("http", "10.1.0.5", "8080")
    assert to(SERVICES, "https:s:http", *objects) == Location("https", "10.1.0.5", "8080")


def test_a_services_only_port_may_have_no_name():
    objects = [(ENDPOINTS, "s", endpoints(("p", "10.1.0.5"), ports=(("", 8080),))), (PODS, "p", pod())]
    assert to(SERVICES, "s", *objects) == Location("http", "10.1.0.5", "8080")


def test_every_endpoint_is_asked_sometimes():
    pods = {f"p{n}": f"10.1.0.{n}" for n in range(1, 4)}
    objects = [(PODS, name, pod(ip)) for name, ip in pods.items()]
    find = find_in((ENDPOINTS, "s", endpoints(*pods.items())), *objects)
    chance = random.Random(1)
    assert {locate(SERVICES, "ns", "s:http", find, chance).host for _ in range(50)} == set(pods.values())


@pytest.mark.parametrize(
    ("asked", "objects", "kind", "text"),
    [
        ("s", [], NotFound, 'endpoints "s" not found'),
        ("s:80", [], NotFound, 'services "s" not found'),
        ("s:81", [(SERVICES, "s", service(("http", 80)))], ServiceUnavailable,
         'no service port 81 found for service "s"'),
        ("s:http", [(ENDPOINTS, "s", {})], ServiceUnavailable, 'no endpoints available for service "s"'),
        ("s:web", [(ENDPOINTS, "s", endpoints(("p", "10.1.0.5"))), (PODS, "p", pod())], ServiceUnavailable,
         'no endpoints available for service "s:web"'),
    ],
)  # fmt: skip
def test_a_service_that_leads_nowhere_says_so(asked, objects, kind, text):
    assert refusal(SERVICES, asked, *objects) == (kind, text)


@pytest.mark.parametrize(
    "objects",
    [
        [(ENDPOINTS, "s", endpoints(("p", "10.9.9.9"))), (PODS, "p", pod())],
        [(ENDPOINTS, "s", endpoints(("gone", "10.1.0.5")))],
        [(ENDPOINTS, "s", endpoints(("p", "10.1.0.5"), namespace="other")), (PODS, "p", pod())],
        [(ENDPOINTS, "s", {"subsets": [{"addresses": [{"ip": "10.1.0.5"}], "ports": [{"name": "http", "port": 1}]}]}),
         (PODS, "p", pod())],
    ],
    ids=["another address", "no such pod", "another namespace", "no pod at all"],
)  # fmt: skip
def test_an_endpoint_that_is_no_pod_of_the_namespace_is_passed_over(objects):
    assert refusal(SERVICES, "s:http", *objects) == (
        ServiceUnavailable,
        'no endpoints available for service "s:http"',
    )


def test_a_node_is_its_agent_unless_another_port_is_asked_for():
    agent = Location("https", "127.0.0.1", "4711", agent_of="n")
    assert to(NODES, "n", (NODES, "n", node())) == agent
    assert to(NODES, "https:n:4711", (NODES, "n", node())) == agent
    assert to(NODES, "n:9100", (NODES, "n", node())) == Location("http", "192.0.2.7", "9100")
    assert refusal(NODES, "n") == (NotFound, 'nodes "n" not found')
