"""Addresses of pods: one each, kept over restarts, reused as late as possible; ranges that nobody has."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.network.pods import links, masquerade, ranges
from holdfast.network.pods.addresses import Addresses, NoAddressLeft

NODE = IPv4Network("10.244.1.0/24")


@pytest.fixture
def addresses(tmp_path: Path) -> Addresses:
    return Addresses(NODE, tmp_path)


def test_d2_a_pod_keeps_its_address_over_restarts(addresses: Addresses, tmp_path: Path) -> None:
    first = addresses.take("a")
    assert addresses.take("a") == first
    assert Addresses(NODE, tmp_path).take("a") == first


def test_an_address_whose_file_is_there_is_given_to_nobody_whoever_wrote_it(tmp_path: Path) -> None:
    addresses = Addresses(IPv4Network("10.0.0.0/29"), tmp_path)
    (tmp_path / "10.0.0.2").write_text("somebody")
    assert str(addresses.take("a")) == "10.0.0.3"


def test_the_gateways_and_the_broadcast_address_are_nobodys(tmp_path: Path) -> None:
    addresses = Addresses(IPv4Network("10.0.0.0/29"), tmp_path)
    assert [str(addresses.take(uid)) for uid in "abcde"] == [f"10.0.0.{n}" for n in range(2, 7)]
    with pytest.raises(NoAddressLeft, match=r"10\.0\.0\.0/29"):
        addresses.take("f")
    addresses.release("c")
    assert str(addresses.take("f")) == "10.0.0.4"


def test_n238_a_released_address_comes_back_last(addresses: Addresses, tmp_path: Path) -> None:
    first = addresses.take("a")
    addresses.release("a")
    following = [Addresses(NODE, tmp_path).take(f"pod-{number}") for number in range(252)]
    assert first not in following
    assert addresses.take("last") == first


def test_only_live_pods_keep_theirs(addresses: Addresses) -> None:
    kept = addresses.take("kept")
    addresses.take("gone")
    assert addresses.keep_only({"kept", "never-had-one"}) == ["gone"]
    assert addresses.held() == {"kept": kept}


def test_releasing_what_nobody_has_is_nothing(addresses: Addresses) -> None:
    addresses.release("unknown")
    assert addresses.held() == {}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_no_two_pods_ever_share_an_address(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    addresses = Addresses(IPv4Network("10.0.0.0/28"), tmp_path_factory.mktemp("addresses"))
    for uid, takes in steps:
        if takes:
            addresses.take(uid)
        else:
            addresses.release(uid)
        held = list(addresses.held().values())
        assert len(held) == len(set(held))
        assert all(IPv4Address("10.0.0.2") <= address <= IPv4Address("10.0.0.14") for address in held)


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "10.244.0.0/16"),
        (["10.244.3.0/24"], "10.245.0.0/16"),
        (["10.244.0.1/32", "10.245.0.0/16"], "10.246.0.0/16"),
        (["0.0.0.0/0"], "10.244.0.0/16"),
        (["10.128.0.0/9"], "10.0.0.0/16"),
        (["192.168.0.0/16"], "10.244.0.0/16"),
    ],
)
def test_the_first_free_range_is_chosen(taken: list[str], chosen: str) -> None:
    offered = ranges.candidates(ranges.PODS[4], ranges.FIRST_PODS)
    assert ranges.choose(map(IPv4Network, taken), offered) == IPv4Network(chosen)


def test_a_range_of_one_family_has_nothing_to_do_with_those_of_the_other() -> None:
    taken = [IPv4Network("10.244.0.0/16"), IPv6Network("fd00::/64"), IPv6Network("fd00:10:244::/64")]
    offered = ranges.candidates(ranges.PODS[6], ranges.FIRST_PODS)
    assert ranges.choose(taken, offered) == IPv6Network("fd00:10:245::/56")


def test_a_machine_with_no_range_left_says_so() -> None:
    with pytest.raises(ranges.NoRangeLeft):
        ranges.choose([IPv4Network("10.0.0.0/8")], ranges.candidates(ranges.PODS[4], ranges.FIRST_PODS))


def test_each_node_has_a_slice_of_its_own() -> None:
    cluster = IPv4Network("10.244.0.0/16")
    slices = [ranges.node_range(cluster, number) for number in range(256)]
    assert slices[1] == NODE
    assert len(set(slices)) == 256
    assert str(ranges.gateway(NODE)) == "10.244.1.1"
    with pytest.raises(ValueError, match="256 nodes"):
        ranges.node_range(cluster, 256)


def test_routes_and_own_addresses_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    routes, local, routes6 = tmp_path / "route", tmp_path / "fib_trie", tmp_path / "ipv6_route"
    routes.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n"
        "eth0\t0000F40A\t00000000\t0001\t0\t0\t0\t0000FFFF\n"
    )
    local.write_text("  |-- 10.9.0.1\n     /32 host LOCAL\n")
    rest = f"{'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001     eth0"
    routes6.write_text(f"fd000010024400{'0' * 18} 38 {rest}\n")
    assert sorted(map(str, ranges.routed(routes, local, routes6))) == [
        "0.0.0.0/0",
        "10.244.0.0/16",
        "10.9.0.1/32",
        "fd00:10:244::/56",
    ]


def test_names_of_links_fit_and_tell_clusters_apart() -> None:
    names = {links.link_name(cluster, uid) for cluster in ("/a", "/b") for uid in ("x", "y")}
    assert len(names) == 4
    assert all(len(name) <= 15 and name.startswith("hf") for name in names)


def test_d3_masquerading_concerns_only_what_leaves_the_pods_range() -> None:
    text = masquerade.rules("holdfast-x", IPv4Network("10.244.0.0/16"))
    assert "ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 fib daddr type != local masquerade" in text
    assert text.startswith("table ip holdfast-x\ndelete table ip holdfast-x\n")


def test_d3_ipv6_is_masqueraded_alike() -> None:
    text = masquerade.rules("holdfast-x", IPv6Network("fd00:10:244::/56"))
    assert "ip6 saddr fd00:10:244::/56 ip6 daddr != fd00:10:244::/56 fib daddr type != local masquerade" in text
    assert text.startswith("table ip6 holdfast-x\ndelete table ip6 holdfast-x\n")
