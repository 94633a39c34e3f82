"""The rules that all pods share: the way out, a way that stays shut, and what becomes of pods that are gone.

What pods send beyond the pods' own range leaves under this machine's address (R90). No pod reaches what listens on
this machine's 127.0.0.1, although the links of pods let such addresses through, for services that the machine itself
reaches there (R92); with ::1 nobody does. And an address that no pod has refuses: whoever still talks to a pod that is
gone is told so by a reset, instead of trying for a quarter of an hour. Such addresses lead to the loopback link: those
of this machine (`links.add_gateway`), and those of no machine (`peers.plan`). Of IPv4, what this machine itself sends
there comes in again by it; of IPv6, the kernel takes that for a way that leads nowhere, and what goes that way is
refused where it comes in, or is sent.
"""

from __future__ import annotations

import hashlib
import logging
import re
import subprocess
from collections.abc import Iterable

from .forwarding import put_back, switch_on
from .ranges import Network

log = logging.getLogger(__name__)

_IS_OF_PODS = re.compile(r"table ip6 holdfast-[0-9a-f]{8}")
"""Of any cluster's."""


def table_name(cluster: str) -> str:
    return f"holdfast-{hashlib.sha256(cluster.encode()).hexdigest()[:8]}"


def rules(table: str, pods: Network, *, refuses_looped: bool = True) -> str:
    """A ruleset that replaces the table of that name and family, in one transaction."""
    family = _family(pods)
    return f"""\
table {family} {table}
delete table {family} {table}
table {family} {table} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {family} saddr {pods} {family} daddr != {pods} fib daddr type != local masquerade
  }}
{_rules4(pods, refuses_looped) if pods.version == 4 else _rules6(pods, refuses_looped)}}}
"""


def _rules4(pods: Network, refuses_looped: bool) -> str:
    looped = f'iifname "lo" ip daddr {pods} fib daddr type != local goto refuse' if refuses_looped else ""
    return f"""\
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname "hf*" ip daddr 127.0.0.0/8 drop
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp host-unreachable
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ip daddr {pods} oifname "lo" goto refuse
  }}
  chain looped {{
    type filter hook prerouting priority filter; policy accept;
    {looped}
  }}
"""


def _rules6(pods: Network, refuses_looped: bool) -> str:
    refused = f"ip6 daddr {pods} fib daddr type unreachable goto refuse"
    return f"""\
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmpv6 addr-unreachable
  }}
  chain looped {{
    type filter hook prerouting priority filter; policy accept;
    {refused if refuses_looped else ""}
  }}
  chain sent {{
    type filter hook output priority filter; policy accept;
    {refused}
  }}
"""


def install(table: str, pods: Network) -> None:
    """Raises OSError, with what nft said, if the rules cannot be set."""
    switch_on(pods.version)
    try:
        _nft("-f", "-", text=rules(table, pods))
    except OSError as error:
        # Linux before 5.9 cannot refuse there: what this machine itself sends to pods that are gone is then lost.
        log.info("trying without one rule error=%r", str(error))
        _nft("-f", "-", text=rules(table, pods, refuses_looped=False))


def remove(table: str, clusters: Iterable[Network]) -> None:
    """The tables for these ranges; nothing if they are not there."""
    families = [_family(pods) for pods in clusters]
    _nft("-f", "-", text="".join(f"table {each} {table}\ndelete table {each} {table}\n" for each in families))
    if "ip6" in families and not any(map(_IS_OF_PODS.fullmatch, _nft("list", "tables").splitlines())):
        put_back()


def listing(table: str, pods: Network) -> str:
    """The table in the kernel's own words; empty if it is not there, or cannot be read."""
    try:
        return _nft("list", "table", _family(pods), table)
    except OSError:
        return ""


def _family(pods: Network) -> str:
    return "ip" if pods.version == 4 else "ip6"


def _nft(*arguments: str, text: str = "") -> str:
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(["nft", *arguments], input=text, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"nft: {done.stderr.strip()}")
    return done.stdout
