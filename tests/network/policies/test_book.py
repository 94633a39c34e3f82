"""Whom a change concerns: any history of changes ends where a full build ends, and a small change is small."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.network.tables.nftables import SEARCH, open_nftables
from holdfast.world import linux

from .builders import HERE, HERE6, World, labels, namespace, pod, policy, ports

NAMES = ("a", "b", "c")
SELECTORS = st.sampled_from(({}, labels(app="x"), labels(app="y"), labels(name="a")))
PEERS = st.one_of(
    st.fixed_dictionaries({"podSelector": SELECTORS}),
    st.fixed_dictionaries({"namespaceSelector": st.sampled_from(({}, labels(team="x")))}),
    st.fixed_dictionaries({"namespaceSelector": st.just({}), "podSelector": SELECTORS}),
    st.just({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16", "10.96.0.0/16"]}}),
    st.just({"ipBlock": {"cidr": "fd00::/8"}}),
)
PORTS = st.sampled_from(
    (
        {"port": "web"},
        {"protocol": "UDP"},
        {"port": 1, "endPort": 9},
        {"port": 5},
        {"port": "dns"},
        {"protocol": "SCTP", "port": 7},
    )
)


def rules(peers):
    return st.lists(
        st.fixed_dictionaries({}, optional={peers: st.lists(PEERS, max_size=2), "ports": st.lists(PORTS, max_size=3)}),
        max_size=2,
    )


@st.composite
def policies(draw):
    types = draw(st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"])))
    spec = {"podSelector": draw(SELECTORS), "ingress": draw(rules("from")), "egress": draw(rules("to"))}
    return policy(draw(st.sampled_from(NAMES)), draw(st.sampled_from(("default", "other"))), policyTypes=types, **spec)


@st.composite
def pods(draw):
    """With few possible addresses, so that several pods have the same one."""
    return pod(
        draw(st.sampled_from(NAMES)),
        f"10.244.0.{draw(st.integers(2, 4))}",
        f"fd00:10:244::{draw(st.integers(2, 4))}",
        namespace=draw(st.sampled_from(("default", "other"))),
        node=draw(st.sampled_from(("one", "two"))),
        labels={"app": draw(st.sampled_from(("x", "y")))},
        containers=draw(st.sampled_from((ports(web=80), ports(web=81, other=82), [{"name": "main"}]))),
    )


@st.composite
def namespaces(draw):
    name = draw(st.sampled_from(("default", "other", "kube-system")))
    return namespace(name, **draw(st.sampled_from(({}, {"team": "x"}))))


CHANGES = st.lists(st.tuples(st.one_of(policies(), pods(), namespaces()), st.booleans()), min_size=1, max_size=6)


def key_of(manifest):
    metadata = manifest["metadata"]
    kind = "pod" if "containers" in manifest.get("spec", {}) else "policy" if "spec" in manifest else "namespace"
    return kind, metadata.get("namespace"), metadata["name"]


def play(made, rounds):
    """What is there in the end."""
    now = {}
    for changes in rounds:
        for manifest, goes in changes:
            key = key_of(manifest)
            if goes and key in now and key[0] != "namespace":
                made.remove(now.pop(key))
            else:
                made.put(manifest)
                now[key] = manifest
        made.change()
    return now


@given(st.lists(CHANGES, min_size=1, max_size=5), st.sampled_from((HERE, HERE6)))
@settings(max_examples=150, deadline=None)
def test_any_history_of_changes_ends_in_the_table_of_a_full_build(rounds, here):
    made = World(here=here)
    now = play(made, rounds)
    fresh = World(*reversed(now.values()), here=here)
    assert made.kernel.state == fresh.kernel.state
    assert made.book.is_needed == fresh.book.is_needed == bool(fresh.kernel.elements["selves"])


@pytest.mark.live
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft", path=SEARCH) is None, reason="needs root and nftables in a namespace"
)
def test_nftables_takes_every_change():
    def inside():
        linux.unshare(linux.CLONE_NEWNET)
        nftables = open_nftables()

        @given(st.lists(CHANGES, min_size=1, max_size=4), st.sampled_from((HERE, HERE6)))
        @settings(max_examples=40, deadline=None)
        def takes(rounds, here):
            made = World(here=here)
            nftables.run(made.table.full())
            change = made.change

            def both():
                text = change()
                if text:
                    nftables.run(text)
                return text

            made.change = both
            play(made, rounds)
            nftables.run(made.table.full())

        takes()

    linux.in_new_thread(inside)


def crowd(count, **more):
    return [pod(f"p{n}", f"10.244.{n // 250}.{n % 250 + 2}", labels={"app": "x"}, **more) for n in range(count)]


def test_another_label_of_one_pod_changes_a_few_elements_among_many():
    peers = [{"from": [{"podSelector": labels(app="x")}]}]
    many = [policy(f"q{n}", podSelector=labels(name=f"p{n}"), ingress=peers) for n in range(20)]
    made = World(*crowd(200), *many, policy("y", podSelector=labels(app="y")))
    made.put(pod("p7", "10.244.0.9", labels={"app": "y"}))
    lines = made.change().splitlines()
    assert len(lines) <= 12, lines
    assert not any(other in line for line in lines for other in ("10.244.0.8 ", "10.244.0.10 ", "q6", "q8")), lines


def test_a_policy_that_says_something_else_leaves_pods_and_peers_alone():
    peers = [{"podSelector": labels(app="x")}]
    made = World(*crowd(200), policy("q", podSelector={}, ingress=[{"from": peers}]))
    made.put(policy("q", podSelector={}, ingress=[{"from": peers, "ports": [{"port": 80}]}]))
    assert sorted(line.split("{")[0].strip() for line in made.change().splitlines()) == [
        f"add rule ip t in-default/q ip saddr @{next(name for name in made.kernel.sets if name.startswith('peers'))} "
        "tcp dport 80 accept",
        "flush chain ip t in-default/q",
    ]


def test_what_is_gone_leaves_nothing():
    deny = policy("deny", podSelector={}, ingress=[{"from": [{"namespaceSelector": {}}], "ports": [{"port": "web"}]}])
    made = World(*crowd(5, containers=ports(web=80)), deny)
    assert made.book.is_needed
    made.remove(deny)
    made.change()
    assert not made.book.is_needed
    empty = World()
    assert made.kernel.state == empty.kernel.state


def test_policies_of_other_machines_pods_cost_nothing_here():
    made = World(*crowd(5, node="two"), policy(podSelector={}, ingress=[{"from": [{"podSelector": {}}]}]))
    assert made.kernel.state == World().kernel.state
