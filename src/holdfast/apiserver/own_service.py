"""The service `kubernetes` of the namespace `default`, which leads to this server, and whatever it needs (D19)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.errors import AlreadyExists, ApiError
from holdfast.api.resource import Manifest, Resource

from .cache import Event
from .local import LocalClient, exists

if TYPE_CHECKING:
    from .api import Api

log = logging.getLogger(__name__)

NAMESPACE, NAME = "default", "kubernetes"
METADATA = {"name": NAME, "namespace": NAMESPACE}
RETRY_S = 10.0
"""As often as upstream looks."""


class OwnService:
    """The three objects; none is complete without the server's address, which may be another one at each start."""

    def __init__(self, client: LocalClient, service_address: str, server_address: str) -> None:
        """`server_address` is HOST:PORT."""
        self._client = client
        self._service_address = service_address
        self._host, _, port = server_address.rpartition(":")
        self._port = int(port)

    async def ensure(self) -> None:
        """Makes the service if it is missing; brings up to date where it leads to. Raises ApiError."""
        if not await exists(self._client, SERVICES, NAME, NAMESPACE):
            await self._create(SERVICES, self._service())
        if self._host.startswith("127.") or not self._host.replace(".", "").isdigit():
            return  # no address that pods could reach; endpoints may not lie in the loopback range
        await self._put(ENDPOINTS, self._endpoints())
        await self._put(ENDPOINT_SLICES, self._slice())

    def _service(self) -> Manifest:
        ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": self._port}]
        labels = {"component": "apiserver", "provider": "kubernetes"}
        return {
            "metadata": {**METADATA, "labels": labels},
            "spec": {"clusterIP": self._service_address, "ports": ports},
        }

    def _endpoints(self) -> Manifest:
        labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
        subset = {"addresses": [{"ip": self._host}], "ports": self._ports()}
        return {"metadata": {**METADATA, "labels": labels}, "subsets": [subset]}

    def _slice(self) -> Manifest:
        return {
            "metadata": {**METADATA, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [self._host], "conditions": {"ready": True}}],
            "ports": self._ports(),
        }

    def _ports(self) -> list[Manifest]:
        return [{"name": "https", "port": self._port, "protocol": "TCP"}]

    async def _put(self, resource: Resource, manifest: Manifest) -> None:
        if await exists(self._client, resource, NAME, NAMESPACE):
            await self._client.update(resource, manifest)
        else:
            await self._create(resource, manifest)

    async def _create(self, resource: Resource, manifest: Manifest) -> None:
        try:
            await self._client.create(resource, manifest)
        except AlreadyExists:
            return


async def keep_own_service(api: Api, own: OwnService) -> None:
    """Until cancelled. Whatever of it is deleted, as by `kubectl delete all --all`, is made anew at once."""
    news = asyncio.Event()

    def see(event: Event) -> None:
        if event.is_delete and (event.new.namespace, event.new.name) == (NAMESPACE, NAME):
            news.set()

    stops = [api.objects(resource).follow(see) for resource in (SERVICES, ENDPOINTS, ENDPOINT_SLICES)]
    try:
        while True:
            await news.wait()
            news.clear()
            try:
                await own.ensure()
            except ApiError as error:
                log.warning("own service not written reason=%s message=%s", error.reason, error)
                await asyncio.sleep(RETRY_S)
                news.set()
    finally:
        for stop in stops:
            stop()
