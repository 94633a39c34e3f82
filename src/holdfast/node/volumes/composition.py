"""Which kinds of volumes a node has, and what they need."""

from __future__ import annotations

from holdfast.client import Client
from holdfast.client.events import EventRecorder
from holdfast.node.config import AgentConfig
from holdfast.node.registration import Registration
from holdfast.world import World

from . import Plugin, memory
from .attached import Attachments
from .contents import Lookup
from .growth import Growth
from .nfs.names import address_of
from .nfs.plugin import Nfs, nfs_directory
from .pod_volumes import ImaginedVolumes, Volumes
from .sized import SizedVolumes


def pod_volumes(
    client: Client,
    lookup: Lookup,
    world: World,
    config: AgentConfig,
    registration: Registration,
    events: EventRecorder,
) -> Volumes | ImaginedVolumes:
    """Imagined for an agent that keeps nothing on a disk: its containers do not run either."""
    state = config.state_dir
    pods = None if state is None else state / "pods"
    attachments = Attachments(client, config.node_name, pods, registration.report, registration.report_soon)
    registration.volumes_in_use = attachments.in_use
    if state is None:
        return ImaginedVolumes(client, lambda: registration.node, attachments)

    async def server_address(name: str) -> str:
        return await address_of(name, config.cluster_dns, config.cluster_domain)

    plugins: dict[str, Plugin] = {"nfs": Nfs(nfs_directory(state), server_address, config.nfs_begin)}
    if config.volumes_dir is not None:
        growth = Growth(client, config.node_name, events.record, world.clock.now)
        plugins["csi"] = SizedVolumes(config.volumes_dir, growth)
    in_memory = config.run_dir or state / "run"
    memory.prepare(in_memory / "pods")
    return Volumes(
        client,
        lookup,
        world,
        state,
        in_memory,
        lambda: registration.node,
        plugins,
        attachments,
        events.record,
    )
