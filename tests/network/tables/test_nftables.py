"""What is asked of nftables, and both ways to ask."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from holdfast.network.tables.nftables import SEARCH, Program, firewalls, has_table, open_nftables, remembered
from holdfast.world import linux

LISTED = """\
table ip filter {
\tchain DOCKER {
\t}
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy drop;
\t}
\tchain INPUT {
\t\ttype filter hook input priority filter; policy drop;
\t}
}
table inet ours {
\tchain forward {
\t\ttype filter hook forward priority filter; policy accept;
\t}
}
"""


class Listing:
    def run(self, commands):
        assert commands == "list chains\n"
        return LISTED


def test_d81_a_firewall_that_drops_what_is_forwarded_is_found():
    assert firewalls(Listing()) == ["ip filter FORWARD"]


def inside(function):
    """Run where nothing of this machine can be touched."""

    def run():
        linux.unshare(linux.CLONE_NEWNET)
        return function()

    return linux.in_new_thread(run)


def both():
    """The program, and what is opened where the library is there; each made in the namespace it is to act on."""
    made = open_nftables()
    return [Program()] if made is None or isinstance(made, Program) else [Program(), made]


@pytest.mark.live
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft", path=SEARCH) is None, reason="needs root and nftables in a namespace"
)
def test_library_and_program_do_the_same():
    def try_out():
        for nftables in both():
            nftables.run("table ip t { chain c { type filter hook forward priority filter; policy drop; }; }\n")
            assert has_table(nftables, "ip t")
            assert not has_table(nftables, "ip u")
            assert firewalls(nftables) == ["ip t c"]
            with pytest.raises(OSError, match=r"nftables: .*syntax error"):
                nftables.run("add chain ip t d\nnonsense at all\n")
            assert "chain d" not in nftables.run("list chains\n"), "all or nothing"
            nftables.run("add set ip t s { type ipv4_addr; flags dynamic,timeout; timeout 1h; }\n")
            for n in range(5):
                nftables.run(f"add element ip t s {{ 192.0.2.{n} expires {50 + n}m }}\n")
            known = remembered(nftables, "ip t")
            nftables.run(f"flush set ip t s\nadd element ip t s {{ {known['s']} }}\n")
            again = re.findall(r"192\.0\.2\.(\d) expires (\d+)m", remembered(nftables, "ip t")["s"])
            assert [50 + int(n) - int(minutes) in (0, 1) for n, minutes in again] == [True] * 5
            nftables.run("delete table ip t\n")
            assert not has_table(nftables, "ip t")

    inside(try_out)
