"""What policies let pass, rule by rule of the API."""

from __future__ import annotations

import pytest

from .builders import HERE6, World, labels, namespace, pod, policy, ports

A, B, C = "10.244.0.2", "10.244.0.3", "10.244.0.4"
FAR, OUTSIDE = "10.244.7.2", "192.0.2.9"
PODS = (pod("a", A), pod("b", B), pod("c", C, namespace="other"), pod("far", FAR, node="two"))


def world(*policies, pods=PODS, here=None):
    return World(*pods, *policies, **({"here": here} if here else {}))


def test_without_a_policy_nothing_is_needed():
    made = world()
    assert not made.book.is_needed
    assert made.passes(A, B)


def test_a_policy_that_selects_no_pod_of_this_machine_is_not_needed():
    made = world(policy(podSelector=labels(name="far")), policy("q", podSelector=labels(name="nobody")))
    assert not made.book.is_needed
    assert not any(made.kernel.elements.values())


def test_an_empty_selector_selects_every_pod_of_the_policy_s_namespace_and_no_other():
    made = world(policy(podSelector={}))
    assert not made.passes(B, A)
    assert not made.passes(OUTSIDE, B)
    assert made.passes(A, C)


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        pytest.param({}, False, True, id="ingress unless something is said"),
        pytest.param({"egress": []}, False, True, id="an empty list of egress rules says nothing"),
        pytest.param({"egress": [{"ports": [{"port": 1}]}]}, False, False, id="egress rules"),
        pytest.param({"policyTypes": ["Egress"]}, True, False, id="egress alone"),
        pytest.param({"policyTypes": ["Ingress", "Egress"]}, False, False, id="both"),
        pytest.param({"policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 1}]}]}, False, True, id="as said"),
    ],
)
def test_policy_types_say_which_direction_is_isolated(spec, ingress, egress):
    made = world(policy(podSelector=labels(name="a"), **spec))
    assert made.passes(B, A) == ingress
    assert made.passes(A, B) == egress


@pytest.mark.parametrize("peers", [{}, {"from": []}])
def test_a_rule_without_peers_is_for_everybody(peers):
    made = world(policy(podSelector=labels(name="a"), ingress=[peers]))
    for source in (B, C, FAR, OUTSIDE):
        assert made.passes(source, A)


def test_no_rules_allow_nobody():
    made = world(policy(podSelector=labels(name="a"), ingress=[]))
    for source in (B, C, FAR, OUTSIDE):
        assert not made.passes(source, A)


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ({"podSelector": {}}, {B, FAR}),
        ({"podSelector": labels(name="b")}, {B}),
        ({"podSelector": {"matchExpressions": [{"key": "name", "operator": "NotIn", "values": ["b"]}]}}, {FAR}),
        ({"namespaceSelector": {}}, {B, C, FAR}),
        ({"namespaceSelector": labels(**{"kubernetes.io/metadata.name": "other"})}, {C}),
        ({"namespaceSelector": {}, "podSelector": labels(name="c")}, {C}),
        ({"namespaceSelector": labels(team="x"), "podSelector": {}}, set()),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, {B, C, FAR, OUTSIDE}),
        ({"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.0.0/24"]}}, {FAR}),
        ({"ipBlock": {"cidr": "10.244.0.9/16", "except": ["10.244.0.3/32", "10.244.7.0/24"]}}, {C}),
        ({"ipBlock": {"cidr": "::/0"}}, set()),
    ],
)
def test_peers_are_pods_by_labels_and_namespaces_or_addresses(peer, allowed):
    inward = world(policy(podSelector=labels(name="a"), ingress=[{"from": [peer]}]))
    assert {source for source in (B, C, FAR, OUTSIDE) if inward.passes(source, A)} == allowed
    outward = world(policy(podSelector=labels(name="a"), policyTypes=["Egress"], egress=[{"to": [peer]}]))
    assert {to for to in (B, C, FAR, OUTSIDE) if outward.passes(A, to)} == allowed


