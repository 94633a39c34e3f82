"""One node's pod network: addresses, links and the way out, kept in step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from holdfast.world import Clock

from . import links, masquerade, state
from .addresses import Addresses
from .guard import guard
from .ranges import gateway

log = logging.getLogger(__name__)


class PodNetwork:
    """`cluster` tells clusters of one machine apart; `directory` keeps the addresses that are given out.

    `pods` is the range of the whole cluster, `node` this node's slice of it.
    """

    def __init__(self, cluster: str, pods: IPv4Network, node: IPv4Network, directory: Path) -> None:
        self._cluster = cluster
        self._pods = pods
        self._node = node
        self.gateway = gateway(node)
        self._addresses = Addresses(node, directory)
        self._table = masquerade.table_name(cluster)
        self._opened = asyncio.Event()
        self._is_guarded = False
        self._listing = ""
        """The table in nft's words, as it is when nobody has changed it."""
        self._attached: dict[str, str] = {}
        """Pod uid to the path of its network namespace."""
        self._repairing = asyncio.Lock()

    async def open(self) -> None:
        """Makes what all pods share. Without nftables pods still reach one another: that is only logged."""
        await asyncio.to_thread(links.add_gateway, self.gateway, self._node)
        await self._install()
        self._opened.set()

    async def _install(self) -> None:
        try:
            await asyncio.to_thread(masquerade.install, self._table, self._pods)
            self._is_guarded = True
        except OSError as error:
            log.warning("pods cannot reach beyond this machine error=%r", str(error))
        self._listing = self._listing or await self._listed()

    async def _reinstall(self) -> None:
        """Again, should the outcome not read as before: somebody was at it just now, or nft is another version."""
        await self._install()
        if (listing := await self._listed()) == self._listing:
            return
        await self._install()
        if listing and listing == await self._listed():
            self._listing = listing

    async def attach(self, pod_uid: str, netns_path: str) -> str:
        """Gives the pod its address, the same one each time; waits for `open`. Raises OSError, NoAddressLeft."""
        await self._opened.wait()
        address = self._addresses.take(pod_uid)
        await self._link(pod_uid, netns_path, address)
        self._attached[pod_uid] = netns_path
        return str(address)

    async def _link(self, pod_uid: str, netns_path: str, address: IPv4Address) -> None:
        name = links.link_name(self._cluster, pod_uid)
        await asyncio.to_thread(links.attach, name, netns_path, address, self.gateway)
        if self._is_guarded:
            links.pass_loopback(name)

    async def detach(self, pod_uid: str) -> None:
        """Takes link and address away; nothing if the pod has none."""
        self._attached.pop(pod_uid, None)
        async with self._repairing:
            pass  # what may be under way for the pod
        await asyncio.to_thread(links.detach, links.link_name(self._cluster, pod_uid))
        self._addresses.release(pod_uid)

    async def recover(self, live: Mapping[str, str]) -> None:
        """Takes away what pods have that do not exist any more; `live` is pod uid to path of network namespace."""
        for uid in self._addresses.keep_only(live):
            await asyncio.to_thread(links.detach, links.link_name(self._cluster, uid))
        self._attached = dict(live)

    async def keep(self, clock: Clock) -> None:
        """Puts back what somebody else takes away, until cancelled (D51). After `open`."""
        await guard(self._table, clock, self.repair)

    async def repair(self, rules: bool = True) -> None:
        """Looks at gateway and pods, and at the rules if asked to, and makes anew what is not as it should be.

        Raises OSError, after all that can be done, for what could not.
        """
        if not state.is_own(self.gateway) or not await asyncio.to_thread(state.loops, self._node):
            log.warning("someone removed the pods' gateway; it is put back address=%s", self.gateway)
            await asyncio.to_thread(links.add_gateway, self.gateway, self._node)
        if self._is_guarded and (not state.forwards() or (rules and await self._listed() != self._listing)):
            log.warning("someone changed the pods' rules; they are put back table=%s", self._table)
            await self._reinstall()
        failures = []
        for pod_uid, address in (await asyncio.to_thread(self._cut_off, set(self._attached))).items():
            try:
                await self._relink(pod_uid, address)
            except OSError as error:
                failures.append(f"pod {pod_uid}: {error}")
        if failures:
            raise OSError(f"pods stay cut off: {'; '.join(failures)}")

    async def _listed(self) -> str:
        return await asyncio.to_thread(masquerade.listing, self._table)

    def _cut_off(self, attached: Collection[str]) -> dict[str, IPv4Address]:
        """Those of the pods that cannot be reached at their address, by uid."""
        held = {uid: address for uid, address in self._addresses.held().items() if uid in attached}
        uids = {links.link_name(self._cluster, uid): uid for uid in held}
        return {uids[name]: held[uids[name]] for name in state.broken({name: held[uid] for name, uid in uids.items()})}

    async def _relink(self, pod_uid: str, address: IPv4Address) -> None:
        async with self._repairing:
            if (netns_path := self._attached.get(pod_uid)) is None:
                return  # it is leaving
            log.warning("someone cut off a pod; it is linked again pod=%s address=%s", pod_uid, address)
            await self._link(pod_uid, netns_path, address)

    async def close(self) -> None:
        """Removes everything, of pods too."""
        await self.recover({})
        await asyncio.to_thread(links.remove_gateway, self.gateway, self._node)
        try:
            await asyncio.to_thread(masquerade.remove, self._table)
        except OSError as error:
            log.warning("masquerading stays table=%s error=%r", self._table, str(error))
