"""The data directory: where everything of one cluster lives, and the names in it that scripts may rely on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def default_home() -> Path:
    """`$HOLDFAST_HOME`, else `/var/lib/holdfast` as root and `~/.local/share/holdfast` otherwise."""
    if home := os.environ.get("HOLDFAST_HOME"):
        return Path(home).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/holdfast")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "holdfast"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one data directory. `kubeconfig`, `ca.crt` and `admin.token` are a contract for scripts."""

    path: Path

    def make(self) -> None:
        """Creates the directory, readable by its owner only: it holds keys."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (self.pki, self.logs, self.run, self.volumes):
            directory.mkdir(mode=0o700, exist_ok=True)
        self.volumes.chmod(0o711)

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def ca_certificate(self) -> Path:
        return self.path / "ca.crt"

    @property
    def admin_token(self) -> Path:
        """A bearer token of `system:masters`."""
        return self.path / "admin.token"

    @property
    def settings(self) -> Path:
        return self.path / "cluster.json"

    @property
    def database(self) -> Path:
        return self.path / "state.db"

    @property
    def pki(self) -> Path:
        return self.path / "pki"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """What only means something while the machine is up: locks, sockets, bundles, namespaces."""
        return self.path / "run"

    @property
    def volumes(self) -> Path:
        return self.path / "volumes"

    @property
    def images(self) -> Path:
        return self.path / "images"

    @property
    def registries(self) -> Path:
        """The user's: how registries are reached, see `node/images/registry/settings.py`."""
        return self.path / "registries.toml"

    @property
    def nodes(self) -> Path:
        return self.path / "nodes"

    def node(self, number: int) -> Path:
        """What node `number` keeps: its pods' directories and logs."""
        return self.nodes / str(number)
