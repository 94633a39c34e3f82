"""The pods' network in the kernel: what somebody takes away, who is gone, and what the kernel tells of it (D51)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from holdfast.network.pods import masquerade, state

from .in_namespace import SCENARIOS

SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
TABLE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
lo\t0003F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
hf0\t0203F40A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
hf1\t0303F40A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""
NODE = IPv4Network("10.244.3.0/24")
ROUTE6 = "{destination} {prefix} 00000000000000000000000000000000 00 00000000000000000000000000000000 {rest} {link}\n"
REST6 = "00000400 00000001 00000000 00000001"


def route6(destination: str, prefix: str, link: str) -> str:
    return ROUTE6.format(destination=destination, prefix=prefix, rest=REST6, link=link)


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    path, path6 = tmp_path / "route", tmp_path / "ipv6_route"
    path.write_text(TABLE)
    path6.write_text(
        route6("fd000010024400030000000000000000", "40", "lo")
        + route6("fd000010024400030000000000000002", "80", "hf0")
        + route6("fd000010024400030000000000000003", "80", "hf1")
    )
    return path, path6


def test_a_pod_is_cut_off_without_its_link_while_it_is_down_and_without_its_route(
    tmp_path: Path, tables: tuple[Path, Path]
) -> None:
    up = {"hf0", "hf2"}
    links = {f"hf{n}": [IPv4Address(f"10.244.3.{n + 2}")] for n in range(4)}
    assert state.broken(links, tables, tmp_path / "none", up.__contains__) == ["hf1", "hf2", "hf3"]
    moved = {"hf0": [IPv4Address("10.244.3.9")]}
    assert state.broken(moved, tables, tmp_path / "none", up.__contains__) == ["hf0"]


def test_a_pod_is_cut_off_without_its_second_route_and_without_the_way_out(
    tmp_path: Path, tables: tuple[Path, Path]
) -> None:
    up = {"hf0", "hf1"}
    entrances = tmp_path / "if_inet6"
    entrances.write_text("fe800000000000000000000000000001 05 40 20 82      hf0\n")
    first = [IPv4Address("10.244.3.2"), IPv6Address("fd00:10:244:3::2")]
    second = [IPv4Address("10.244.3.3"), IPv6Address("fd00:10:244:3::3")]
    assert state.broken({"hf0": first, "hf1": second}, tables, entrances, up.__contains__) == ["hf1"]
    assert state.broken({"hf1": second[:1]}, tables, entrances, up.__contains__) == [], (
        "of before there was a second family"
    )
    moved = [IPv4Address("10.244.3.2"), IPv6Address("fd00:10:244:3::9")]
    assert state.broken({"hf0": moved}, tables, entrances, up.__contains__) == ["hf0"]


def test_whether_unused_addresses_lead_to_loopback(tables: tuple[Path, Path]) -> None:
    assert state.loops(NODE, tables)
    assert state.loops(IPv6Network("fd00:10:244:3::/64"), tables)
    assert not state.loops(IPv4Network("10.244.4.0/24"), tables)


def test_a_cluster_is_in_use_as_long_as_any_of_its_nodes_is_here(tables: tuple[Path, Path]) -> None:
    assert state.is_in_use(IPv4Network("10.244.0.0/16"), tables)
    assert not state.is_in_use(IPv4Network("10.245.0.0/16"), tables)


def can_have_namespaces() -> bool:
    return os.geteuid() == 0 and all(
        shutil.which(each, path=SEARCH) for each in ("unshare", "setpriv", "nft", "ip", "sysctl")
    )


@pytest.mark.live
@pytest.mark.skipif(not can_have_namespaces(), reason="needs root, util-linux, nft, ip and sysctl")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_a_namespace_of_its_own(scenario: str) -> None:
    program = Path(__file__).with_name("in_namespace.py")
    inside = (
        f"mount -t sysfs none /sys && mount -t tmpfs none /run && exec {sys.executable} -W error {program} {scenario}"
    )
    command = ["unshare", "--net", "--mount", "sh", "-c", inside]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env={"PATH": SEARCH})
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_kernel_that_cannot_refuse_everywhere_gets_all_other_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def nft(*arguments: str, text: str = "") -> str:
        looped = text.partition("chain looped {")[2].partition("}")[0]
        if "goto refuse" in looped:
            raise OSError("nft: Could not process rule: Operation not supported")
        taken.append(text)
        return ""

    monkeypatch.setattr(masquerade, "_nft", nft)
    monkeypatch.setattr(masquerade, "switch_on", lambda version: None)
    masquerade.install("t", IPv4Network("10.244.0.0/16"))
    (text,) = taken
    assert "masquerade" in text
    assert 'ip daddr 10.244.0.0/16 oifname "lo" goto refuse' in text
