"""Who has which address: a file per address, so that it survives anything but its release."""

from __future__ import annotations

import os
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

_LAST = ".last"


class NoAddressLeft(OSError):
    """Every address of the node is in use: the pod has to wait for one."""


class Addresses:
    """The addresses of one node. The network's first is the gateway's, the last is its broadcast address."""

    def __init__(self, network: IPv4Network, directory: Path) -> None:
        self._network = network
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._held = {path.read_text(): IPv4Address(path.name) for path in directory.iterdir() if _is_address(path)}

    def held(self) -> dict[str, IPv4Address]:
        """Pod uid to address."""
        return dict(self._held)

    def take(self, pod_uid: str) -> IPv4Address:
        """The pod's address, the same one each time. Raises NoAddressLeft."""
        if (known := self._held.get(pod_uid)) is not None:
            if known in self._network:
                return known
            self.release(pod_uid)  # of a range that the cluster has given up
        address = self._next(set(self._held.values()))
        self._write(str(address), pod_uid)
        self._write(_LAST, str(address))
        self._held[pod_uid] = address
        return address

    def release(self, pod_uid: str) -> None:
        """Nothing if it has none."""
        address = self._held.get(pod_uid)
        if address is not None:
            (self._directory / str(address)).unlink(missing_ok=True)
            del self._held[pod_uid]

    def keep_only(self, pod_uids: Collection[str]) -> list[str]:
        """Releases the addresses of all other pods; their uids."""
        gone = [uid for uid in self.held() if uid not in pod_uids]
        for uid in gone:
            self.release(uid)
        return gone

    def _next(self, used: Collection[IPv4Address]) -> IPv4Address:
        """The one after the last given out: an address comes back as late as possible, whoever remembers it."""
        first, size = int(self._network.network_address) + 2, self._network.num_addresses - 3
        try:
            start = int(IPv4Address((self._directory / _LAST).read_text())) - first + 1
        except (OSError, ValueError):
            start = 0
        for step in range(size):
            candidate = IPv4Address(first + (start + step) % size)
            if candidate not in used and not (self._directory / str(candidate)).exists():
                return candidate
        raise NoAddressLeft(
            f"no address is free: pods have all {size} of {self._network}. The pod starts as soon as another leaves"
        )

    def _write(self, name: str, text: str) -> None:
        temporary = self._directory / f".{name}.new"
        temporary.write_text(text)
        os.replace(temporary, self._directory / name)


def _is_address(path: Path) -> bool:
    return not path.name.startswith(".")
