"""How this machine's own resolver is made to ask cluster DNS for the names of the cluster, and for no others (D68)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Hook:
    """A file that one kind of resolver reads."""

    resolver: str
    path: str
    content: str
    reload: str
    """The command after which it has been read."""

    def installing(self) -> str:
        """A shell script, for root."""
        lines = "\n".join(self.content.splitlines())
        directory = self.path.rpartition("/")[0]
        return f"mkdir -p {directory}\ncat > {self.path} <<'END'\n{lines}\nEND\n{self.reload}\n"

    def removing(self) -> str:
        """A shell script, for root."""
        return f"rm -f {self.path}\n{self.reload}\n"


def hook(address: str, domain: str, root: Path = ROOT) -> Hook | None:
    """For the resolver that this machine runs; None if it runs none that can send some names elsewhere."""
    if (root / "run/systemd/resolve").is_dir():
        return Hook(
            "systemd-resolved",
            "/etc/systemd/resolved.conf.d/holdfast.conf",
            f"[Resolve]\nDNS={address}\nDomains=~{domain}\n",
            "systemctl restart systemd-resolved",
        )
    if (root / "etc/NetworkManager/dnsmasq.d").is_dir():
        return _dnsmasq("/etc/NetworkManager/dnsmasq.d/holdfast.conf", "NetworkManager", address, domain)
    if (root / "etc/dnsmasq.d").is_dir():
        return _dnsmasq("/etc/dnsmasq.d/holdfast.conf", "dnsmasq", address, domain)
    return None


def _dnsmasq(path: str, service: str, address: str, domain: str) -> Hook:
    content = f"server=/{domain}/{address}\nrebind-domain-ok=/{domain}/\n"
    return Hook("dnsmasq", path, content, f"systemctl restart {service}")
