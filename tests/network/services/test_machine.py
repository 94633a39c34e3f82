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
    assert has_default_route(tmp_path / "route") is expected


def test_without_a_routing_table_there_is_none(tmp_path):
    assert not has_default_route(tmp_path / "route")
