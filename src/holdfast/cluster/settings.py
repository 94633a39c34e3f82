"""How one cluster was asked to be, kept in its data directory so that the next `up` makes the same one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from holdfast.network.pods import ranges

PARTS = ("controllers", "scheduler", "dns")
"""What `--without` may name: parts that can run elsewhere, or be played by a test."""

RUNTIMES = ("auto", "oci", "process", "simulated")


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `holdfast up`, and what was chosen for those left open."""

    port: int = 6443
    runtime: str = "auto"
    nodes: int = 1
    store: str = "sqlite"
    without: tuple[str, ...] = ()
    service_cidr: str = "10.96.0.0/16"
    feature_gates: tuple[str, ...] = ()
    """Upstream's, those that are on."""
    pod_cidr: str = ""
    """Empty until the first start has looked for a free one."""

    def node_names(self) -> list[str]:
        """The names of this machine's nodes: its host name, with a number where there are several."""
        hostname = os.uname().nodename.split(".")[0].lower() or "node"
        return [hostname if number == 0 else f"{hostname}-{number + 1}" for number in range(self.nodes)]

    def dns_address(self) -> str:
        """Where the pods' nameserver listens."""
        return self.gateway()

    def gateway(self) -> str:
        """The first node's own address among its pods', where pods reach what this machine has for them."""
        return str(ranges.gateway(ranges.node_range(IPv4Network(self.pod_cidr), 0)))

    def changed(self, **given: object) -> Settings:
        """These settings with the given ones that are not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    def with_gates(self, gates: Mapping[str, bool]) -> Settings:
        """With these feature gates on or off, and the others as they were."""
        on = {*self.feature_gates, *(name for name, is_on in gates.items() if is_on)}
        return replace(self, feature_gates=tuple(sorted(on - {name for name, is_on in gates.items() if not is_on})))


def load(path: Path) -> Settings | None:
    """What the last `up` left; None in a new data directory."""
    try:
        read = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    members: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in read.items()}
    return Settings(**members)


def save(path: Path, settings: Settings) -> None:
    """By rename, so that a crash leaves the old ones or the new ones; those that are there already take no room."""
    data = json.dumps(asdict(settings), indent=2).encode() + b"\n"
    if path.exists() and path.read_bytes() == data:
        return
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.replace(path)
