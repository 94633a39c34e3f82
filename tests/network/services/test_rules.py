"""What the kernel is told about a service: D40 to D49."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.network.services.routes import host_routes, routes
from holdfast.network.services.rules import fragment, shared_chains, shared_sets

from .builders import HERE, HERE6, TWO_NODES, endpoint, pod_with_port, service, slice_of

TCP = "default/web/tcp-80"


def made(manifest, *endpoints, machine=HERE):
    return fragment(routes(manifest, [slice_of(*endpoints)], tuple(machine.nodes), machine.family.name), machine)


def test_d40_one_endpoint_is_gone_to_directly_and_several_are_chosen_from_at_random():
    one = made(service(), endpoint("10.244.0.2"))
    assert one.elements["to-1", "10.96.0.10 . tcp . 80"] == "10.244.0.2 . 8080"
    three = made(service(), *(endpoint(f"10.244.0.{n}") for n in (2, 3, 4)))
    assert {key: to for (name, key), to in three.elements.items() if name == "to-3"} == {
        "10.96.0.10 . tcp . 80 . 0": "10.244.0.2 . 8080",
        "10.96.0.10 . tcp . 80 . 1": "10.244.0.3 . 8080",
        "10.96.0.10 . tcp . 80 . 2": "10.244.0.4 . 8080",
    }
    assert "numgen random mod 3 map @to-3" in shared_chains(HERE)["find-endpoint"][2]


def test_a_service_of_a_cluster_address_alone_has_no_chains_so_that_its_changes_cost_the_same_among_any_number():
    assert made(service(), *(endpoint(f"10.244.0.{n}") for n in range(16))).chains == {}


def test_where_maps_cannot_draw_every_service_has_chains_of_its_own():
    old = replace(HERE, draws_in_maps=False)
    one = made(service(), endpoint("10.244.0.2"), machine=old)
    assert one.elements["services", "10.96.0.10 . tcp . 80"] == f"goto svc-{TCP}"
    assert one.chains == {f"svc-{TCP}": ("meta l4proto tcp dnat ip to 10.244.0.2:8080",)}
    assert "find-endpoint" not in str(shared_chains(old))
    assert not any("numgen" in declared for declared in shared_sets(old).values())


def test_ports_of_the_machine_and_external_addresses_are_elements_too():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    spec = {"type": "LoadBalancer", "ports": ports, "externalIPs": ["198.51.100.7"]}
    two = made(service(**spec), *(endpoint(f"10.244.0.{n}") for n in (2, 3)))
    assert two.chains == {}
    assert {f"{name} {key}" for name, key in two.elements if key.endswith(" . 1")} == {
        "to-2 10.96.0.10 . tcp . 80 . 1",
        "to-2 198.51.100.7 . tcp . 80 . 1",
        "at-2 tcp . 30080 . 1",
    }
    assert ("external", "198.51.100.7 . tcp . 80") in two.elements
    assert ("drawn-node-ports", "tcp . 30080") in two.elements


def test_d43_who_comes_in_by_them_is_hidden():
    chains = shared_chains(HERE)
    assert chains["find-external"][0] == chains["find-node-port"][0] == "jump mark-for-masquerade"
    assert chains["find-node-port"][3].endswith("dnat ip to meta l4proto . th dport . numgen random mod 3 map @at-3")


@pytest.mark.parametrize("spec", [{}, {"externalTrafficPolicy": "Local"}])
def test_a_policy_for_traffic_from_outside_matters_only_to_who_is_reached_from_there(spec):
    assert made(service(**spec), endpoint("10.244.0.2")).chains == {}


def test_where_maps_cannot_draw_endpoints_are_a_rule_each():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    manifest, old = service(type="NodePort", ports=ports), replace(HERE, draws_in_maps=False)
    three = made(manifest, *(endpoint(f"10.244.0.{n}") for n in (2, 3, 4)), machine=old)
    assert three.chains[f"svc-{TCP}"] == (
        "numgen random mod 3 == 0 meta l4proto tcp dnat ip to 10.244.0.2:8080",
        "numgen random mod 2 == 0 meta l4proto tcp dnat ip to 10.244.0.3:8080",
        "meta l4proto tcp dnat ip to 10.244.0.4:8080",
    )
    assert three.elements["services", "10.96.0.10 . tcp . 80"] == f"goto svc-{TCP}"


def test_many_endpoints_are_one_rule_so_that_choosing_does_not_take_longer():
    (rule,) = made(service(), *(endpoint(f"10.244.0.{n}") for n in range(100))).chains[f"svc-{TCP}"]
    assert rule.startswith("meta l4proto tcp dnat ip to numgen random mod 100 map { 0 : 10.244.0.0 . 8080, 1 : ")


def test_d42_d74_without_endpoints_the_address_is_known_and_leads_nowhere_so_that_it_is_refused():
    empty = made(service(type="NodePort", externalIPs=["198.51.100.7"], ports=[{"port": 80, "nodePort": 30080}]))
    assert empty.chains == {}
    assert set(empty.elements) == {
        ("cluster-ips", "10.96.0.10"),
        ("refused", "198.51.100.7 . tcp . 80"),
        ("refused-node-ports", "tcp . 30080"),
    }


def test_r91_what_is_refused_over_tcp_is_refused_with_a_reset():
    assert shared_chains(HERE)["refuse"][0] == "meta l4proto tcp reject with tcp reset"


def test_d43_d44_d80_a_pod_that_reaches_itself_is_masqueraded_and_others_keep_their_address():
    elements = made(service(), endpoint("10.244.0.2"), endpoint("10.244.0.3")).elements
    assert {key for name, key in elements if name == "endpoints"} == {
        "10.244.0.2 . 10.244.0.2",
        "10.244.0.3 . 10.244.0.3",
    }


def external(policy, *endpoints, machine=HERE):
    manifest = service(
        type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}], externalTrafficPolicy=policy
    )
    return made(manifest, *endpoints, machine=machine)


def test_d43_a_node_port_hides_the_client_unless_it_keeps_to_local_endpoints():
    old = replace(HERE, draws_in_maps=False)
    assert external("Cluster", endpoint("10.244.0.2"), machine=old).chains[f"ext-{TCP}"] == (
        "jump mark-for-masquerade",
        f"goto svc-{TCP}",
    )
    local = external("Local", endpoint("10.244.0.2")).chains[f"ext-{TCP}"]
    assert local[-1] == f"goto local-{TCP}"
    assert local[:-1] == (
        f"ip saddr 10.244.0.0/16 goto svc-{TCP}",
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto svc-{TCP}",
    )


def test_d42_from_outside_endpoints_elsewhere_only_are_dropped_under_local():
    found = external("Local", endpoint("10.9.9.9", "far"))
    assert found.chains[f"ext-{TCP}"][-1] == "drop"
    assert f"local-{TCP}" not in found.chains
    assert found.elements["node-ports", "tcp . 30080"] == f"goto ext-{TCP}"


def test_d42_d49_inside_local_keeps_to_the_node_and_drops_where_it_has_none():
    manifest = service(internalTrafficPolicy="Local")
    assert made(manifest, endpoint("10.9.9.9", "far")).chains[f"int-{TCP}"] == ("drop",)
    assert made(manifest, endpoint("10.244.0.2")).chains[f"int-{TCP}"] == (f"goto local-{TCP}",)
    assert ("services", "10.96.0.10 . tcp . 80") not in made(manifest).elements


def test_d49_of_two_nodes_on_one_machine_each_pod_gets_its_own_nodes_endpoints_under_local():
    manifest = service(internalTrafficPolicy="Local")
    both = made(manifest, endpoint("10.244.0.2"), endpoint("10.244.1.2", "two"), machine=TWO_NODES).chains
    assert both[f"int-{TCP}"] == (
        f"ip saddr 10.244.0.0/24 goto node-{TCP}/one",
        f"ip saddr 10.244.1.0/24 goto node-{TCP}/two",
        f"goto local-{TCP}",
    )
    assert both[f"node-{TCP}/two"] == ("meta l4proto tcp dnat ip to 10.244.1.2:8080",)
    one = made(manifest, endpoint("10.244.0.2"), machine=TWO_NODES).chains
    assert one[f"int-{TCP}"] == ("ip saddr 10.244.1.0/24 drop", f"goto local-{TCP}")


def test_d45_with_affinity_every_endpoint_remembers_its_clients():
    found = made(service(sessionAffinity="ClientIP"), endpoint("10.244.0.2"), endpoint("10.244.0.3"))
    clients = f"clients-{TCP}/10.244.0.2.8080-10800"
    assert "timeout 10800s" in found.sets[clients]
    assert found.chains[f"ep-{TCP}/10.244.0.2.8080"][0] == f"update @{clients} {{ ip saddr }}"
    assert found.chains[f"svc-{TCP}"][0] == f"ip saddr @{clients} goto ep-{TCP}/10.244.0.2.8080"
    assert found.chains[f"svc-{TCP}"][2:] == (
        f"numgen random mod 2 == 0 goto ep-{TCP}/10.244.0.2.8080",
        f"goto ep-{TCP}/10.244.0.3.8080",
    )


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_other_protocols_are_routed_alike(protocol):
    manifest = service(ports=[{"name": "http", "port": 53, "protocol": protocol}])
    slices = [slice_of(endpoint("10.244.0.2"), protocol=protocol)]
    found = fragment(routes(manifest, slices, ["one"]), HERE)
    name = protocol.lower()
    assert found.elements["to-1", f"10.96.0.10 . {name} . 53"] == "10.244.0.2 . 8080"


def test_pods_of_other_clusters_are_left_to_their_own_rules():
    assert (
        'iifname "hf*" ip saddr != 10.244.0.0/16 ip daddr 10.96.0.0/16 return' in shared_chains(HERE)["nat-prerouting"]
    )


def test_a_host_port_is_found_like_a_node_port_and_has_no_cluster_address():
    one = fragment(host_routes(pod_with_port(8080)), HERE)
    assert one.chains == {}
    assert one.elements == {
        ("endpoints", "10.244.0.9 . 10.244.0.9"): "",
        ("drawn-node-ports", "tcp . 8080"): "",
        ("at-1", "tcp . 8080"): "10.244.0.9 . 5432",
    }


def test_a_host_port_of_one_address_is_found_by_that_address_only():
    one = fragment(host_routes(pod_with_port(8080, host_ip="127.0.0.1")), HERE)
    assert one.elements["to-1", "127.0.0.1 . tcp . 8080"] == "10.244.0.9 . 5432"
    assert not any("node-ports" in name for name, _ in one.elements)


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(pod_with_port(8080, address=""), id="no address yet"),
        pytest.param(pod_with_port(8080, phase="Succeeded"), id="ended"),
        pytest.param(pod_with_port(8080, hostNetwork=True), id="it has the host's network anyway"),
        pytest.param(pod_with_port(0), id="no host port"),
    ],
)
def test_who_has_no_host_port(pod):
    assert host_routes(pod) == ()


def both(**spec):
    families = {"clusterIPs": ["10.96.0.10", "fd00:10:96::10"], "ipFamilies": ["IPv4", "IPv6"]}
    return service(**families, **spec)


def test_d40_a_service_of_two_families_is_routed_in_each_by_itself():
    four = made(both(), endpoint("10.244.0.2"))
    six = made(both(), endpoint("fd00:10:244::2"), machine=HERE6)
    assert four.elements["to-1", "10.96.0.10 . tcp . 80"] == "10.244.0.2 . 8080"
    assert six.elements["to-1", "fd00:10:96::10 . tcp . 80"] == "fd00:10:244::2 . 8080"
    assert ("cluster-ips", "fd00:10:96::10") in six.elements
    assert not any("10.96" in key or "10.244" in key for _, key in six.elements)


def test_d46_a_node_port_is_of_the_families_of_its_service():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    assert ("drawn-node-ports", "tcp . 30080") in made(both(ports=ports), endpoint("fd00::2"), machine=HERE6).elements
    assert made(service(ports=ports), endpoint("10.244.0.2"), machine=HERE6).elements == {}
    assert "ip6 daddr != ::1 fib daddr type local" in str(shared_chains(HERE6)["find-service"]), "the kernel cannot"


def test_d45_names_of_affine_endpoints_can_be_read_by_nftables():
    found = made(both(sessionAffinity="ClientIP"), endpoint("fd00:10:244::2"), machine=HERE6)
    clients = f"clients-{TCP}/fd00-10-244--2.8080-10800"
    assert found.sets[clients].startswith("type ipv6_addr;")
    assert found.chains[f"ep-{TCP}/fd00-10-244--2.8080"] == (
        f"update @{clients} {{ ip6 saddr }}",
        "meta l4proto tcp dnat ip6 to [fd00:10:244::2]:8080",
    )


def test_d42_refusals_are_said_in_the_familys_words():
    assert shared_chains(HERE6)["refuse"] == (
        "meta l4proto tcp reject with tcp reset",
        "reject with icmpv6 port-unreachable",
    )
    assert not any(" ip " in f" {rule} " for rules in shared_chains(HERE6).values() for rule in rules)


@pytest.mark.parametrize(
    ("host_ip", "entrances"),
    [
        ("", [("tcp . 8080", "10.244.0.9 . 5432"), ("tcp . 8080", "fd00:10:244::9 . 5432")]),
        ("0.0.0.0", [("tcp . 8080", "10.244.0.9 . 5432")]),
        ("::", [("tcp . 8080", "fd00:10:244::9 . 5432")]),
        ("192.0.2.2", [("192.0.2.2 . tcp . 8080", "10.244.0.9 . 5432")]),
        ("fd00::2", [("fd00::2 . tcp . 8080", "fd00:10:244::9 . 5432")]),
    ],
)
def test_d4_a_host_port_is_of_the_family_of_its_address_or_of_both(host_ip, entrances):
    pod = pod_with_port(8080, host_ip=host_ip)
    pod["status"]["podIPs"] = [{"ip": "10.244.0.9"}, {"ip": "fd00:10:244::9"}]
    found = []
    for machine in (HERE, HERE6):
        elements = fragment(host_routes(pod, machine.family.name), machine).elements
        found += [(key, to) for (name, key), to in elements.items() if name in ("to-1", "at-1")]
    assert found == entrances
