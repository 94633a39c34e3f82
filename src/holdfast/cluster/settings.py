"""How one cluster was asked to be, kept in its data directory so that the next `up` makes the same one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from holdfast.network.pods import ranges
from holdfast.network.pods.ranges import Network, Slice

from .home import Damaged
from .private_files import write_private

PARTS = ("controllers", "scheduler", "dns")
"""What `--without` may name: parts that can run elsewhere, or be played by a test."""

RUNTIMES = ("auto", "oci", "process", "simulated")

HOST_NAME_LENGTH = 60
"""That leaves room for a number: a node's name is the value of a label."""

IPV4, IPV6 = "IPv4", "IPv6"
IP_FAMILIES = ((IPV4,), (IPV4, IPV6))


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `holdfast up`, and what was chosen for those left open."""

    port: int = 6443
    listen: tuple[str, ...] = ()
    """Addresses for other machines, beyond loopback: see `listening`."""
    runtime: str = "auto"
    nodes: int = 1
    store: str = "sqlite"
    without: tuple[str, ...] = ()
    ip_families: tuple[str, ...] = (IPV4,)
    """That, or it and IPv6."""
    service_cidr: str = ""
    """A range for each family, with a comma between them; empty until the first start has looked for free ones.

    One of a family that the cluster has not, just now, is kept for when it has it again.
    """
    feature_gates: tuple[str, ...] = ()
    """Upstream's, those that are on."""
    eviction_hard: Mapping[str, str] = field(default_factory=dict)
    """Thresholds other than those that the disk's size suggests."""
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    """What pods may set of the kernel beyond what cannot harm others, as the kubelet's flag."""
    shutdown_grace_s: float = 0.0
    """How long pods may take to stop with the cluster; they have failed then. 0: as long as each likes; they go on with
    the next start."""
    pod_cidr: str = ""
    """The same, without what is kept: it says which families the cluster has."""
    chosen: str = ""
    """The driver that `auto` came to at the last start."""
    is_rootless: bool = False
    """Whether the last start found that containers run inside a user namespace only."""
    server: str = ""
    """The API server's URL, of a machine that has joined its cluster; empty where the API server is."""
    name: str = ""
    """The name of this machine's first node; empty until there is one. It stays, whatever the machine is called later:
    pods and volumes are of a node by its name."""
    first_slice: int = 0
    """Which of the ranges' slices this machine's first node has."""

    @property
    def is_joined(self) -> bool:
        """Whether this is the data directory of a machine that has joined a cluster whose API server is elsewhere."""
        return bool(self.server)

    @property
    def driver(self) -> str:
        """What runs the containers."""
        return self.chosen or self.runtime

    def node_names(self) -> list[str]:
        """Of this machine: its host name at the first start, with a number where there are several."""
        first = self.name or host_name()
        return [first if number == 0 else f"{first}-{number + 1}" for number in range(self.nodes)]

    def dns_address(self) -> str:
        """Where the pods' nameserver listens."""
        return self.gateway()

    def gateway(self) -> str:
        """The first node's own address among its pods', where pods reach what this machine has for them."""
        return str(self.slices(0)[0].gateway)

    def slices(self, number: int) -> tuple[Slice, ...]:
        """What node `number` has of the ranges of pods, IPv4 first."""
        return ranges.node_slices(self.pod_networks(), self.first_slice + number)

    def pod_networks(self) -> tuple[Network, ...]:
        return networks(self.pod_cidr)

    def service_networks(self) -> tuple[Network, ...]:
        return networks(self.service_cidr)[: len(self.pod_networks())]

    def changed(self, **given: object) -> Settings:
        """These settings with the given ones that are not None."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    def with_thresholds(self, given: Mapping[str, str]) -> Settings:
        """With these thresholds of eviction, and the others as they were."""
        return replace(self, eviction_hard={**self.eviction_hard, **given})

    def with_gates(self, gates: Mapping[str, bool]) -> Settings:
        """With these feature gates on or off, and the others as they were."""
        on = {*self.feature_gates, *(name for name, is_on in gates.items() if is_on)}
        return replace(self, feature_gates=tuple(sorted(on - {name for name, is_on in gates.items() if not is_on})))


def host_name() -> str:
    """This machine's, as a node may be called: hosts may have names that DNS does not allow."""
    words = re.sub(r"[^a-z0-9-]+", "-", os.uname().nodename.split(".")[0].lower())
    return words[:HOST_NAME_LENGTH].strip("-") or "node"


def networks(text: str) -> tuple[Network, ...]:
    """As upstream writes ranges of several families: with a comma between them."""
    return tuple(ip_network(each) for each in text.split(",") if each)


def load(path: Path) -> Settings | None:
    """What the last `up` left; None in a new data directory. Raises Damaged."""
    try:
        read = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(read, dict):
        raise _damaged(path)
    if unknown := sorted(read.keys() - {each.name for each in fields(Settings)}):
        raise Damaged(f"{path} is of a later version of holdfast, which knows {', '.join(unknown)}: use that one")
    members: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in read.items()}
    return Settings(**members)


def _damaged(path: Path) -> Damaged:
    return Damaged(
        f"{path} is damaged: put a copy of it back, or remove it: objects and volumes stay then, and `holdfast up`"
        " has to be told its options again"
    )


def save(path: Path, settings: Settings) -> None:
    """So that a crash leaves the old ones or the new ones; those that are there already take no room."""
    write_private(path, json.dumps(asdict(settings), indent=2).encode() + b"\n")
