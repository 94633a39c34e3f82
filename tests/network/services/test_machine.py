"""When the host needs a route to cluster addresses: R84."""

from __future__ import annotations

import pytest

from holdfast.network.services.machine import has_default_route

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
NEAR = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"


@pytest.mark.parametrize(("table", "expected"), [(HEAD + DEFAULT + NEAR, True), (HEAD + NEAR, False), ("", False)])
def test_a_default_route_is_one_to_everywhere(tmp_path, table, expected):
    (tmp_path / "route").write_text(table)
    assert has_default_route(4, (tmp_path / "route", tmp_path / "none")) is expected


def test_without_a_routing_table_there_is_none(tmp_path):
    assert not has_default_route(4, (tmp_path / "none", tmp_path / "none"))
    assert not has_default_route(6, (tmp_path / "none", tmp_path / "none"))


def test_ipv6_has_a_default_route_that_leads_nowhere_and_does_not_count(tmp_path):
    nowhere, route = "0" * 32 + " 00", tmp_path / "ipv6_route"
    route.write_text(f"{nowhere} {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n")
    assert not has_default_route(6, (tmp_path / "none", route))
    gateway = "fd00" + "0" * 27 + "1"
    route.write_text(f"{nowhere} {'0' * 32} 00 {gateway} 00000400 00000001 00000000 00000003     eth0\n")
    assert has_default_route(6, (tmp_path / "none", route))
    assert not has_default_route(4, (tmp_path / "none", route))