def test_any_of_the_peers_may():
    peers = [{"podSelector": labels(name="b")}, {"ipBlock": {"cidr": "192.0.2.0/24"}}]
    made = world(policy(podSelector=labels(name="a"), ingress=[{"from": peers}]))
    assert [made.passes(source, A) for source in (B, C, OUTSIDE)] == [True, False, True]


@pytest.mark.parametrize(
    ("listed", "allowed"),
    [
        ([{"protocol": "TCP", "port": 80}], {("tcp", 80)}),
        ([{"protocol": "TCP"}], {("tcp", 80), ("tcp", 85), ("tcp", 8080)}),
        ([{}], {("tcp", 80), ("tcp", 85), ("tcp", 8080)}),
        ([{"protocol": "TCP", "port": 80, "endPort": 90}], {("tcp", 80), ("tcp", 85)}),
        ([{"protocol": "UDP", "port": 80}, {"protocol": "SCTP", "port": 85}], {("udp", 80), ("sctp", 85)}),
        ([{"port": 80}, {"port": 8080}, {"port": 75, "endPort": 85}], {("tcp", 80), ("tcp", 85), ("tcp", 8080)}),
        ([{"protocol": "TCP", "port": "web"}], {("tcp", 8080)}),
        ([{"protocol": "UDP", "port": "web"}], set()),
        ([{"protocol": "TCP", "port": "nothing"}], set()),
        ([{"protocol": "TCP", "port": "nothing"}, {"port": 80}], {("tcp", 80)}),
    ],
)
def test_ports_are_numbers_ranges_protocols_or_names_of_the_pod_that_is_asked(listed, allowed):
    both = (pod("a", A, containers=ports(web=8080)), pod("b", B, containers=ports(web=8080)))
    asked = [(protocol, port) for protocol in ("tcp", "udp", "sctp") for port in (80, 85, 8080)]
    inward = world(policy(podSelector=labels(name="a"), ingress=[{"ports": listed}]), pods=both)
    assert {each for each in asked if inward.passes(B, A, *each)} == allowed
    spec = {"policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {}}], "ports": listed}]}
    outward = world(policy(podSelector=labels(name="a"), **spec), pods=both)
    assert {each for each in asked if outward.passes(A, B, *each)} == allowed


def test_without_ports_every_protocol_may():
    made = world(policy(podSelector=labels(name="a"), ingress=[{"from": [{"podSelector": {}}]}]))
    assert made.passes(B, A, "icmp")
    assert not made.passes(C, A, "icmp")


def test_a_name_means_what_each_pod_calls_so_with_peers_or_without():
    pods = (pod("a", A), pod("b", B, containers=ports(web=81)), pod("c", C, containers=ports(web=82)))
    made = world(policy(podSelector=labels(name="a"), egress=[{"ports": [{"port": "web"}]}]), pods=pods)
    reached = [(to, port) for to in (B, C) for port in (81, 82) if made.passes(A, to, "tcp", port)]
    assert reached == [(B, 81), (C, 82)]


def test_named_ports_of_sidecars_count_and_those_of_other_init_containers_do_not():
    inits = [
        {"name": "side", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 81}]},
        {"name": "first", "ports": [{"name": "first", "containerPort": 82}]},
    ]
    listed = [{"port": "side"}, {"port": "first"}]
    made = world(
        policy(podSelector=labels(name="a"), ingress=[{"ports": listed}]),
        pods=(pod("a", A, initContainers=inits), pod("b", B)),
    )
    assert made.passes(B, A, "tcp", 81)
    assert not made.passes(B, A, "tcp", 82)


def test_what_any_policy_allows_is_allowed():
    made = world(
        policy("deny", podSelector={}),
        policy("web", podSelector=labels(name="a"), ingress=[{"ports": [{"port": 80}]}]),
        policy("b", podSelector=labels(name="a"), ingress=[{"from": [{"podSelector": labels(name="b")}]}]),
    )
    assert made.passes(C, A, "tcp", 80)
    assert made.passes(B, A, "tcp", 81)
    assert not made.passes(C, A, "tcp", 81)
    assert not made.passes(A, B, "tcp", 80)


