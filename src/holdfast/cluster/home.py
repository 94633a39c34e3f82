"""The data directory: where everything of one cluster lives, and the names in it that scripts may rely on."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

FILES = ("kubeconfig", "ca.crt", "admin.token", "cluster.json", "registries.toml")
DIRECTORIES = ("pki", "logs", "run", "volumes", "images", "nodes")
OURS = frozenset((*FILES, *DIRECTORIES))
"""What is in a data directory, beside the database's files."""
OTHERS = 0o077
LOST = "lost+found"
"""What is in one that is a disk of its own, and nobody's."""


OF_ROOT = Path("/var/lib/holdfast")


class Damaged(Exception):
    """A file of the data directory cannot be used. The message says which one, and what to do."""


def default_home() -> Path:
    """`$HOLDFAST_HOME`, else `/var/lib/holdfast` as root and `~/.local/share/holdfast` otherwise.

    Raises RuntimeError for a user without a home.
    """
    if home := os.environ.get("HOLDFAST_HOME"):
        return Path(home).absolute()
    return usual_home()


def usual_home() -> Path:
    """The one where nothing else was said."""
    if os.geteuid() == 0:
        return OF_ROOT
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "holdfast"


def none_is_up(home: Home) -> str:
    """What to tell who looks for the cluster of `home`: it may have been started with sudo, which has another one."""
    words = f"no cluster is up in {home.path}: run `holdfast up`"
    if os.geteuid() == 0 or home.path == OF_ROOT or not OF_ROOT.is_dir():
        return words
    return f"{words}; root's is in {OF_ROOT}: sudo holdfast"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one data directory. `kubeconfig`, `ca.crt` and `admin.token` are a contract for scripts."""

    path: Path

    def make(self) -> None:
        """Creates the directory, readable by its owner only, as one that is there already has to be: it holds keys.

        Pods find what is theirs by their own mounts.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(self.path.stat().st_mode) & OTHERS:
            self.path.chmod(0o700)
        for directory in (self.pki, self.logs, self.run, self.volumes):
            directory.mkdir(mode=0o700, exist_ok=True)
        self.volumes.chmod(0o711)

    def foreign(self) -> list[str]:
        """The names in it of what holdfast has not put there."""
        names = sorted(entry.name for entry in self.path.iterdir() if entry.name != LOST)
        return [name for name in names if not name.startswith("state.db") and name.removesuffix(".new") not in OURS]

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
