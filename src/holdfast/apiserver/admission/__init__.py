"""Admission: plain functions in a list per resource, called in upstream's order (A233). None registered costs nothing.

A plugin's `admit` may change the new object, which is private to the request; `check` only refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.batch.job import JOBS
from holdfast.api.certificates.certificate_signing_request import CERTIFICATE_SIGNING_REQUESTS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.pod_template import POD_TEMPLATES
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.networking.ingress import INGRESSES
from holdfast.api.resource import Manifest, Resource
from holdfast.api.scheduling.priority_class import PRIORITY_CLASSES
from holdfast.api.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES
from holdfast.apiserver.auth import escalation
from holdfast.apiserver.auth.authorization import Authorizer
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call
from holdfast.world import World

from . import (
    account_volumes,
    certificates,
    claims,
    ingresses,
    limits,
    namespaces,
    nodes,
    pod_security,
    pods,
    runtime_classes,
    topology,
)
from .quotas import Quotas

Plugin = Callable[[Cache, Call, Manifest, Manifest | None], None]
"""(cache, call, new, old); `old` is None on create. Raises what refuses the request."""

MUTATING: dict[Resource, Sequence[Plugin]] = {
    NAMESPACES: (namespaces.label,),
    NODES: (nodes.own_only, nodes.taint_until_ready),
    PODS: (
        limits.fill,
        pods.service_account,
        pods.priority,
        pods.default_tolerations,
        runtime_classes.apply,
        topology.label,
    ),
    PERSISTENT_VOLUME_CLAIMS: (claims.default_class, claims.protect_claim),
    PERSISTENT_VOLUMES: (claims.protect_volume,),
    VOLUME_ATTRIBUTES_CLASSES: (claims.protect_attributes_class,),
    CERTIFICATE_SIGNING_REQUESTS: (certificates.set_requestor,),
    INGRESSES: (ingresses.default_class,),
}
_WITH_TEMPLATE = (
    REPLICATION_CONTROLLERS,
    POD_TEMPLATES,
    REPLICA_SETS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    DAEMON_SETS,
    JOBS,
    CRON_JOBS,
)
VALIDATING: dict[Resource, Sequence[Plugin]] = {
    NAMESPACES: (pod_security.check_namespace,),
    PODS: (limits.check, pod_security.check_pod),
    **dict.fromkeys(_WITH_TEMPLATE, (pod_security.warn_of_template,)),
    PRIORITY_CLASSES: (pods.one_default_class,),
    PERSISTENT_VOLUME_CLAIMS: (limits.check, claims.check_resize),
    CERTIFICATE_SIGNING_REQUESTS: (certificates.refuse_masters,),
}
BELOW_MUTATING: dict[str, Sequence[Plugin]] = {"resize": (limits.fill,)}
BELOW_VALIDATING: dict[str, Sequence[Plugin]] = {
    "resize": (limits.check,),
    "ephemeralcontainers": (pod_security.check_pod,),
}
"""Of pods through their subresources."""


class Admission:
    def __init__(self, cache: Cache, world: World, authorizer: Authorizer) -> None:
        self._cache = cache
        self._world = world
        self._authorizer = authorizer
        self._quotas = Quotas(cache, world.clock)

    async def settle(self, call: Call, new: Manifest) -> None:
        """Waits for what others make a moment after a namespace (A234)."""
        if call.resource is PODS:
            await pods.wait_for_account(self._cache, call, new)

    def check_namespace(self, call: Call, new: Manifest) -> None:
        """For a new object that others have held up. Raises NotFound, Forbidden."""
        namespaces.must_take_new_objects(self._cache, call, new, self._world.clock.now())

    def admit(self, call: Call, new: Manifest, old: Manifest | None) -> None:
        """Changes `new` as the cluster wants it. Raises Forbidden, NotFound."""
        if call.subresource:
            for plugin in BELOW_MUTATING.get(call.subresource, ()):
                plugin(self._cache, call, new, old)
            return
        if old is None:
            namespaces.must_take_new_objects(self._cache, call, new, self._world.clock.now())
        for plugin in MUTATING.get(call.resource, ()):
            plugin(self._cache, call, new, old)
        if call.resource is PODS and old is None:
            account_volumes.mount(self._cache, call, new, self._world.random)

    def check(self, call: Call, new: Manifest, old: Manifest | None) -> None:
        """The final word on an object that is valid by itself. Raises Forbidden, Invalid."""
        certificates.check_signer(self._authorizer, call, new, old)
        if call.subresource:
            for plugin in BELOW_VALIDATING.get(call.subresource, ()):
                plugin(self._cache, call, new, old)
            return
        escalation.check(self._authorizer, call, new, old)
        for plugin in VALIDATING.get(call.resource, ()):
            plugin(self._cache, call, new, old)

    def charged(self, call: Call, new: Manifest, old: Manifest | None) -> AbstractContextManager[None]:
        """Last of all: holds what the write uses of quotas until the block ends. Raises Forbidden."""
        return self._quotas.charged(call, new, old)

    def check_delete(self, call: Call, old: Manifest) -> None:
        """Raises Forbidden."""
        if call.resource is NAMESPACES:
            namespaces.must_be_mortal(call)
