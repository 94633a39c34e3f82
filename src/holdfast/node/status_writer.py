"""Brings one pod's status to the API: only what changed, the latest wins, never in the worker's way (N34, N245)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from holdfast.api.core.pod import PODS
from holdfast.api.errors import ApiError, Conflict, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client, PatchType
from holdfast.world import World

from .conditions import OWNED
from .pod import Pod

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 10.0
MERGED_BY_IP = frozenset({"podIPs", "hostIPs"})
NOT_OURS = frozenset({"qosClass", "nominatedNodeName"})


class StatusWriter:
    """The status of one pod on its way to the API."""

    def __init__(
        self, client: Client, world: World, pod: Pod, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._client = client
        self._world = world
        self._pod = pod
        self._spawn = spawn
        self._written: Manifest = pod.status
        """What the API has, in the agent's words."""
        self._echo = _comparable(pod.status)
        """What the API has, in its own words."""
        self._revision = 0
        self._wanted: Manifest | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_gone = False

    @property
    def latest(self) -> Manifest:
        """The status last handed in, else the one that was there."""
        return self._written if self._wanted is None else self._wanted

    def submit(self, status: Manifest) -> None:
        """Has `status` written soon; one not yet written is replaced. Nothing happens if nothing changed."""
        if self._is_gone or _comparable(status) == _comparable(self.latest):
            return
        self._wanted = status
        if self._task is None:
            self._task = self._spawn(self._write())

    def observe(self, pod: Pod) -> bool:
        """Takes note of the API's copy. True if others changed it: the status is to be computed again (N35).

        A copy older than our last write says nothing new (S161).
        """
        self._pod = pod
        if self._task is not None or pod.resource_version < self._revision:
            return False
        echo = _comparable(pod.status)
        if echo == self._echo:
            return False
        self._written, self._echo = pod.status, echo
        return True

    def stop(self) -> None:
        """The object is gone: nothing is written any more."""
        self._is_gone = True
        if self._task is not None:
            self._task.cancel()

    async def flush(self) -> None:
        """Returns when everything handed in so far is written, or nobody is there to take it."""
        while self._task is not None:
            await asyncio.wait({self._task})

    async def _write(self) -> None:
        delay_s = FIRST_RETRY_S
        try:
            while self._wanted is not None and not self._is_gone:
                status = self._wanted
                try:
                    await self._patch(status)
                    delay_s = FIRST_RETRY_S
                except (NotFound, Conflict):
                    self._wanted = None  # gone, or another of the same name: its watch event comes
                except ApiError as error:
                    log.debug("status not written pod=%s error=%s", self._pod.key, error)
                    await self._world.clock.sleep(delay_s * (1 + self._world.random.random()))
                    delay_s = min(delay_s * 2, LONGEST_RETRY_S)
        finally:
            self._task = None

    async def _patch(self, status: Manifest) -> None:
        changes = difference(self._written, status)
        if changes:
            patch = {"metadata": {"uid": self._pod.uid}, "status": changes}
            answer = await self._client.patch(
                PODS, self._pod.name, patch, self._pod.namespace, type=PatchType.STRATEGIC, subresource="status"
            )
            self._echo = _comparable(answer.get("status") or {})
            text = str(answer["metadata"].get("resourceVersion") or "0")
            self._revision = int(text) if text.isdigit() else 0
        self._written = status
        if self._wanted is status:
            self._wanted = None


def difference(old: Manifest, new: Manifest) -> Manifest:
    """The strategic merge patch of the status from `old` to `new`; conditions of others are left alone (N25)."""
    patch: Manifest = {}
    for field in old.keys() - new.keys() - NOT_OURS - {"conditions"}:
        patch[field] = None
    for field, value in new.items():
        if field in NOT_OURS or _comparable(value) == _comparable(old.get(field)):
            continue
        if field == "conditions":
            patch |= _conditions(old.get(field) or [], value)
        elif field in MERGED_BY_IP and old.get(field):
            patch[field] = [*value, {"$patch": "replace"}]
        else:
            patch[field] = value
    return patch


def _conditions(old: list[Manifest], new: list[Manifest]) -> Manifest:
    before = {condition["type"]: condition for condition in old}
    changed = [
        _with_removals(before.get(condition["type"], {}), condition)
        for condition in new
        if condition["type"] in OWNED and _comparable(condition) != _comparable(before.get(condition["type"]))
    ]
    if not changed:
        return {}
    order = [{"type": condition["type"]} for condition in new]
    return {"conditions": changed, "$setElementOrder/conditions": order}


def _with_removals(old: Manifest, new: Manifest) -> Manifest:
    """The condition, with null for what it no longer says: elements of a merged list keep what is not named."""
    return {**dict.fromkeys(old.keys() - new.keys()), **new}


def _comparable(value: Any) -> Any:
    """Without nulls and empty members, which the server may leave out."""
    if isinstance(value, dict):
        members = ((key, _comparable(member)) for key, member in value.items())
        return {key: member for key, member in members if member not in (None, {}, [])}
    if isinstance(value, list):
        return [_comparable(element) for element in value]
    return value
