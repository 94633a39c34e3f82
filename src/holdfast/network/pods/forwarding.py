"""Whether this machine passes on what is not for itself; switched on for pods, IPv6's put back as it was.

Linux takes no default route from its routers any more once it is one itself, unless an interface is told to (accept_ra
2): each that takes them now is told so before. What it was like is kept for whoever leaves last, of all clusters, in a
file that goes with the machine's memory, as the settings do.

Blocking.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

IPV4 = Path("/proc/sys/net/ipv4/ip_forward")
IPV6 = Path("/proc/sys/net/ipv6/conf")
RECORD = Path("/run/holdfast-ipv6")
"""What settings below `IPV6` were before."""
_TAKES_ROUTES, _TAKES_ROUTES_ANYWAY = "1", "2"


def forwards(version: int) -> bool:
    return _setting(version).read_text().strip() == "1"


def switch_on(version: int) -> None:
    """Raises OSError."""
    if forwards(version):
        return
    if version == 4:
        IPV4.write_text("1\n")
        return
    with _locked() as record:
        before = json.loads(record.read_text() or "{}")
        takers = [each for each in IPV6.glob("*/accept_ra") if not each.parent.name.startswith(("all", "lo", "hf"))]
        takers = [each for each in takers if _read(each) == _TAKES_ROUTES]
        changes = {**dict.fromkeys(takers, _TAKES_ROUTES_ANYWAY), _setting(6): "1"}
        before = {str(each.relative_to(IPV6)): _read(each) for each in changes} | before
        record.write_text(json.dumps(before))
        for setting, value in changes.items():
            _write(setting, value)


def put_back() -> None:
    """As it was before the first cluster came; nothing if no cluster changed anything. To be called by the last."""
    if not RECORD.exists():
        return
    with _locked() as record:
        before: dict[str, str] = json.loads(record.read_text() or "{}")
        # The switch first: it takes the routes away from those that are not told to keep them.
        for name in sorted(before, key=lambda name: not name.startswith("all/")):
            _write(IPV6 / name, before[name])
        record.unlink()


@contextlib.contextmanager
def _locked() -> Iterator[Path]:
    with RECORD.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield RECORD


def _setting(version: int) -> Path:
    return IPV4 if version == 4 else IPV6 / "all" / "forwarding"


def _read(setting: Path) -> str:
    try:
        return setting.read_text().strip()
    except OSError:  # the interface has just gone
        return ""


def _write(setting: Path, value: str) -> None:
    try:
        setting.write_text(f"{value}\n")
    except FileNotFoundError:
        log.debug("the interface has gone setting=%s", setting)
