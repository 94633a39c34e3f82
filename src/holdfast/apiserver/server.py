"""The API server as one object: store in, requests and in-process clients out.

It opens no socket and reads no clock of its own: `holdfast.cluster` gives `handler` to `wire.http.serve`, the
simulation only takes clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from holdfast.api import registry
from holdfast.api.core.component_status import COMPONENT_STATUSES
from holdfast.api.core.service import SERVICES
from holdfast.api.kinds import Kinds
from holdfast.api.networking.ip_address import IP_ADDRESSES
from holdfast.api.networking.service_cidr import SERVICE_CIDRS
from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from holdfast.api.rbac.role import ROLES
from holdfast.api.rbac.role_binding import ROLE_BINDINGS
from holdfast.api.resource import Manifest, Resource
from holdfast.store import Store
from holdfast.wire.client import Dial
from holdfast.wire.messages import Answer, Request, Response
from holdfast.world import World

from . import bootstrap, components, handling, health, views
from .addresses import keep_addresses
from .allocation import Allocation
from .api import Api
from .auth.account_tokens import AccountTokens
from .auth.authorization import Authorizer
from .auth.bootstrap_tokens import BootstrapTokens
from .auth.on_nodes import OnNodes
from .auth.reviews import Reviewer, is_review
from .auth.signing import SigningKey
from .auth.tokens import Tokens
from .auth.user import User, component
from .cache import Cache, ResourceCache
from .call import Call
from .conversion import STORED_AS
from .conversion_webhooks import Conversions
from .custom_kinds import CustomKinds
from .discovery import Discovery
from .expiry import expire_events
from .local import LocalClient
from .negotiation import Form
from .own_service import OwnService, keep_own_service
from .tally import Tally
from .watching import Hub

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .admission.dynamic.calling import Callers
    from .metrics import Metrics
    from .streams.dialing import NodeDialer

DEFAULT_NODE_PORTS = (30000, 32767)


@dataclass(frozen=True, slots=True)
class Config:
    """What an API server is told from outside."""

    tokens: Mapping[str, User] = field(default_factory=dict)
    """Bearer token to user."""
    service_cidrs: tuple[str, ...] = ("10.96.0.0/16",)
    """Where services' addresses come from: a range for each family, that of services which ask for none first."""
    node_ports: tuple[int, int] = DEFAULT_NODE_PORTS
    """First and last node port."""
    address: str = "127.0.0.1:6443"
    """`HOST:PORT` under which clients reach this server."""
    pods_address: str = ""
    """`HOST:PORT` under which pods reach this server by way of `kubernetes.default`; `address` unless it is set."""
    signing_key: SigningKey = field(default_factory=SigningKey)
    """Of the tokens of service accounts."""
    first_machine: tuple[str, ...] | None = None
    """The nodes beside this server; agents of all others may do less. None is all nodes."""
    bootstraps: bool = True
    """Whether to make the objects that every cluster has."""


def _is_stored(resource: Resource) -> bool:
    """It has objects of its own."""
    return resource not in STORED_AS and not is_review(resource) and resource is not COMPONENT_STATUSES


