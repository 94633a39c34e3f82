"""The demo's chapters. Each does one thing to the cluster and checks what Kubernetes promises about it."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client, PatchType
from holdfast.cluster import launch, overview
from holdfast.cluster.home import Home
from holdfast.world import Clock

from .manifests import NAME, NAMESPACE, SERVICE, STATEFUL_SET

PATIENCE_S = 25
"""How long one promise may take before it counts as broken."""


class Broken(Exception):
    """A promise was not kept; the message says which, and what was seen instead."""


Teller = Callable[[str], None]
ReadLog = Callable[[str], Awaitable[str]]


@dataclass
class Story:
    """One cluster, and what has been seen of it so far."""

    home: Home
    clock: Clock
    tell: Teller
    show: Callable[[dict[str, Any]], None]
    client: Client = field(init=False)
    read_log: ReadLog = field(init=False)
    before_crash: dict[str, tuple[str, int]] = field(default_factory=dict)

    async def pod(self, ordinal: int) -> Manifest | None:
        try:
            return await self.client.get(PODS, f"{NAME}-{ordinal}", NAMESPACE)
        except NotFound:
            return None

    async def overview(self) -> dict[str, Any]:
        return await overview.gather(self.client)

    async def until(self, promise: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Waits for a promise to be kept. Raises Broken."""
        deadline = self.clock.monotonic_s() + PATIENCE_S
        while not await holds():
            if self.clock.monotonic_s() > deadline:
                raise Broken(f"{promise}: not within {PATIENCE_S} s; pods: {await self._pods_in_words()}")
            await self.clock.sleep(0.05)

    async def _pods_in_words(self) -> str:
        pods = (await self.client.list(PODS, NAMESPACE)).items
        return ", ".join(f"{pod['metadata']['name']} {pod.get('status', {}).get('phase')}" for pod in pods) or "none"

    async def ready(self) -> int:
        found = await self.client.get(STATEFUL_SETS, NAME, NAMESPACE)
        return int(found.get("status", {}).get("readyReplicas", 0))

    async def scale(self, replicas: int) -> None:
        patch = {"spec": {"replicas": replicas}}
        await self.client.patch(STATEFUL_SETS, NAME, patch, NAMESPACE, type=PatchType.MERGE)

    async def say_log(self, ordinal: int) -> list[str]:
        """Prints what the pod's program printed."""
        lines = (await self.read_log(f"{NAME}-{ordinal}")).splitlines()
        for line in lines:
            self.tell(f"[log] {line}")
        return lines


def check(promise: str, kept: bool, seen: object = "") -> None:
    """Raises Broken."""
    if not kept:
        raise Broken(f"{promise}: {seen}" if seen != "" else promise)


async def comes_up_in_order(story: Story) -> None:
    """Three pods, one after the other, each with an address, a claim and a name."""
    await story.client.create(SERVICES, SERVICE, NAMESPACE)
    await story.client.create(STATEFUL_SETS, STATEFUL_SET, NAMESPACE)
    told: set[int] = set()

    async def all_ready_in_order() -> bool:
        """Every snapshot on the way shows a pod only where all lower ones are Ready."""
        pods = (await story.client.list(PODS, NAMESPACE)).items
        ready = {_ordinal(pod): _ready(pod) for pod in pods}
        for ordinal in ready:
            check("a pod starts after its predecessors", all(ready.get(lower) for lower in range(ordinal)), ready)
        for ordinal in sorted(ordinal for ordinal in ready if ready[ordinal] and ordinal not in told):
            told.add(ordinal)
            story.tell(f"{NAME}-{ordinal} is Ready")
        return len(told) == 3

    await story.until("three pods become Ready", all_ready_in_order)
    await story.until("the set reports 3 ready", lambda: _has_ready(story, 3))
    state = await story.overview()
    ordinals = state["statefulsets"][0]["ordinals"]
    check("every pod has an address of its own", len({row["address"] for row in ordinals}) == 3, ordinals)
    check("every claim is bound", all(row["claims"][0]["phase"] == "Bound" for row in ordinals), ordinals)
    story.show(state)


