"""Services of type LoadBalancer get this machine's address, where their ports are free there (D17)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.api.core.service import SERVICES
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


def plan(services: Iterable[Manifest], address: str, in_use: Mapping[Port, str]) -> list[Change]:
    """`in_use` says who on this machine listens on which port. Of two services the older one has a port."""
    taken = {port: f"port {port[1]}/{port[0].upper()} of {address} is in use by {who}" for port, who in in_use.items()}
    changes = []
    for service in sorted(services, key=lambda each: (not _has(each, address), *_age(each))):
        has = _has(service, address)
        if not _is_wanted(service):
            if has:
                changes.append(Change(service, ()))
            continue
        refusal = "" if has else next((taken[port] for port in _ports(service) if port in taken), "")
        if refusal or not has:
            changes.append(Change(service, (), refusal) if refusal else Change(service, (address,)))
        if not refusal:
            reason = f"is in use by the service {key_of(service)}"
            taken |= {port: f"port {port[1]}/{port[0].upper()} of {address} {reason}" for port in _ports(service)}
    return changes


def _is_wanted(service: Manifest) -> bool:
    """A service with a class belongs to whoever serves the class."""
    spec = service["spec"]
    is_leaving = "deletionTimestamp" in service["metadata"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not is_leaving


def _has(service: Manifest, address: str) -> bool:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [each.get("ip") for each in ingress] == [address]


def _age(service: Manifest) -> tuple[str, str]:
    return service["metadata"].get("creationTimestamp") or "", key_of(service)


def _ports(service: Manifest) -> list[Port]:
    return [((port.get("protocol") or "TCP").lower(), port["port"]) for port in service["spec"].get("ports") or ()]


def listeners(address: str, directory: Path = Path("/proc/net")) -> dict[Port, str]:
    """The ports that programs of this machine answer on at `address`."""
    found: dict[Port, str] = {}
    for protocol, state in _LISTENING.items():
        for name in (protocol, f"{protocol}6"):
            for line in _lines(directory / name):
                fields = line.split()
                host, _, port = fields[1].partition(":")
                if fields[3] == state and (set(host) == {"0"} or _decoded(host) == address):
                    found[protocol, int(port, 16)] = "a program of this machine"
    return found


def _decoded(host: str) -> str:
    """IPv4 as the kernel prints it, also where it is mapped into IPv6."""
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(host[-8:])))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()[1:]
    except OSError:
        return []


class LoadBalancers:
    """Keeps `status.loadBalancer` of all such services. `run` until cancelled."""

    def __init__(
        self, client: Client, informers: Informers, world: World, recorder: EventRecorder, address: str
    ) -> None:
        self._client = client
        self._world = world
        self._recorder = recorder
        self._address = address
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
        return service["spec"].get("type") == "LoadBalancer" or _has(service, self._address)

    async def _reconcile(self) -> bool:
        """Whether everyone has what they need; else it is to be tried again."""
        concerned = [service for service in self._services.list() if self._concerns(service)]
        in_use = await asyncio.to_thread(listeners, self._address)
        changes = plan(concerned, self._address, in_use)
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
