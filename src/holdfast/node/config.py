"""What an agent has to be told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING

from .eviction.thresholds import HARD

if TYPE_CHECKING:
    from .volumes.nfs.served import Begin


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One node."""

    node_name: str
    state_dir: Path | None = None
    """Pods' directories and logs; None for containers that do not run: nothing is written."""
    run_dir: Path | None = None
    """For what must not hit the disk, such as Secrets: on a tmpfs. Default: `state_dir`/run."""
    node_ips: tuple[str, ...] = ("127.0.0.1",)
    """One of each family that pods have, as far as the machine has one."""
    pod_cidrs: tuple[str, ...] = ()
    """What the node's pods get their addresses from, by family; empty where that is nothing to tell."""
    hostname: str = ""
    """The machine's, for hostNetwork pods and the Node's address; default: the node's name."""
    cluster_dns: tuple[str, ...] = ()
    """Nameservers of the pods; without one they use the node's."""
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    is_control_plane: bool = False
    """Whether the node carries the role that scripts select it by (N215)."""
    asks_one_by_one: bool = False
    """For what its pods draw on, Secrets and ConfigMaps, and again now and then: it follows none of them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)
    """Quantities that replace what the machine has, such as `{"cpu": "4", "memory": "8Gi"}`."""
    most_pods: int = 110
    server_host: str = ""
    """Where the agent's own endpoint listens (logs, exec); empty: it has none."""
    server_port: int = 0
    """0 picks one; the Node says which."""
    server_listen: Callable[[str], socket.socket] | None = None
    """Makes a socket that listens on that host, where not just any socket will do."""
    server_tls: SSLContext | None = None
    """Requires the API server's client certificate."""
    image_dir: Path | None = None
    """On the disk that images take; default: `state_dir`."""
    volumes_dir: Path | None = None
    """Where the local provisioner of this machine keeps volumes; None: there are none with a size."""
    eviction_hard: Mapping[str, str] = field(default_factory=lambda: dict(HARD))
    """Below what the node is short of something and ends pods, such as `{"memory.available": "100Mi"}` (N146)."""
    allowed_sysctls: tuple[str, ...] = ()
    """What pods may set beyond what is safe, such as `net.core.somaxconn` and `kernel.msg*` (N191)."""
    nfs_begin: Begin | None = None
    """Starts NFS clients where they reach their servers, if that is not simply here."""
    limits: Sequence[str] = ()
    """What this machine does not give the node's pods, in words for an event."""
    shutdown_grace_s: float = 0.0
    """How long the pods may take to stop when the node does; they have failed then (N192). 0: they go on later."""
    resync_s: tuple[float, float] = (60.0, 90.0)
    """A quiet pod is looked at again after a time between these (N80)."""
