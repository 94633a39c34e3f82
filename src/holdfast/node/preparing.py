"""What a pod needs before its first container: volumes, then the sandbox (N75, N78, N79).

Both at once the first time, if the volumes are of kinds that are there or are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from holdfast.api.errors import ApiError

from . import hosts, sysctls
from .container_spec import pod_resources
from .pod import Pod
from .runtime import RuntimeFailure, SandboxSpec
from .runtime.simulated_script import SCRIPT_PREFIX
from .shared import Shared, whole
from .volumes import Mounted, MountFailure

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 122.0
SUMMARY_EVERY_S = 123.0
LONGEST_HOSTNAME = 64
"""What the kernel holds."""
AT_ONCE = frozenset({"configMap", "downwardAPI", "emptyDir", "hostPath", "image", "projected", "secret"})
"""Kinds of volumes that nobody has to be waited for."""


class Preparation:
    """Of one pod. What fails is tried again after a delay that doubles (V80)."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._volumes: Mapping[str, Mounted] | None = None
        self._delay_s = FIRST_DELAY_S
        self._held_until_s = 0.0
        self._told_s: dict[str, float] = {}
        self.waits_for_sandbox = False
        """The node could not make one: for want of an address, perhaps."""

    def left_s(self) -> float:
        """How long to wait yet before the next attempt; 0 or less: none."""
        return self._held_until_s - self._shared.world.clock.monotonic_s()

    def retry(self) -> None:
        """What it waits for may have come: no more waiting."""
        self._held_until_s = 0.0

    async def prepare(self, pod: Pod) -> None:
        """Mounts the volumes and makes the sandbox, or tells why not and sets the time of the next attempt."""
        try:
            self._volumes = None
            self.waits_for_sandbox = False
            has_failed = self._delay_s > FIRST_DELAY_S
            if _come_at_once(pod) and not has_failed:
                await self._together(pod)
            else:
                await self.volumes(pod)
                await self._sandbox(pod)
        except MountFailure as failure:
            self.failed(pod, failure)
        except RuntimeFailure as error:
            self._hold()
            self.waits_for_sandbox = True
            message = f"Failed to create pod sandbox: {error.message}"
            self._shared.tell(pod, "Warning", "FailedCreatePodSandBox", message)
        else:
            self._delay_s, self._held_until_s = FIRST_DELAY_S, 0.0

    async def _sandbox(self, pod: Pod) -> None:
        await whole(self._shared.runtime.create_sandbox(self._sandbox_spec(pod)))

    async def _together(self, pod: Pod) -> None:
        """A pod whose volumes cannot be had has no sandbox, as if they had been asked for first."""
        making = asyncio.ensure_future(self._sandbox(pod))
        try:
            await self.volumes(pod)
            await making
        except MountFailure:
            await asyncio.wait({making})
            await whole(self._shared.runtime.remove_sandbox(pod.uid))
            raise
        finally:
            await asyncio.gather(making, return_exceptions=True)

    async def volumes(self, pod: Pod) -> Mapping[str, Mounted]:
        """The volumes, made ready once in an agent's life (V81). Raises MountFailure."""
        if self._volumes is None:
            try:
                self._volumes = await self._shared.volumes.mount(pod)
            except ApiError as error:
                raise MountFailure("", str(error), is_unresolved=True) from error
        return self._volumes

    def failed(self, pod: Pod, failure: MountFailure) -> float:
        """Tells of it and puts the next attempt off; by how many seconds.

        What stands in the way of a claim is told at most every two minutes (N78); of a volume that is not attached yet,
        whoever attaches it tells first.
        """
        now_s = self._shared.world.clock.monotonic_s()
        if failure.is_unattached:
            self._told_s.setdefault(failure.text, now_s)
        told_s = self._told_s.get(failure.text)
        is_summary = failure.is_unresolved or failure.is_unattached
        if not is_summary or told_s is None or now_s - told_s >= SUMMARY_EVERY_S:
            self._told_s[failure.text] = now_s
            self._shared.tell(pod, "Warning", failure.reason, failure.text)
        return self._hold()

    def hostname(self, pod: Pod) -> str:
        config = self._shared.config
        return hosts.hostname(pod, config.hostname or config.node_name, config.cluster_domain)

    def _hold(self) -> float:
        delay_s = self._delay_s
        self._held_until_s = self._shared.world.clock.monotonic_s() + delay_s
        self._delay_s = min(delay_s * 2, LONGEST_DELAY_S)
        return delay_s

    def _sandbox_spec(self, pod: Pod) -> SandboxSpec:
        spec = pod.spec
        scripts = {key: text for key, text in pod.annotations.items() if key.startswith(SCRIPT_PREFIX)}
        return SandboxSpec(
            pod_uid=pod.uid,
            name=pod.name,
            namespace=pod.namespace,
            hostname=_that_fits(self.hostname(pod)),
            host_network=pod.is_host_network,
            host_pid=bool(spec.get("hostPID")),
            host_ipc=bool(spec.get("hostIPC")),
            share_process_namespace=bool(spec.get("shareProcessNamespace")),
            sysctls=sysctls.of_pod(pod),
            labels={**pod.labels, **scripts},
            resources=pod_resources(pod),
        )


def _come_at_once(pod: Pod) -> bool:
    return all(volume.keys() & AT_ONCE for volume in pod.spec.get("volumes") or ())


def _that_fits(hostname: str) -> str:
    if len(hostname) <= LONGEST_HOSTNAME:
        return hostname
    raise RuntimeFailure(
        "CreatePodSandboxError",
        f"failed to construct FQDN from pod hostname and cluster domain, FQDN {hostname} is too long "
        f"({LONGEST_HOSTNAME} characters is the max, {len(hostname)} characters requested)",
    )
