"""What a node's agent is given where the pods' network is not the machine's."""

import pytest

from holdfast.cluster import node_parts
from holdfast.cluster.settings import Settings

RANGES = {"pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/16"}
ROOTLESS = Settings(**RANGES, chosen="oci", is_rootless=True, nodes=2)


def test_without_root_a_node_is_known_by_its_address_among_the_pods():
    assert [node_parts.node_addresses(ROOTLESS, number) for number in (0, 1)] == [("10.244.0.1",), ("10.244.1.1",)]
    as_root = node_parts.node_addresses(ROOTLESS.changed(is_rootless=False), 0)
    assert as_root == (node_parts.host_address(),)


@pytest.mark.parametrize(
    ("server", "place"),
    [
        ("10.244.3.4", "inside"),
        ("10.96.0.77", "inside"),
        ("192.0.2.9", "outside"),
        ("nas.example.com", "outside"),
        ("2001:db8::1", "outside"),
    ],
)
async def test_r74_nfs_clients_are_started_where_their_server_is_reached(server, place):
    async def outside(start):
        return f"{start()} outside"

    begin = node_parts.nfs_begin(ROOTLESS, outside)
    assert await begin(server, lambda: "client") == ("client" if place == "inside" else "client outside")


@pytest.mark.parametrize(
    ("ids", "obstacle", "told"),
    [
        (
            1,
            "/dev/net/tun: Permission denied",
            ["one user only", "beyond the cluster (/dev/net/tun: Permission denied)"],
        ),
        (65537, "", []),
    ],
)
def test_the_nodes_event_says_what_there_is_not(monkeypatch, ids, obstacle, told):
    monkeypatch.setattr(node_parts.user_namespace, "ids", lambda: ids)
    monkeypatch.setattr(node_parts.way_out, "obstacle", lambda: obstacle)
    always = ["limits of CPU and memory do not hold", "volumes are as large as their disk"]
    found = node_parts.limits_without_root(frozenset())
    assert found[:2] == always
    assert len(found) == 2 + len(told)
    assert all(words in limit for words, limit in zip(told, found[2:], strict=True))


@pytest.mark.parametrize(
    ("controllers", "told"),
    [
        ({"cpu", "memory", "pids"}, "volumes are as large as their disk"),
        ({"memory"}, "limits of CPU do not hold"),
        ({"cpu"}, "limits of memory do not hold"),
    ],
)
def test_the_nodes_event_says_which_limits_do_not_hold(controllers, told):
    assert node_parts.limits_without_root(frozenset(controllers))[0] == told