def test_both_ends_have_to_allow_it():
    out = policy("out", podSelector=labels(name="a"), egress=[{"to": [{"podSelector": labels(name="b")}]}])
    into = policy("in", podSelector=labels(name="b"), ingress=[{"ports": [{"port": 80}]}])
    made = world(out, into)
    assert made.passes(A, B, "tcp", 80)
    assert not made.passes(A, B, "tcp", 81), "the other end does not"
    assert not made.passes(A, C, "tcp", 80), "this end does not"
    assert made.passes(FAR, B, "tcp", 80)


def test_a_pod_reaches_itself_whatever_policies_say():
    made = world(policy(podSelector={}, policyTypes=["Ingress", "Egress"]))
    assert made.passes(A, A)
    assert not made.passes(A, B)


def test_what_is_under_way_goes_on_and_replies_pass():
    made = world(policy(podSelector={}, policyTypes=["Ingress", "Egress"]))
    assert made.passes(A, B, is_under_way=True)
    assert made.passes(A, "10.244.0.1", hook="input", is_under_way=True)


def test_pods_that_have_ended_and_pods_of_the_host_s_network_are_neither_selected_nor_peers():
    gone = [pod("gone", B, phase=phase) for phase in ("Succeeded", "Failed")]
    for other in (*gone, pod("host", B, hostNetwork=True)):
        made = world(policy(podSelector={}, ingress=[{"from": [{"podSelector": {}}]}]), pods=(pod("a", A), other))
        assert made.passes(A, B), "nobody isolates that address"
        assert not made.passes(B, A), "nobody with that address is meant"


def test_a_pod_that_terminates_counts_until_it_has():
    leaving = pod("b", B)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    made = world(policy(podSelector={}), pods=(pod("a", A), leaving))
    assert not made.passes(A, B)


def test_pods_are_known_by_all_their_addresses_in_both_families():
    six = ("fd00:10:244::2", "fd00:10:244::3", "fd00:10:244::4")
    pods = [pod(name, four, other) for name, four, other in zip("abc", (A, B, C), six, strict=True)]
    allowed = policy(podSelector=labels(name="a"), ingress=[{"from": [{"podSelector": labels(name="b")}]}])
    made = world(allowed, pods=pods, here=HERE6)
    assert [made.passes(source, six[0]) for source in six] == [True, True, False]
    block = policy(podSelector=labels(name="a"), ingress=[{"from": [{"ipBlock": {"cidr": "fd00:10:244::4/128"}}]}])
    made = world(block, pods=pods, here=HERE6)
    assert [made.passes(source, six[0]) for source in six] == [True, False, True]
    assert made.passes(six[0], "fe80::1", "nd-neighbor-solicit", hook="input")


def test_a_pod_is_isolated_by_the_address_it_has_before_its_status_says_so():
    made = World(policy(podSelector={}))
    made.put(pod("a", phase="Pending"), told=(A, "fd00:10:244::2"))
    assert made.book.is_isolated("default/a")
    made.change()
    assert not made.passes(B, A)


