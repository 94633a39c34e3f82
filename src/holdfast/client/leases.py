"""A Lease that says its holder is alive (A259)."""

from __future__ import annotations

import logging

from holdfast.api.coordination.lease import LEASES
from holdfast.api.errors import ApiError, Conflict, NotFound
from holdfast.api.resource import Manifest
from holdfast.api.times import format_micro_time
from holdfast.world import World

from . import Client

log = logging.getLogger(__name__)

NODE_LEASE_NAMESPACE = "kube-node-lease"
RENEW_EVERY_S = 10.0
DURATION_S = 40
FAST_ATTEMPTS = 5
FAST_ATTEMPT_AFTER_S = 0.2


class LeaseKeeper:
    """Holds one Lease in its holder's name. Without leader election: whoever else writes it is overwritten."""

    def __init__(
        self,
        client: Client,
        world: World,
        name: str,
        *,
        namespace: str = NODE_LEASE_NAMESPACE,
        holder: str = "",
        duration_s: int = DURATION_S,
        owner: Manifest | None = None,
    ) -> None:
        """`holder` is `name` if empty; `owner` is a reference for `metadata.ownerReferences`, such as the Node's."""
        self.owner = owner
        self._client = client
        self._world = world
        self._name = name
        self._namespace = namespace
        self._holder = holder or name
        self._duration_s = duration_s
        self._latest: Manifest | None = None

    async def renew(self) -> None:
        """Writes the Lease with the present time, creating it if there is none. Raises ApiError."""
        if self._latest is None:
            try:
                self._latest = await self._client.get(LEASES, self._name, self._namespace)
            except NotFound:
                self._latest = await self._client.create(LEASES, self._lease({}, {}), self._namespace)
                return
        lease = self._lease(self._latest["metadata"], self._latest.get("spec") or {})
        try:
            self._latest = await self._client.update(LEASES, lease)
        except (Conflict, NotFound):
            self._latest = None
            raise

    async def run(self, every_s: float = RENEW_EVERY_S) -> None:
        """Renews for ever; a failure is tried again a few times at once, then at the next turn."""
        while True:
            for _ in range(FAST_ATTEMPTS):
                try:
                    await self.renew()
                    break
                except ApiError as error:
                    log.debug("lease not renewed lease=%s/%s error=%s", self._namespace, self._name, error)
                    await self._world.clock.sleep(FAST_ATTEMPT_AFTER_S)
            await self._world.clock.sleep(every_s * (1 + 0.04 * self._world.random.random()))

    def _lease(self, metadata: Manifest, spec: Manifest) -> Manifest:
        metadata = {**metadata, "name": self._name, "namespace": self._namespace}
        if self.owner is not None:
            metadata["ownerReferences"] = [self.owner]
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": {
                **spec,
                "holderIdentity": self._holder,
                "leaseDurationSeconds": self._duration_s,
                "renewTime": format_micro_time(self._world.clock.now()),
            },
        }
