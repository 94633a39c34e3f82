"""Services of type LoadBalancer get this machine's address, where their ports are free there (D17)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from holdfast.api.core.service import SERVICES
from holdfast.api.core.service_addresses import family_of
from holdfast.api.discovery.listing import families_of
from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.events import EventRecorder
from holdfast.client.informer import Informers, key_of, split_key
from holdfast.world import World

log = logging.getLogger(__name__)

RETRY_AFTER_S = 5.0
_LISTENING = {"tcp": "0A", "udp": "07"}

Port = tuple[str, int]
"""("tcp", 80)"""


@dataclass(frozen=True, slots=True)
class Change:
    """What a service's status needs. `refusal` is why it gets no address; then nothing is written."""

    service: Manifest
    ingress: tuple[str, ...]
    refusal: str = ""


def plan(services: Iterable[Manifest], addresses: Sequence[str], in_use: Mapping[Port, str]) -> list[Change]:
    """`addresses` are this machine's, one of each family that it has; `in_use` says who listens on which port of it.

    Of two services the older one has a port.
    """
    taken = {port: _refusal(port, addresses, f"by {who}") for port, who in in_use.items()}
    changes = []
    for service in sorted(services, key=lambda each: (not _has_any(each, addresses), *_age(each))):
        has, wanted = _ingress(service), _wanted(service, addresses)
        if not _is_wanted(service) or not wanted:
            if _has_any(service, addresses):
                changes.append(Change(service, ()))
            continue
        ports = _ports(service)
        refusal = "" if has == wanted else next((taken[port] for port in ports if port in taken), "")
        if refusal or has != wanted:
            changes.append(Change(service, (), refusal) if refusal else Change(service, wanted))
        if not refusal:
            taken |= {port: _refusal(port, wanted, f"by the service {key_of(service)}") for port in ports}
    return changes


def _refusal(port: Port, addresses: Sequence[str], by: str) -> str:
    return f"port {port[1]}/{port[0].upper()} of {addresses[0]} is in use {by}"


def _wanted(service: Manifest, addresses: Sequence[str]) -> tuple[str, ...]:
    """Those of the service's families, in its order."""
    by_family = {family_of(address): address for address in addresses}
    return tuple(by_family[family] for family in families_of(service) if family in by_family)


def _is_wanted(service: Manifest) -> bool:
    """A service with a class belongs to whoever serves the class."""
    spec = service["spec"]
    is_leaving = "deletionTimestamp" in service["metadata"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not is_leaving


def _ingress(service: Manifest) -> tuple[str, ...]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(each.get("ip") or "" for each in ingress)


def _has_any(service: Manifest, addresses: Sequence[str]) -> bool:
    """Whether what the service has was given by us."""
    has = _ingress(service)
    return bool(has) and set(has) <= set(addresses)


def _age(service: Manifest) -> tuple[str, str]:
    return service["metadata"].get("creationTimestamp") or "", key_of(service)


def _ports(service: Manifest) -> list[Port]:
    return [((port.get("protocol") or "TCP").lower(), port["port"]) for port in service["spec"].get("ports") or ()]


def listeners(addresses: Sequence[str], directory: Path = Path("/proc/net")) -> dict[Port, str]:
    """The ports that programs of this machine answer on at one of the addresses."""
    found: dict[Port, str] = {}
    for protocol, state in _LISTENING.items():
        for name in (protocol, f"{protocol}6"):
            for line in _lines(directory / name):
                fields = line.split()
                host, _, port = fields[1].partition(":")
                if fields[3] == state and (set(host) == {"0"} or {*_decoded(host)} & {*addresses}):
                    found[protocol, int(port, 16)] = "a program of this machine"
    return found


def _decoded(host: str) -> Iterator[str]:
    """As the kernel prints it, in words of four bytes; IPv4 also where it is mapped into IPv6."""
    words = [bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8)]
    yield str(IPv4Address(words[-1]))
    if len(words) > 1:
        yield str(IPv6Address(b"".join(words)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()[1:]
    except OSError:
        return []


class LoadBalancers:
    """Keeps `status.loadBalancer` of all such services. `run` until cancelled."""

    def __init__(
        self, client: Client, informers: Informers, world: World, recorder: EventRecorder, addresses: Sequence[str]
    ) -> None:
        """`addresses` are this machine's, one of each family that the cluster has."""
        self._client = client
        self._world = world
        self._recorder = recorder
        self._addresses = addresses
        self._services = informers.of(SERVICES)
        self._wake = asyncio.Event()
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        end = self._services.subscribe(self._service_changed)
        try:
            await self._services.wait_synced()
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not await self._reconcile():
                    await self._world.clock.sleep(RETRY_AFTER_S)
                    self._wake.set()
        finally:
            end()

    def _service_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        if any(each is not None and self._concerns(each) for each in (old, new)):
            self._wake.set()

    def _concerns(self, service: Manifest) -> bool:
        return service["spec"].get("type") == "LoadBalancer" or _has_any(service, self._addresses)

    async def _reconcile(self) -> bool:
        """Whether everyone has what they need; else it is to be tried again."""
        concerned = [service for service in self._services.list() if self._concerns(service)]
        in_use = await asyncio.to_thread(listeners, self._addresses)
        changes = plan(concerned, self._addresses, in_use)
        self._told = {key_of(each.service): each.refusal for each in changes if self._is_known(each)}
        results = [await self._perform(change) for change in changes]
        return all(results)

    def _is_known(self, change: Change) -> bool:
        return bool(change.refusal) and self._told.get(key_of(change.service)) == change.refusal

    async def _perform(self, change: Change) -> bool:
        service, key = change.service, key_of(change.service)
        if change.refusal:
            if key not in self._told:
                self._told[key] = change.refusal
                message = f"Error syncing load balancer: failed to ensure load balancer: {change.refusal}"
                self._recorder.record(service, "Warning", "SyncLoadBalancerFailed", message)
            return False
        ingress = [{"ip": address, "ipMode": "VIP"} for address in change.ingress] or None
        namespace, name = split_key(key)
        try:
            patch = {"status": {"loadBalancer": {"ingress": ingress}}}
            written = await self._client.patch(SERVICES, name, patch, namespace, subresource="status")
        except ApiError as error:
            log.warning("load balancer status not written service=%s error=%s", key, error)
            return error.code == 404
        if ingress:
            self._recorder.record(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        await self._services.wait_for(key, written["metadata"]["resourceVersion"])
        return True
