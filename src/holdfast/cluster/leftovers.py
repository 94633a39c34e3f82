"""Ends what dead node agents left running: `holdfast down` must stop the pods although nobody watches them.

A process of its own, because it may have to join the agents' mount namespace before it has any thread.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.disks import devices
from holdfast.network.pods.gate import Gate
from holdfast.world import mount_table

from . import settings as saved
from . import way_out
from .home import Home
from .launch import LaunchFailed, agents_lock, agents_log, has_records
from .locks import ProcessLock
from .outside import Outside
from .own_groups import OwnGroups
from .private_files import set_usual_umask
from .rootless import Namespaces
from .settings import Settings

GRACE_S = 30.0
"""What pods get when nothing else is said, in Kubernetes too: their own wish died with their agent."""


def exist(home: Home) -> bool:
    """Whether there are sandboxes, containers or mounts of this data directory; their agent must not be running."""
    mounted = any(map(mount_table.below, (home.nodes, home.run / "mnt", *home.run.glob("*/pods"))))
    return has_records(home) or Namespaces(home).exist or mounted


def end(home: Home) -> None:
    """Raises LaunchFailed."""
    command = [sys.executable, "-m", "holdfast.cluster.leftovers", "--home", str(home.path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if done.returncode:
        with agents_log(home).open("a") as log:
            log.write(done.stderr)
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise LaunchFailed(f"pods are still there although their agent is gone: {last}; see {agents_log(home)}")


def main(arguments: Sequence[str]) -> int:
    set_usual_umask()
    parser = argparse.ArgumentParser(prog="python -m holdfast.cluster.leftovers")
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args(arguments).home)
    logging.basicConfig(level=logging.WARNING)
    settings = saved.load(home.settings) or Settings()
    from .agents import mount_namespace, move
    from .loop import run

    lock = ProcessLock(agents_lock(home))
    lock.acquire()
    if settings.is_rootless:
        OwnGroups(home).enter()
        Namespaces(home).enter()
    namespace = mount_namespace(home, settings)
    run(_end_all(home, settings, move(home, settings)))
    if namespace is not None:
        namespace.remove()
    way_out.stop(home)
    Namespaces(home).remove()
    return 0


async def _end_all(home: Home, settings: Settings, outside: Outside) -> None:
    from holdfast.world import real_world

    from .peer_routing import PeerRouting
    from .policy_enforcement import PolicyEnforcement
    from .service_routing import ServiceRouting
    from .shown import Identity

    nodes = range(settings.nodes)
    await asyncio.gather(*(end_node(home, settings, number, outside, grace_s=GRACE_S) for number in nodes))
    nobody = Identity(home, "", "")
    await ServiceRouting(home, settings, nobody, real_world()).close()
    await PolicyEnforcement(home, settings, nobody, real_world()).close()
    await PeerRouting(home, settings, nobody, real_world()).close()


async def end_node(
    home: Home, settings: Settings, number: int, outside: Outside, *, grace_s: float, gate: Gate | None = None
) -> None:
    """Ends what runs on a node without an agent, and takes away what it had. `gate` is where its pods have come in."""
    from holdfast.world import real_world

    from .node_parts import node_parts

    parts = node_parts(home, settings, number, real_world(), outside, gate)
    runtime = parts.runtime
    await runtime.open()
    await asyncio.gather(*(runtime.stop_container(container.id, grace_s) for container in runtime.containers()))
    uids = {sandbox.pod_uid for sandbox in runtime.sandboxes()} | {each.pod_uid for each in runtime.containers()}
    for uid in uids:
        await runtime.remove_sandbox(uid)
    await parts.take_down()
    await runtime.close()
    for point in mount_table.below(home.node(number) / "pods"):
        devices.release(Path(point))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
