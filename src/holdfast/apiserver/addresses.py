"""IPAddress objects: which service has which address of the range, for whoever looks there.

They follow the services, as upstream's repair loop makes them do, and reserve nothing: what is in use is read off
the services themselves (`allocation`). One that somebody else made reserves its address.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from holdfast.api.core.service import SERVICES
from holdfast.api.core.service_addresses import family_of
from holdfast.api.errors import ApiError
from holdfast.api.networking.ip_address import IP_ADDRESSES, MANAGED_BY, OURS
from holdfast.api.resource import Manifest

from .auth.user import component
from .cache import Event, Stored
from .call import Call
from .options import DeleteOptions

if TYPE_CHECKING:
    from .api import Api

log = logging.getLogger(__name__)

Owner = tuple[str, str]
"""Namespace and name of a service."""


async def keep_addresses(api: Api) -> None:
    """Until cancelled. Does nothing while no service comes or goes."""
    mirror = Mirror(api)
    stop = api.objects(SERVICES).follow(mirror.see)
    try:
        while True:
            await mirror.news.wait()
            mirror.news.clear()
            await mirror.settle()
    finally:
        stop()


class Mirror:
    """What the services say, and which addresses have to be looked at again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._owners: dict[str, Owner] = {}
        self._changed: set[str] = {one.name for one in api.objects(IP_ADDRESSES).select() if _is_ours(one)}
        for service in api.objects(SERVICES).select():
            self._add(service)
        self.news = asyncio.Event()
        self.news.set()

    def see(self, event: Event) -> None:
        for address in _addresses(event.old) if event.old is not None else ():
            self._owners.pop(address, None)
            self._changed.add(address)
        if not event.is_delete:
            self._add(event.new)
        if self._changed:
            self.news.set()

    def _add(self, service: Stored) -> None:
        for address in _addresses(service):
            self._owners[address] = (service.namespace, service.name)
            self._changed.add(address)

    async def settle(self) -> None:
        """Brings the objects of all addresses that changed up to date."""
        changed, self._changed = self._changed, set()
        await asyncio.gather(*(self._settle(address) for address in sorted(changed)))

    async def _settle(self, address: str) -> None:
        api, owner = self._api, self._owners.get(address)
        call = Call(component("apiserver"), IP_ADDRESSES, "", address, manager="kube-apiserver")
        found = api.objects(IP_ADDRESSES).get("", address)
        if found is not None and (not _is_ours(found) or found.manifest["spec"] == _spec(owner)):
            return
        try:
            if found is not None:
                await api.delete(call, DeleteOptions(resource_version=str(found.revision)))
            if owner is not None:
                await api.create(call, _object(address, owner))
        except ApiError as error:  # the next change of the service, or the next start, looks again
            log.warning("address not written address=%s reason=%s", address, error.reason)


def _is_ours(address: Stored) -> bool:
    return address.labels.get(MANAGED_BY) == OURS


def _addresses(service: Stored) -> list[str]:
    return [address for address in service.manifest.get("spec", {}).get("clusterIPs") or () if address != "None"]


def _spec(owner: Owner | None) -> Manifest:
    if owner is None:
        return {}
    namespace, name = owner
    return {"parentRef": {"resource": "services", "namespace": namespace, "name": name}}


def _object(address: str, owner: Owner) -> Manifest:
    labels = {"ipaddress.kubernetes.io/ip-family": family_of(address), MANAGED_BY: OURS}
    head = {"kind": IP_ADDRESSES.kind, "apiVersion": IP_ADDRESSES.api_version}
    return {**head, "metadata": {"name": address, "labels": labels}, "spec": _spec(owner)}
