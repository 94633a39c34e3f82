"""The controllers, the scheduler and DNS of one cluster, as tasks over one client and one set of informers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Protocol

from holdfast.apiserver.components import CONTROLLERS, SCHEDULER, not_there
from holdfast.client import Client
from holdfast.client.informer import Informers
from holdfast.controllers.attachment.controller import NodeAttachments, VolumeAttacher
from holdfast.controllers.autoscaling.controller import AutoscalingController
from holdfast.controllers.bootstrap.controller import ClusterInfoSigner, TokenCleaner
from holdfast.controllers.certificates.controller import (
    RequestApproval,
    RequestCleaning,
    RequestSigning,
    ServingApproval,
    Sign,
)
from holdfast.controllers.certificates.own_names import Reserved
from holdfast.controllers.clusterroles.controller import ClusterRoleAggregation
from holdfast.controllers.cronjob.controller import CronJobController
from holdfast.controllers.daemonset.controller import DaemonSetController
from holdfast.controllers.definitions.controller import DefinitionController
from holdfast.controllers.deployment.controller import DeploymentController
from holdfast.controllers.disruption.controller import DisruptionController, DisruptionMarks
from holdfast.controllers.endpoints.controller import EndpointsController, EndpointSliceController
from holdfast.controllers.endpointslicemirroring.controller import EndpointSliceMirroring
from holdfast.controllers.garbage.controller import GarbageCollector
from holdfast.controllers.job.controller import JobController
from holdfast.controllers.job.orphans import OrphanedPods
from holdfast.controllers.namespaces.controller import NamespaceDeletion, NamespaceGifts
from holdfast.controllers.nodeipam.controller import NodeIpam
from holdfast.controllers.nodes.controller import NodeLifecycle, PodGarbageCollector, TaintEviction
from holdfast.controllers.nodes.ended import EndedPods
from holdfast.controllers.nodes.ttl import NodeTtl
from holdfast.controllers.policytypes.controller import PolicyTypes
from holdfast.controllers.quota.controller import QuotaController
from holdfast.controllers.replicaset.controller import ReplicaSetController, replication_controllers
from holdfast.controllers.runner import Controller, Runner
from holdfast.controllers.serviceaccounts.controller import TokenFor, TokenSecrets
from holdfast.controllers.servicecidrs.controller import ServiceCidrController
from holdfast.controllers.snapshots.controller import SnapshotContents, SnapshotController, SourceProtection
from holdfast.controllers.statefulset.controller import StatefulSetController
from holdfast.controllers.ttl.controller import TtlAfterFinished
from holdfast.controllers.volumes.abandoned import AbandonedVolumes
from holdfast.controllers.volumes.controller import (
    AttributesClassProtection,
    ClaimBinder,
    ClaimProtection,
    VolumePhases,
    VolumeProtection,
)
from holdfast.controllers.volumes.effects import VolumeDirectories
from holdfast.controllers.volumes.ephemeral import EphemeralVolumes
from holdfast.controllers.volumes.expander import VolumeExpander
from holdfast.controllers.volumes.local import DirectoryRunner, LocalProvisioner, Reclaimer, ShareProvisioner
from holdfast.controllers.volumes.pinning import VolumePins
from holdfast.network.dns.server import Address, Bind, DnsServer, bind, host_resolvers
from holdfast.network.pods.ranges import Network
from holdfast.scheduler.controller import Scheduler
from holdfast.world import World

log = logging.getLogger(__name__)

RESTART_AFTER_S = 1.0

ClientFor = Callable[[str], Client]
"""From a component's name to its client."""


class Part(Protocol):
    """A controller's runner, the scheduler, DNS: holds nothing that a restart would lose."""

    async def run(self) -> None: ...