DNS = {"namespaceSelector": labels(**{"kubernetes.io/metadata.name": "kube-system"})}
KUBE_DNS = {**DNS, "podSelector": labels(**{"k8s-app": "kube-dns"})}
BOTH_53 = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        pytest.param({"to": [DNS], "ports": BOTH_53}, {("udp", 53), ("tcp", 53)}, id="by namespace and port"),
        pytest.param({"to": [KUBE_DNS], "ports": BOTH_53}, {("udp", 53), ("tcp", 53)}, id="by label too"),
        pytest.param({"to": [KUBE_DNS], "ports": BOTH_53[:1]}, {("udp", 53)}, id="of one protocol"),
        pytest.param({"to": [KUBE_DNS]}, {("udp", 53), ("tcp", 53)}, id="without ports"),
        pytest.param({"to": [{"namespaceSelector": {}}]}, {("udp", 53), ("tcp", 53)}, id="of all namespaces"),
        pytest.param({"to": [KUBE_DNS], "ports": [{"port": "dns-tcp"}]}, {("tcp", 53)}, id="by the port's name"),
        pytest.param({"ports": [{"protocol": "UDP", "port": "dns"}]}, {("udp", 53)}, id="by that alone"),
        pytest.param({"ports": BOTH_53}, {("udp", 53), ("tcp", 53)}, id="by number alone"),
        pytest.param({"to": [{"ipBlock": {"cidr": "10.244.0.1/32"}}], "ports": BOTH_53[:1]}, {("udp", 53)}, id="block"),
        pytest.param({"to": [{"podSelector": {}}]}, set(), id="pods of the own namespace are not meant"),
        pytest.param({"to": [{**DNS, "podSelector": labels(app="x")}]}, set(), id="other labels"),
        pytest.param({"to": [KUBE_DNS], "ports": [{"port": 80}]}, set(), id="another port"),
    ],
)
def test_cluster_dns_counts_as_a_pod_of_kube_system_at_its_port(rule, allowed):
    made = world(policy(podSelector=labels(name="a"), policyTypes=["Egress"], egress=[rule]))
    asked = [(protocol, port) for protocol in ("udp", "tcp") for port in (53, 6443)]
    assert {each for each in asked if made.passes(A, "10.244.0.1", *each, hook="input")} == allowed


def test_isolated_pods_do_not_reach_the_machine_unless_a_rule_allows_it():
    made = world(policy(podSelector=labels(name="a"), policyTypes=["Egress"]))
    assert not made.passes(A, "10.244.0.1", "tcp", 6443, hook="input")
    assert made.passes(B, "10.244.0.1", "tcp", 6443, hook="input")
    assert made.passes(OUTSIDE, "192.0.2.1", "tcp", 22, hook="input")
    made.put(policy("api", podSelector=labels(name="a"), egress=[{"ports": [{"port": 6443}]}]))
    made.change()
    assert made.passes(A, "10.244.0.1", "tcp", 6443, hook="input")


def test_a_pod_is_judged_by_its_link_whatever_address_it_gives_itself():
    made = world(
        policy(podSelector=labels(name="a"), policyTypes=["Egress"]), policy("b", podSelector=labels(name="b"))
    )
    own = made.links[A]
    assert not made.passes("fe80::7", "fe80::1", "tcp", 6443, hook="input", links=(own, ""))
    assert not made.passes("10.244.0.77", OUTSIDE, links=(own, "eth0"))
    assert not made.passes(B, B, links=(own, made.links[B])), "and does not pass for somebody who reaches himself"


def test_no_pod_sends_under_the_address_of_one_that_may():
    made = world(policy(podSelector=labels(name="a"), ingress=[{"from": [{"podSelector": labels(name="b")}]}]))
    own, other = made.links[A], made.links[C]
    assert made.passes(B, A)
    assert not made.passes(B, A, links=(other, own))
    assert made.passes(FAR, C, links=("eth0", other)), "another machine's pods are its business"


def test_dns_is_meant_by_the_labels_that_its_namespace_has_now():
    by_team = {"namespaceSelector": labels(team="x")}
    made = world(policy(podSelector=labels(name="a"), policyTypes=["Egress"], egress=[{"to": [by_team]}]))
    assert not made.passes(A, "10.244.0.1", "udp", 53, hook="input")
    made.put(namespace("kube-system", team="x"))
    made.change()
    assert made.passes(A, "10.244.0.1", "udp", 53, hook="input")


def test_a_policy_with_a_very_long_name_has_chains_that_the_kernel_can_name():
    made = world(policy("x" * 253, podSelector={}, ingress=[{}]), policy("x" * 252 + "y", podSelector={}))
    assert made.passes(B, A)
    assert max(map(len, made.kernel.chains)) < 200
