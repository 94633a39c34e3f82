"""What a machine that has joined does for itself, beside its agent: names for its pods, and volumes for claims.

Names are answered here, not asked of the first machine: the same server over informers of its own, so that pods find
one another while the first machine, or the way to it, is away.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.client.remote import RemoteClient
from holdfast.cluster.home import Home
from holdfast.cluster.settings import Settings
from holdfast.controllers.volumes import copies
from holdfast.controllers.volumes.abandoned import AbandonedVolumes
from holdfast.controllers.volumes.directories import LocalDirectories
from holdfast.controllers.volumes.expander import VolumeExpander
from holdfast.controllers.volumes.local import DirectoryRunner, LocalProvisioner, Reclaimer
from holdfast.network.dns.server import DnsServer, host_resolvers
from holdfast.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from holdfast.client.informer import Informers

    Run = Callable[[], Coroutine[Any, Any, None]]


def joined_parts(home: Home, settings: Settings, client: RemoteClient, informers: Informers, world: World) -> list[Run]:
    """How to run each. `client` is the node's own."""
    made: list[Run] = []
    if "dns" not in settings.without:
        addresses = [(str(slice.gateway), 53) for slice in settings.slices(0)]
        made.append(DnsServer(informers, world, addresses, upstreams=host_resolvers()).run)
    root, machine = str(home.volumes), settings.name
    directories = LocalDirectories([root], may_size=True)
    controllers: list[Any] = [
        LocalProvisioner(root, directories, machine),
        AbandonedVolumes(root, directories),
        VolumeExpander(world.clock, root, machine),
        Reclaimer(world.clock, root, machine),
    ]
    runner = partial(DirectoryRunner[Any], client=client, informers=informers, world=world, directories=directories)
    return [*made, *(runner(each).run for each in controllers)]


def pick_up(home: Home) -> None:
    """Once for each process: of work on volumes that a process before has not ended. Blocking."""
    copies.let_all_go_on(str(home.volumes))
