"""One node's pod network: addresses, links and the way out, kept in step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

from holdfast.world import Clock

from . import forwarding, links, masquerade, state
from .addresses import Addresses
from .gate import Gate
from .guard import guard
from .ranges import Address, Network, Slice

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attached:
    """A pod that has its link."""

    netns_path: str
    addresses: tuple[Address, ...]


class PodNetwork:
    """`cluster` tells clusters of one machine apart; `directory` keeps the addresses that are given out.

    `slices` are what this node has of the cluster's ranges, IPv4 first: with IPv6, a pod's second address has the same
    place in its slice as the first one has in its own, so that there is nothing more to keep. At `gate`, pods wait for
    what policies say of them.
    """

    def __init__(self, cluster: str, slices: Sequence[Slice], directory: Path, gate: Gate | None = None) -> None:
        self._cluster = cluster
        self._gate = gate or Gate()
        self._slices = slices
        own = slices[0].node
        assert isinstance(own, IPv4Network)
        self._addresses = Addresses(own, directory)
        self._table = masquerade.table_name(cluster)
        self._opened = asyncio.Event()
        self._guarded: set[Network] = set()
        """The ranges of pods whose rules are set."""
        self._listings: dict[Network, str] = {}
        """The tables in nft's words, as they are when nobody has changed them."""
        self._attached: dict[str, Attached] = {}
        """By the pod's uid."""
        self._repairing = asyncio.Lock()

    async def open(self) -> None:
        """Makes what all pods share. Without nftables pods still reach one another: that is only logged."""
        for slice in self._slices:
            await asyncio.to_thread(links.add_gateway, slice.gateway, slice.node)
            await self._install(slice.pods)
        self._opened.set()

    async def _install(self, pods: Network) -> None:
        try:
            await asyncio.to_thread(masquerade.install, self._table, pods)
            self._guarded.add(pods)
        except OSError as error:
            log.warning("pods cannot reach beyond this machine range=%s error=%r", pods, str(error))
        self._listings[pods] = self._listings.get(pods) or await self._listed(pods)

    async def _reinstall(self, pods: Network) -> None:
        """Again, should the outcome not read as before: somebody was at it just now, or nft is another version."""
        await self._install(pods)
        if (listing := await self._listed(pods)) == self._listings[pods]:
            return
        await self._install(pods)
        if listing and listing == await self._listed(pods):
            self._listings[pods] = listing

    async def take(self, pod_uid: str) -> tuple[str, ...]:
        """The pod's addresses, the same each time; waits for `open`. Raises OSError, NoAddressLeft."""
        await self._opened.wait()
        return tuple(map(str, self._addresses_of(self._addresses.take(pod_uid))))

    async def attach(self, pod_uid: str, netns_path: str) -> None:
        """Makes the pod's addresses lead to its network namespace. Raises OSError, NoAddressLeft."""
        attached = Attached(netns_path, self._addresses_of(self._addresses.take(pod_uid)))
        await self._gate.admit(pod_uid, tuple(map(str, attached.addresses)))
        await self._link(pod_uid, attached)
        self._attached[pod_uid] = attached

    def _addresses_of(self, first: IPv4Address) -> tuple[Address, ...]:
        place = int(first) - int(self._slices[0].node.network_address)
        return tuple(slice.node[place] for slice in self._slices)

    async def _link(self, pod_uid: str, attached: Attached) -> None:
        name = links.link_name(self._cluster, pod_uid)
        gateways = {slice.node.version: slice.gateway for slice in self._slices}
        routed = [(each, gateways[each.version]) for each in attached.addresses if each.version in gateways]
        await asyncio.to_thread(links.attach, name, attached.netns_path, routed)
        if self._guarded:
            links.pass_loopback(name)

    async def detach(self, pod_uid: str) -> None:
        """Takes link and addresses away; nothing if the pod has none."""
        self._attached.pop(pod_uid, None)
        async with self._repairing:
            pass  # what may be under way for the pod
        await asyncio.to_thread(links.detach, links.link_name(self._cluster, pod_uid))
        self._addresses.release(pod_uid)
        self._gate.leave(pod_uid)

    async def recover(self, live: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        """Takes away what pods have that do not exist any more.

        `live` is pod uid to path of network namespace, and the addresses that the pod was told of.
        """
        for uid in self._addresses.keep_only(live):
            await asyncio.to_thread(links.detach, links.link_name(self._cluster, uid))
            self._gate.leave(uid)
        self._attached = {
            uid: Attached(path, tuple(map(ip_address, told))) for uid, (path, told) in live.items() if told
        }
        for uid, attached in self._attached.items():
            self._gate.is_within(uid, tuple(map(str, attached.addresses)))

    async def keep(self, clock: Clock) -> None:
        """Puts back what somebody else takes away, until cancelled (D51). After `open`."""
        await guard(self._table, clock, self.repair)

    async def repair(self, rules: bool = True) -> None:
        """Looks at gateways and pods, and at the rules if asked to, and makes anew what is not as it should be.

        Raises OSError, after all that can be done, for what could not.
        """
        for slice in self._slices:
            if not state.is_own(slice.gateway) or not await asyncio.to_thread(state.loops, slice.node):
                log.warning("someone removed the pods' gateway; it is put back address=%s", slice.gateway)
                await asyncio.to_thread(links.add_gateway, slice.gateway, slice.node)
            if slice.pods in self._guarded and not await self._is_passed(slice.pods, rules):
                log.warning("someone changed the pods' rules; they are put back table=%s", self._table)
                await self._reinstall(slice.pods)
        failures = []
        for pod_uid in await asyncio.to_thread(self._cut_off, set(self._attached)):
            try:
                await self._relink(pod_uid)
            except OSError as error:
                failures.append(f"pod {pod_uid}: {error}")
        if failures:
            raise OSError(f"pods stay cut off: {'; '.join(failures)}")

    async def _is_passed(self, pods: Network, rules: bool) -> bool:
        if not forwarding.forwards(pods.version):
            return False
        return not rules or await self._listed(pods) == self._listings[pods]

    async def _listed(self, pods: Network) -> str:
        return await asyncio.to_thread(masquerade.listing, self._table, pods)

    def _cut_off(self, pod_uids: Collection[str]) -> list[str]:
        """Those of the pods that cannot be reached at one of their addresses."""
        attached = {uid: self._attached.get(uid) for uid in pod_uids}
        names = {links.link_name(self._cluster, uid): uid for uid, each in attached.items() if each is not None}
        held = {name: found.addresses for name, uid in names.items() if (found := attached[uid]) is not None}
        return [names[name] for name in state.broken(held)]

    async def _relink(self, pod_uid: str) -> None:
        async with self._repairing:
            if (attached := self._attached.get(pod_uid)) is None:
                return  # it is leaving
            addresses = ", ".join(map(str, attached.addresses))
            log.warning("someone cut off a pod; it is linked again pod=%s addresses=%s", pod_uid, addresses)
            await self._link(pod_uid, attached)

    async def close(self) -> None:
        """Removes everything, of pods too."""
        await self.recover({})
        for slice in self._slices:
            await asyncio.to_thread(links.remove_gateway, slice.gateway, slice.node)
        if await asyncio.to_thread(state.is_in_use, self._slices[0].pods):
            return  # by another node, whose pods need the rules as long as they run
        try:
            await asyncio.to_thread(masquerade.remove, self._table, [slice.pods for slice in self._slices])
        except OSError as error:
            log.warning("masquerading stays table=%s error=%r", self._table, str(error))
