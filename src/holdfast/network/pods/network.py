"""One node's pod network: addresses, links and the way out, kept in step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from ipaddress import IPv4Network
from pathlib import Path

from . import links, masquerade
from .addresses import Addresses
from .ranges import gateway

log = logging.getLogger(__name__)


class PodNetwork:
    """`cluster` tells clusters of one machine apart; `directory` keeps the addresses that are given out.

    `pods` is the range of the whole cluster, `node` this node's slice of it.
    """

    def __init__(self, cluster: str, pods: IPv4Network, node: IPv4Network, directory: Path) -> None:
        self._cluster = cluster
        self._pods = pods
        self.gateway = gateway(node)
        self._addresses = Addresses(node, directory)
        self._table = masquerade.table_name(cluster)
        self._opened = asyncio.Event()
        self._is_guarded = False

    async def open(self) -> None:
        """Makes what all pods share. Without nftables pods still reach one another: that is only logged."""
        await asyncio.to_thread(links.add_gateway, self.gateway)
        try:
            await asyncio.to_thread(masquerade.install, self._table, self._pods)
            self._is_guarded = True
        except OSError as error:
            log.warning("pods cannot reach beyond this machine error=%r", str(error))
        self._opened.set()

    async def attach(self, pod_uid: str, netns_path: str) -> str:
        """Gives the pod its address, the same one each time; waits for `open`. Raises OSError, NoAddressLeft."""
        await self._opened.wait()
        address = self._addresses.take(pod_uid)
        name = links.link_name(self._cluster, pod_uid)
        await asyncio.to_thread(links.attach, name, netns_path, address, self.gateway)
        if self._is_guarded:
            links.pass_loopback(name)
        return str(address)

    async def detach(self, pod_uid: str) -> None:
        """Takes link and address away; nothing if the pod has none."""
        await asyncio.to_thread(links.detach, links.link_name(self._cluster, pod_uid))
        self._addresses.release(pod_uid)

    async def recover(self, live: Collection[str]) -> None:
        """Takes away what pods have that do not exist any more."""
        for uid in self._addresses.keep_only(live):
            await asyncio.to_thread(links.detach, links.link_name(self._cluster, uid))

    async def close(self) -> None:
        """Removes everything, of pods too."""
        await self.recover(())
        await asyncio.to_thread(links.remove_gateway, self.gateway)
        try:
            await asyncio.to_thread(masquerade.remove, self._table)
        except OSError as error:
            log.warning("masquerading stays table=%s error=%r", self._table, str(error))
