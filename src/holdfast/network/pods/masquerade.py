"""The way out: what pods send beyond the pods' own range leaves under this machine's address (R90).

And the way that stays shut: no pod reaches what listens on this machine's 127.0.0.1, although the links of pods
let such addresses through, for services that the machine itself reaches there (R92).
"""

from __future__ import annotations

import hashlib
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def table_name(cluster: str) -> str:
    return f"holdfast-{hashlib.sha256(cluster.encode()).hexdigest()[:8]}"


def rules(table: str, pods: IPv4Network) -> str:
    """A ruleset that replaces the table of that name, in one transaction."""
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
}}
"""


def install(table: str, pods: IPv4Network) -> None:
    """Raises OSError, with what nft said, if the rules cannot be set."""
    if FORWARDING.read_text().strip() != "1":
        FORWARDING.write_text("1\n")
    _nft("-f", "-", text=rules(table, pods))


def remove(table: str) -> None:
    """Nothing if the table is not there."""
    _nft("-f", "-", text=f"table ip {table}\ndelete table ip {table}\n")


def _nft(*arguments: str, text: str) -> None:
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(["nft", *arguments], input=text, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"nft: {done.stderr.strip()}")