class ControlPlane:
    """Everything that acts on objects but the node agents. `run` until cancelled; to start over, make it anew."""

    def __init__(
        self,
        client_for: ClientFor,
        world: World,
        *,
        directories: VolumeDirectories,
        volumes_root: str,
        ca_certificate: str = "",
        token_for: TokenFor | None = None,
        sign: Sign | None = None,
        reserved: Reserved = (),
        dns_addresses: Sequence[Address] = (),
        dns_bind: Bind = bind,
        pod_ranges: Sequence[Network] = (),
        without: Collection[str] = (),
        host: str = "localhost",
    ) -> None:
        """`token_for` makes the tokens that secrets ask for, `sign` the certificates; without it they wait.

        Machines that join get their slices of `pod_ranges`; without any, none can. `reserved` are addresses that no
        node may have a certificate for: those of the cluster itself.
        `dns_addresses` are where cluster DNS answers, by sockets of `dns_bind`; without any, none is run.
        `host` is the name of this machine.
        """
        self.informers = Informers(client_for("kube-controller-manager"), world)
        self._world = world
        self._parts: list[tuple[str, Callable[[], Part]]] = []
        self._broken: Counter[str] = Counter()
        self._runs = False
        if "controllers" not in without:
            client = client_for("kube-controller-manager")
            making = controllers(client, self.informers, world, directories, volumes_root, ca_certificate)
            self._parts += [(CONTROLLERS, make) for make in making]
            if pod_ranges:
                self._parts.append((CONTROLLERS, lambda: Runner(NodeIpam(pod_ranges), client, self.informers, world)))
            if token_for is not None:
                secrets = partial(TokenSecrets, token_for, ca_certificate)
                self._parts.append((CONTROLLERS, lambda: Runner(secrets(), client, self.informers, world)))
            if sign is not None:
                signing = partial(RequestSigning, world.clock, sign)
                self._parts.append((CONTROLLERS, lambda: Runner(signing(), client, self.informers, world)))
            serving = partial(ServingApproval, reserved)
            self._parts.append((CONTROLLERS, lambda: Runner(serving(), client, self.informers, world)))
        if "scheduler" not in without:
            self._parts.append(
                (SCHEDULER, lambda: Scheduler(client_for("kube-scheduler"), self.informers, world, host))
            )
        if "dns" not in without and dns_addresses:
            upstreams = host_resolvers()
            serve = partial(DnsServer, self.informers, world, dns_addresses, upstreams=upstreams, bind=dns_bind)
            self._parts.append(("dns", serve))

    async def run(self) -> None:
        self._runs = True
        try:
            async with asyncio.TaskGroup() as group:
                for component, make in self._parts:
                    group.create_task(self._keep_running(component, make))
                group.create_task(self.informers.run())
        finally:
            self._runs = False

    def problem(self, component: str) -> str:
        """What keeps a component's parts from their work; empty if nothing does."""
        if not self._runs or all(name != component for name, _ in self._parts):
            return not_there()
        broken = self._broken[component]
        return f"{broken} of its parts broke and will be started again" if broken else ""

    async def _keep_running(self, component: str, make: Callable[[], Part]) -> None:
        """A part that breaks is made anew; the others, and the API, do not notice."""
        while True:
            part = make()
            try:
                await part.run()
            except Exception:
                log.exception("part broke part=%s restarting_after_s=%s", part, RESTART_AFTER_S)
            self._broken[component] += 1
            await self._world.clock.sleep(RESTART_AFTER_S)
            self._broken[component] -= 1


def controllers(
    client: Client,
    informers: Informers,
    world: World,
    directories: VolumeDirectories,
    volumes_root: str,
    ca_certificate: str,
) -> list[Callable[[], Part]]:
    """How to make one runner per controller."""
    clock = world.clock
    deciding: list[Callable[[], Controller[Any]]] = [
        lambda: StatefulSetController(world),
        lambda: DeploymentController(clock),
        lambda: DaemonSetController(clock),
        lambda: ReplicaSetController(clock),
        lambda: replication_controllers(clock),
        lambda: JobController(clock),
        OrphanedPods,
        lambda: CronJobController(world),
        lambda: TtlAfterFinished(clock),
        lambda: ClaimBinder(clock),
        lambda: VolumePhases(clock),
        ClaimProtection,
        VolumeProtection,
        AttributesClassProtection,
        EphemeralVolumes,
        lambda: VolumeAttacher(clock),
        NodeAttachments,
        lambda: SnapshotController(clock, volumes_root),
        SourceProtection,
        EndpointSliceController,
        EndpointSliceMirroring,
        EndpointsController,
        GarbageCollector,
        lambda: NamespaceDeletion(clock),
        lambda: NamespaceGifts(ca_certificate),
        lambda: NodeLifecycle(clock),
        lambda: TaintEviction(clock),
        lambda: PodGarbageCollector(clock),
        EndedPods,
        lambda: DefinitionController(clock),
        lambda: DisruptionController(clock),
        lambda: DisruptionMarks(clock),
        lambda: QuotaController(clock),
        lambda: AutoscalingController(clock),
        NodeTtl,
        lambda: VolumePins(volumes_root),
        lambda: ServiceCidrController(clock),
        ClusterRoleAggregation,
        PolicyTypes,
        RequestApproval,
        lambda: RequestCleaning(clock),
        lambda: ClusterInfoSigner(clock),
        lambda: TokenCleaner(clock),
    ]
    on_disk: list[Callable[[], Any]] = [
        lambda: LocalProvisioner(volumes_root, directories),
        lambda: ShareProvisioner(volumes_root, directories),
        lambda: AbandonedVolumes(volumes_root, directories),
        lambda: VolumeExpander(clock, volumes_root),
        lambda: Reclaimer(clock, volumes_root),
        lambda: SnapshotContents(clock, volumes_root),
    ]

    def decides(make: Callable[[], Controller[Any]]) -> Callable[[], Part]:
        return lambda: Runner(make(), client, informers, world)

    def acts_on_disk(make: Callable[[], Any]) -> Callable[[], Part]:
        return lambda: DirectoryRunner(make(), client, informers, world, directories)

    return [*map(decides, deciding), *map(acts_on_disk, on_disk)]
