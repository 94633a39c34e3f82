"""Changes of the table end where a full build ends, each of them by legal commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.network.services.routes import routes
from holdfast.network.services.rules import fragment, probe, service_table
from holdfast.network.tables.table import removal

from .builders import HERE, HERE6, TWO_NODES, Kernel, endpoint, service, slice_of

NAMES = ("a", "b", "c")
POLICIES = st.sampled_from(("Cluster", "Local"))


@st.composite
def services(draw):
    """A service with few possible addresses, so that several want the same ones."""
    ports = [
        {"name": f"p{n}", "port": port, "protocol": protocol, "nodePort": draw(st.sampled_from((0, 30000, 30001)))}
        for n, (protocol, port) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from(("TCP", "UDP")), st.integers(80, 81)), max_size=3, unique=True))
        )
    ]
    affinity = draw(st.sampled_from((0, 60, 10800)))
    made = service(
        ip=f"10.96.0.{draw(st.integers(1, 2))}",
        ports=ports,
        externalIPs=draw(st.lists(st.sampled_from(("198.51.100.1", "198.51.100.2")), unique=True)),
        internalTrafficPolicy=draw(POLICIES),
        externalTrafficPolicy=draw(POLICIES),
        sessionAffinity="ClientIP" if affinity else "None",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": affinity}},
    )
    pods = draw(st.lists(st.tuples(st.sampled_from(("one", "two", "far")), st.integers(2, 4)), max_size=4, unique=True))
    listed = [endpoint(f"10.244.{('one', 'two', 'far').index(node)}.{n}", node) for node, n in pods]
    slices = [
        slice_of(*listed, name=f"{port['name']}-{port['protocol']}")
        | {"ports": [{"name": port["name"], "port": 8080, "protocol": port["protocol"]}]}
        for port in ports
    ]
    return made, slices


def of(name, wanted, machine):
    manifest, slices = wanted
    manifest = {**manifest, "metadata": {**manifest["metadata"], "name": name}}
    return fragment(routes(manifest, slices, tuple(machine.nodes), machine.family.name), machine)


ROUNDS = st.lists(st.dictionaries(st.sampled_from(NAMES), st.none() | services(), min_size=1), min_size=1, max_size=6)


@given(ROUNDS, st.sampled_from((HERE, TWO_NODES, replace(TWO_NODES, draws_in_maps=False))))
@settings(max_examples=30, deadline=None)
def test_any_history_of_changes_ends_in_the_table_of_a_full_build(rounds, machine):
    table, kernel, now = service_table("t", machine), Kernel(), {}
    kernel.run(table.full())
    for changed in rounds:
        for name, wanted in changed.items():
            now[name] = None if wanted is None else of(name, wanted, machine)
            table.set(name, now[name])
        kernel.run(table.changes())
    fresh, expected = service_table("t", machine), Kernel()
    for name, wanted in reversed(now.items()):
        fresh.set(name, wanted)
    expected.run(fresh.full())
    assert kernel.state == expected.state


def test_a_change_names_only_the_service_that_changed():
    table = service_table("t", HERE)
    for n in range(100):
        table.set(f"s{n}", of(f"s{n}", (service(ip=f"10.96.0.{n}"), [slice_of(endpoint("10.244.0.2"))]), HERE))
    table.full()
    table.set("s7", of("s7", (service(ip="10.96.0.7"), [slice_of(endpoint("10.244.0.3"))]), HERE))
    assert sorted(table.changes().splitlines(), reverse=True) == [
        "delete element ip t to-1 { 10.96.0.7 . tcp . 80 }",
        "add element ip t to-1 { 10.96.0.7 . tcp . 80 : 10.244.0.3 . 8080 }",
        "add element ip t endpoints { 10.244.0.3 . 10.244.0.3 }",
    ]


def test_what_changed_and_changed_back_is_no_change():
    table, one = service_table("t", HERE), of("a", (service(), [slice_of(endpoint("10.244.0.2"))]), HERE)
    table.set("a", one)
    table.full()
    table.set("a", None)
    table.set("a", one)
    assert table.changes() == ""


def test_of_two_services_with_one_external_address_the_first_has_it_until_it_goes():
    table, kernel = service_table("t", HERE), Kernel()
    for name, address in (("b", "10.244.0.3"), ("a", "10.244.0.2")):
        table.set(name, of(name, (service(externalIPs=["198.51.100.1"]), [slice_of(endpoint(address))]), HERE))
    kernel.run(table.full())
    at = "198.51.100.1 . tcp . 80"
    assert kernel.elements["to-1"][at] == "10.244.0.2 . 8080"
    table.set("a", None)
    kernel.run(table.changes())
    assert kernel.elements["to-1"][at] == "10.244.0.3 . 8080"


# The kernel itself, in a network namespace that ends with the program

HISTORY = [
    {"a": (service(), [slice_of(endpoint("10.244.0.2"), endpoint("10.244.1.2", "two"))])},
    {
        "a": (
            service(sessionAffinity="ClientIP", internalTrafficPolicy="Local", externalIPs=["198.51.100.1"]),
            [slice_of(endpoint("10.244.0.2"), endpoint("10.244.1.2", "two"))],
        ),
        "b": (service(ip="10.96.0.11", ports=[{"name": "http", "port": 80, "nodePort": 30000}]), [slice_of()]),
    },
    {"b": (service(ip="10.96.0.11", ports=[{"name": "http", "port": 80, "nodePort": 30000, "protocol": "UDP"}],
                   externalTrafficPolicy="Local"), [slice_of(endpoint("10.244.0.3"), protocol="UDP")])},
    {"b": (service(ip="10.96.0.11", ports=[{"name": "http", "port": 80, "nodePort": 30000}],
                   externalIPs=["198.51.100.2"]), [slice_of(endpoint("10.244.0.3"), endpoint("10.244.0.4"))])},
    {"a": (service(sessionAffinity="ClientIP"), [slice_of(endpoint("10.244.0.2"))])},
    {"b": (service(ip="10.96.0.11"), [slice_of(*(endpoint(f"10.244.0.{n}") for n in range(2, 40)))])},
    {"a": None, "c": (service(), [slice_of(endpoint("10.244.0.2"))])},
    {"b": (service(ip="10.96.0.11"), [slice_of(*(endpoint(f"10.244.0.{n}") for n in range(3, 40)))])},
]  # fmt: skip


def of_ipv6(history):
    """The same in the other family."""
    text = json.dumps(history)
    for four, six in (
        ("10.244.0.", "fd00:10:244::"),
        ("10.244.1.", "fd00:10:244:1::"),
        ("10.96.0.", "fd00:10:96::"),
        ("198.51.100.", "2001:db8::"),
        ("IPv4", "IPv6"),
    ):
        text = text.replace(four, six)
    return json.loads(text)


def can_try_rules():
    return os.geteuid() == 0 and shutil.which("unshare") and shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")


@pytest.mark.live
@pytest.mark.skipif(not can_try_rules(), reason="needs root, unshare and nft")
def test_the_probe_is_taken_and_leaves_nothing():
    assert in_kernel([probe("t")]) == ""


@pytest.mark.live
@pytest.mark.skipif(not can_try_rules(), reason="needs root, unshare and nft")
@pytest.mark.parametrize("draws_in_maps", [True, False])
@pytest.mark.parametrize(
    ("here", "history", "entrance"),
    [
        pytest.param(TWO_NODES, HISTORY, "10.96.0.10 . tcp . 80 : 10.244.0.2 . 8080", id="IPv4"),
        pytest.param(HERE6, of_ipv6(HISTORY), "fd00:10:96::10 . tcp . 80 : fd00:10:244::2 . 8080", id="IPv6"),
    ],
)
def test_the_kernel_takes_every_change_and_ends_as_after_a_full_build(here, history, entrance, draws_in_maps):
    here = replace(here, draws_in_maps=draws_in_maps)
    table, now, transactions = service_table("t", here), {}, []
    transactions.append(table.full())
    for changed in history:
        for name, wanted in changed.items():
            now[name] = None if wanted is None else of(name, wanted, here)
            table.set(name, now[name])
        transactions.append(table.changes())
    fresh = service_table("t", here)
    for name, wanted in now.items():
        fresh.set(name, wanted)
    step_by_step, at_once = in_kernel(transactions), in_kernel([fresh.full()])
    assert sorted(step_by_step.splitlines()) == sorted(at_once.splitlines())
    assert "goto svc-default/b/tcp-80" in at_once
    assert (entrance in at_once) is draws_in_maps
    assert in_kernel([*transactions, removal(f"{here.family.word} t")]) == ""


def in_kernel(transactions):
    script = "".join(f"nft -f - <<'END' || exit 1\n{text}END\n" for text in transactions) + "nft list ruleset\n"
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
