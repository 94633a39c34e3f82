"""The rules that all pods share: the way out, a way that stays shut, and what becomes of pods that are gone.

What pods send beyond the pods' own range leaves under this machine's address (R90). No pod reaches what listens on
this machine's 127.0.0.1, although the links of pods let such addresses through, for services that the machine itself
reaches there (R92). And an address that no pod has refuses: whoever still talks to a pod that is gone is told so by a
reset, instead of trying for a quarter of an hour. Such addresses lead to the loopback link (`links.add_gateway`): what
this machine itself sends there comes in again by it.
"""

from __future__ import annotations

import hashlib
import logging
import subprocess
from ipaddress import IPv4Network

from .state import FORWARDING, forwards

log = logging.getLogger(__name__)


def table_name(cluster: str) -> str:
    return f"holdfast-{hashlib.sha256(cluster.encode()).hexdigest()[:8]}"


def rules(table: str, pods: IPv4Network, *, refuses_looped: bool = True) -> str:
    """A ruleset that replaces the table of that name, in one transaction."""
    looped = f'iifname "lo" ip daddr {pods} fib daddr type != local goto refuse' if refuses_looped else ""
    return f"""\
table ip {table}
delete table ip {table}
table ip {table} {{
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname "hf*" ip daddr 127.0.0.0/8 drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {pods} ip daddr != {pods} fib daddr type != local masquerade
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp host-unreachable
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ip daddr {pods} oifname != "hf*" goto refuse
  }}
  chain looped {{
    type filter hook prerouting priority filter; policy accept;
    {looped}
  }}
}}
"""


def install(table: str, pods: IPv4Network) -> None:
    """Raises OSError, with what nft said, if the rules cannot be set."""
    if not forwards():
        FORWARDING.write_text("1\n")
    try:
        _nft("-f", "-", text=rules(table, pods))
    except OSError as error:
        # Linux before 5.9 cannot refuse there: what this machine itself sends to pods that are gone is then lost.
        log.info("trying without one rule error=%r", str(error))
        _nft("-f", "-", text=rules(table, pods, refuses_looped=False))


def remove(table: str) -> None:
    """Nothing if the table is not there."""
    _nft("-f", "-", text=f"table ip {table}\ndelete table ip {table}\n")


def listing(table: str) -> str:
    """The table in the kernel's own words; empty if it is not there, or cannot be read."""
    try:
        return _nft("list", "table", "ip", table)
    except OSError:
        return ""


def _nft(*arguments: str, text: str = "") -> str:
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(["nft", *arguments], input=text, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"nft: {done.stderr.strip()}")
    return done.stdout