class ApiServer:
    def __init__(self, store: Store, world: World, config: Config | None = None) -> None:
        self.store = store
        self.world = world
        self.config = config or Config()
        self.streams: handling.Streams | None = None
        """Set by the composition: what reaches through to the nodes."""
        self.dialer: NodeDialer | None = None
        """The same: how the nodes are reached. Without it there are neither proxies nor metrics."""
        self.checks: dict[str, health.Check] = {"ping": lambda: True, "etcd": lambda: self._is_open}
        """By the names that upstream gives them: the store is no etcd, but who asks for it knows no other."""
        self.conversions = Conversions(world)
        self.kinds = Kinds(self.conversions.look)
        """What is served: more than is built in, once definitions are established."""
        self.discovery = Discovery(self.config.address, self.kinds)
        self.cache: Cache
        self.api: Api
        self.authorizer: Authorizer
        self.tokens: Tokens
        self.reviewer: Reviewer
        self._hubs: dict[int, Hub] = {}
        self._plain: dict[int, views.PlainView] = {}
        self._is_open = False
        self._upkeep: tuple[asyncio.Task[None], ...] = ()
        self.tally = Tally()
        self._handler = handling.Handler(self)

    async def open(self) -> None:
        """Fills the cache from the store, which must be open, and makes what is missing of a cluster's own objects."""
        self.cache = Cache(self.store, [resource for resource in registry.RESOURCES if _is_stored(resource)])
        for alias, resource in STORED_AS.items():
            self.cache.add(alias, resource)
        CustomKinds(self.kinds, self.cache, self._end)
        of = self.cache.of
        self.authorizer = Authorizer(
            of(ROLES),
            of(ROLE_BINDINGS),
            of(CLUSTER_ROLES),
            of(CLUSTER_ROLE_BINDINGS),
            OnNodes(self.cache),
            self.config.first_machine,
        )
        chance = self.world.random
        allocation = Allocation(
            of(SERVICES), of(IP_ADDRESSES), of(SERVICE_CIDRS), self.config.service_cidrs, self.config.node_ports, chance
        )
        accounts = AccountTokens(self.config.signing_key, self.cache, self.world)
        self.tokens = Tokens(self.config.tokens, accounts, BootstrapTokens(self.cache, self.world.clock))
        self.api = Api(
            self.store,
            self.world,
            self.cache,
            allocation,
            self.authorizer,
            accounts,
            self.kinds,
            self._to_pods,
            self.conversions,
        )
        self.conversions.open(self.kinds, self._callers)
        self.api.components[components.STORE] = lambda: "" if self._is_open else components.not_there()
        self.reviewer = Reviewer(self.authorizer, self.tokens, self.api.now)
        self._is_open = True
        self._upkeep = (
            asyncio.create_task(expire_events(self.api)),
            asyncio.create_task(keep_addresses(self.api)),
        )
        if self.config.bootstraps:
            client, address = self.client("apiserver"), self.config.pods_address or self.config.address
            own = OwnService(client, allocation.first_address, address)
            await bootstrap.ensure(client, self.config.service_cidrs, own)
            self._upkeep += (asyncio.create_task(keep_own_service(self.api, own)),)

    async def close(self) -> None:
        """Ends every watch. The store is its owner's to close."""
        self._is_open = False
        for task in self._upkeep:
            task.cancel()
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        await self.api.dynamic.close()
        await self.conversions.close()
        for hub in self._hubs.values():
            hub.close()
        self._hubs.clear()
        self.cache.close()

    def _callers(self) -> Callers:
        from .admission.dynamic.calling import Callers

        return Callers(self.cache, self.world.random, self._to_pods)

    def _to_pods(self) -> Dial | None:
        """How pods are reached, where this is not simply done; the composition says so after the server has opened."""
        return None if self.dialer is None else self.dialer.to_pods

    def client(self, name: str) -> LocalClient:
        """For a part in this process, `name` being what it is called in `system:NAME`."""
        return LocalClient(self.api, component(name), self.reviewer, lambda: self.metrics)

    def find(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """An object. Raises NotFound."""
        return self.api.get(Call(component("apiserver"), resource, namespace, name)).manifest

    # -- what few clusters are asked for: loaded when it is

    @cached_property
    def proxy(self) -> handling.Proxy | None:
        """What passes requests on to pods, services and nodes."""
        if self.dialer is None:
            return None
        from .streams.proxying import ApiProxy

        return ApiProxy(self.dialer, self.find, self.world.random)

    @cached_property
    def metrics(self) -> Metrics | None:
        """What measures nodes and pods."""
        if self.dialer is None:
            return None
        from .metrics import Metrics

        return Metrics(self.api, self.dialer, self.world.clock)

    # -- HTTP

    @property
    def handler(self) -> Callable[[Request], Answer | Awaitable[Answer]]:
        """For `wire.http.serve`, together with `too_large` and `failed`."""
        return self._handler

    too_large = staticmethod(handling.too_large)
    failed = staticmethod(handling.failed)

    def openapi(self, request: Request) -> Response | None:
        """None if the path names no document."""
        from .openapi import handle

        return handle(request, self.kinds)

    # -- what the handler shares between requests

    def _end(self, objects: ResourceCache, versions: tuple[Resource, ...]) -> None:
        """Nothing is shown any more as these versions show it."""
        if (hub := self._hubs.pop(id(objects), None)) is not None:
            hub.close()
        for version in versions:
            self._plain.pop(id(version), None)

    def hub(self, resource: Resource) -> Hub:
        """The watches of a resource, from the first one on."""
        objects = self.cache.of(resource)
        if (hub := self._hubs.get(id(objects))) is None:
            hub = self._hubs[id(objects)] = Hub(self.cache, objects, self.world.random, self.conversions.coming)
        return hub

    def plain(self, resource: Resource) -> views.PlainView:
        if (view := self._plain.get(id(resource))) is None:
            view = self._plain[id(resource)] = views.plain(resource)
        return view

    def view_of(self, resource: Resource, form: Form, include: str, *, is_list: bool) -> views.View:
        if not form.shape:
            return self.plain(resource)
        return views.view_of(resource, form, include, self.world.clock, is_list=is_list)