async def finds_its_peers_by_name(story: Story) -> None:
    """Each pod looked up its predecessor by its DNS name; the answer is the predecessor's address."""
    for ordinal in (1, 2):
        lines = await story.say_log(ordinal)
        predecessor = await story.pod(ordinal - 1)
        address = (predecessor or {}).get("status", {}).get("podIP", "")
        expected = f"{NAME}-{ordinal}: {NAME}-{ordinal - 1}.{NAME} is at {address}"
        check(f"{NAME}-{ordinal} resolves its predecessor", expected in lines, lines)


async def scales_and_keeps_its_claims(story: Story) -> None:
    """Scaled in, the highest ordinal goes, its claim stays; scaled out, it finds its data again."""
    volume = await _volume_of(story, 2)
    await story.scale(2)
    await story.until(f"{NAME}-2 leaves", lambda: _is_gone(story, 2))
    story.tell(f"{NAME}-2 is gone, its claim data-{NAME}-2 is still bound to {volume}")
    check("the claim survives", await _volume_of(story, 2) == volume)
    await story.scale(3)
    await story.until(f"{NAME}-2 comes back", lambda: _is_ready(story, 2))
    check("it is the same volume", await _volume_of(story, 2) == volume)
    lines = await story.say_log(2)
    check("the data is still there", any("visit 2" in line for line in lines), lines)


async def survives_the_loss_of_a_pod(story: Story) -> None:
    """A deleted pod comes back under its name, on its claim, with its data."""
    old = await story.pod(1)
    assert old is not None
    uid, volume = old["metadata"]["uid"], await _volume_of(story, 1)
    await story.client.delete(PODS, f"{NAME}-1", NAMESPACE)
    begin = story.clock.monotonic_s()

    async def replaced() -> bool:
        new = await story.pod(1)
        return new is not None and new["metadata"]["uid"] != uid and await _is_ready(story, 1)

    await story.until(f"{NAME}-1 comes back", replaced)
    story.tell(f"{NAME}-1 is back after {story.clock.monotonic_s() - begin:.1f} s: a new pod under the old name")
    check("it is the same volume", await _volume_of(story, 1) == volume)
    lines = await story.say_log(1)
    check("the data is still there", any("visit 2" in line for line in lines), lines)


async def survives_the_death_of_the_daemon(story: Story) -> None:
    """The control plane is killed with SIGKILL; the containers neither notice nor restart."""
    await story.until("the set is whole", lambda: _has_ready(story, 3))
    story.before_crash = await _incarnations(story)
    found = launch.running(story.home)
    check("the daemon runs", found is not None)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    story.tell(f"kill -9 {found.pid}")
    while launch.running(story.home) is not None:
        await story.clock.sleep(0.01)


async def finds_everything_again(story: Story) -> None:
    """What runs after the restart of the control plane is what ran before it, to the container."""
    await story.until("the set is whole", lambda: _has_ready(story, 3))
    after = await _incarnations(story)
    check("no container was restarted", after == story.before_crash, f"{story.before_crash} became {after}")
    story.tell("the same containers, not one restarted")
    story.show(await story.overview())


async def _incarnations(story: Story) -> dict[str, tuple[str, int]]:
    """Per pod the running container and how often it was restarted."""
    pods = (await story.client.list(PODS, NAMESPACE)).items
    return {
        pod["metadata"]["name"]: (status["containerID"], status["restartCount"])
        for pod in pods
        for status in pod["status"]["containerStatuses"]
    }


async def _is_ready(story: Story, ordinal: int) -> bool:
    pod = await story.pod(ordinal)
    return pod is not None and _ready(pod)


def _ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _ordinal(pod: Manifest) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


async def _is_gone(story: Story, ordinal: int) -> bool:
    return await story.pod(ordinal) is None


async def _has_ready(story: Story, count: int) -> bool:
    return await story.ready() == count


async def _volume_of(story: Story, ordinal: int) -> str:
    claim = await story.client.get(PERSISTENT_VOLUME_CLAIMS, f"data-{NAME}-{ordinal}", NAMESPACE)
    return str(claim["spec"].get("volumeName", ""))
