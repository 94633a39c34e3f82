"""What the controllers of namespaces look at. Keys are namespaces."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.api import registry
from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import ApiError, Forbidden, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.client import Client
from holdfast.client.defined_kinds import kind_of
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Create, Plan, Update
from holdfast.world import Clock

from .plan import ObservedNamespace, first_pods, plan_deletion

ROOT_CA = "kube-root-ca.crt"
ROOT_CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the"
    " internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes"
    " clusters."
)


def is_going(namespace: Manifest) -> bool:
    return bool(namespace["metadata"].get("deletionTimestamp"))


class NamespaceDeletion:
    """Empties namespaces that go. Reads the server, not a view: nothing may be overlooked."""

    name = "namespace-controller"
    concurrency = 4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        resources = [each for each in registry.STORED if each.namespaced and {"list", "delete"} <= set(each.verbs)]
        self._kinds = tuple(each for each in resources if each is not PODS)

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._namespaces = informers.of(NAMESPACES)

        def on_namespace(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and is_going(new):
                queue.add(key_of(new))

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None or old is None:
                return
            namespace = self._namespaces.get(old["metadata"]["namespace"])
            if namespace is not None and is_going(namespace):
                queue.add(key_of(namespace))

        self._namespaces.subscribe(on_namespace)
        informers.of(PODS).subscribe(on_pod)

    def observe(self, key: str) -> ObservedNamespace | None:
        namespace = self._namespaces.get(key)
        if namespace is None or not is_going(namespace):
            return None
        return ObservedNamespace(namespace, {}, self._clock.now())

    async def verify(self, observed: ObservedNamespace, client: Client) -> ObservedNamespace | None:
        name = observed.namespace["metadata"]["name"]
        content: dict[Resource, list[Manifest]] = {}
        unread = []
        for resource in (PODS, *self._kinds, *await self._defined(client)):
            if PODS in content:
                break
            try:
                items = (await client.list(resource, name)).items
            except NotFound:
                continue  # its definition has just gone
            except ApiError as error:
                unread.append(str(error))
            else:
                content |= {resource: items} if items else {}
        try:
            live = await client.get(NAMESPACES, name)
        except NotFound:
            return None
        if not is_going(live):
            return None
        return replace(observed, namespace=live, content=first_pods(content), unread=unread)

    async def _defined(self, client: Client) -> list[Resource]:
        """The namespaced kinds that definitions have established."""
        definitions = (await client.list(CUSTOM_RESOURCE_DEFINITIONS)).items
        return [kind for each in definitions if (kind := kind_of(each)) is not None and kind.namespaced]

    def plan(self, observed: ObservedNamespace) -> Plan:
        return plan_deletion(observed)


@dataclass(frozen=True, slots=True)
class ObservedGifts:
    """What a namespace is given, and has."""

    name: str
    account: Manifest | None
    root_ca: Manifest | None


class NamespaceGifts:
    """Gives each namespace its account `default` and the authority's certificate, again if they are taken away."""

    name = "namespace-gifts-controller"
    concurrency = 2

    def __init__(self, root_ca: str) -> None:
        """`root_ca` is the certificate of the authority that signed the API server's, as PEM."""
        self._root_ca = root_ca

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._namespaces = informers.of(NAMESPACES)
        self._accounts, self._maps = informers.of(SERVICE_ACCOUNTS), informers.of(CONFIG_MAPS)

        def on_namespace(old: Manifest | None, new: Manifest | None) -> None:
            if old is None and new is not None:
                queue.add(key_of(new))

        def on_account(old: Manifest | None, new: Manifest | None) -> None:
            if new is None and old is not None and old["metadata"]["name"] == "default":
                queue.add(old["metadata"]["namespace"])

        def on_map(old: Manifest | None, new: Manifest | None) -> None:
            config_map = new or old
            if old is not None and config_map is not None and config_map["metadata"]["name"] == ROOT_CA:
                queue.add(config_map["metadata"]["namespace"])

        self._namespaces.subscribe(on_namespace)
        self._accounts.subscribe(on_account)
        self._maps.subscribe(on_map)

    def observe(self, key: str) -> ObservedGifts | None:
        namespace = self._namespaces.get(key)
        if namespace is None or is_going(namespace):
            return None
        return ObservedGifts(key, self._accounts.get(f"{key}/default"), self._maps.get(f"{key}/{ROOT_CA}"))

    def plan(self, observed: ObservedGifts) -> Plan:
        """W105, W108. A namespace that is on its way out refuses them: that is no failure.

        The account comes last: pods wait for it, and need the certificate as soon as they have it.
        """
        actions: list[Create | Update] = []
        data = {"ca.crt": self._root_ca}
        if observed.root_ca is None:
            metadata = {"name": ROOT_CA, "namespace": observed.name}
            metadata_with_note = {**metadata, "annotations": {"kubernetes.io/description": ROOT_CA_NOTE}}
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata_with_note, "data": data}
            actions.append(Create(CONFIG_MAPS, made, may_exist=True, ignore=(Forbidden, NotFound)))
        elif observed.root_ca.get("data") != data:
            actions.append(Update(CONFIG_MAPS, {**observed.root_ca, "data": data}))
        if observed.account is None:
            account = {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": observed.name},
            }
            actions.append(Create(SERVICE_ACCOUNTS, account, may_exist=True, ignore=(Forbidden, NotFound)))
        return Plan("gifts are missing" if actions else "nothing is missing", tuple(actions))
