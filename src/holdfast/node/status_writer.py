"""Brings one pod's status to the API: only what changed, the latest wins, never in the worker's way (N34, N245)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from holdfast.api.core.pod import PODS
from holdfast.api.errors import ApiError, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client, PatchType
from holdfast.world import World

from .conditions import RESIZE, is_ours
from .pod import TERMINAL_PHASES, Pod

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 10.0
SOON_S = 0.02
MERGED_BY_IP = frozenset({"podIPs", "hostIPs"})
AMOUNTS = frozenset({"allocatedResources", "resources"})
"""Maps in which a name may be one that is no more."""
NOT_OURS = frozenset({"qosClass", "nominatedNodeName"})


class Turns:
    """Who is in no hurry writes one after another: of many pods that start at once most are ready by their turn."""

    def __init__(self) -> None:
        self._line: dict[asyncio.Event, None] = {}

    @contextmanager
    def place(self, turn: asyncio.Event) -> Iterator[None]:
        """`turn` is set when everyone before has left; whoever sets it earlier overtakes them."""
        if not self._line:
            turn.set()
        self._line[turn] = None
        try:
            yield
        finally:
            was_first = next(iter(self._line)) is turn
            del self._line[turn]
            if was_first and self._line:
                next(iter(self._line)).set()


class StatusWriter:
    """The status of one pod on its way to the API."""

    def __init__(
        self,
        client: Client,
        world: World,
        pod: Pod,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        turns: Turns,
    ) -> None:
        """`turns` are those of all pods of the node."""
        self._client = client
        self._world = world
        self._pod = pod
        self._spawn = spawn
        self._turns = turns
        self._written: Manifest = pod.status
        """What the API has, in the agent's words."""
        self._echo = comparable(pod.status)
        """What the API has, in its own words."""
        self._written_core = self._echo
        """`_written` as it is compared."""
        self._revision = 0
        self._wanted: Manifest | None = None
        self._wanted_core: Manifest = {}
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_gone = False

    @property
    def latest(self) -> Manifest:
        """The status last handed in, else the one that was there."""
        return self._written if self._wanted is None else self._wanted

    def submit(self, status: Manifest) -> None:
        """Has `status` written; one not yet written is replaced. Nothing happens if nothing changed.

        Readiness and the end are written at once (N34), the steps of a start a moment later, together, and not
        while another pod of the node writes such a step.
        """
        core = comparable(status)
        latest = self._written_core if self._wanted is None else self._wanted_core
        if self._is_gone or core == latest:
            return
        if _urgent(core) != _urgent(latest):
            self._hurry.set()
        self._wanted, self._wanted_core = status, core
        if self._task is None:
            self._task = self._spawn(self._write())

    def observe(self, pod: Pod) -> bool:
        """Takes note of the API's copy. True if others changed it: the status is to be computed again (N35).

        A copy older than our last write says nothing new (S161).
        """
        self._pod = pod
        if self._task is not None or pod.resource_version < self._revision:
            return False
        echo = comparable(pod.status)
        if echo == self._echo:
            return False
        self._written, self._written_core, self._echo = pod.status, echo, echo
        return True

    def stop(self) -> None:
        """The object is gone: nothing is written any more."""
        self._is_gone = True
        if self._task is not None:
            self._task.cancel()
            self._task = None  # one that has not begun yet never gets to say so itself

    async def flush(self) -> None:
        """Returns when everything handed in so far is written, or nobody is there to take it."""
        while self._task is not None and not self._task.done():
            self._hurry.set()
            await asyncio.wait({self._task})

    async def _write(self) -> None:
        delay_s = FIRST_RETRY_S
        try:
            while self._wanted is not None and not self._is_gone:
                try:
                    await self._patch_in_turn()
                    delay_s = FIRST_RETRY_S
                except NotFound:
                    self._wanted = None  # gone: its watch event comes
                except ApiError as error:
                    if is_final(error):
                        log.warning("status refused pod=%s error=%s", self._pod.key, error)
                        self._wanted = None
                        continue
                    # Also where another pod has the name now: until the watch tells, and `stop` is called.
                    log.debug("status not written pod=%s error=%s", self._pod.key, error)
                    await self._world.clock.sleep(delay_s * (1 + self._world.random.random()))
                    delay_s = min(delay_s * 2, LONGEST_RETRY_S)
        finally:
            self._task = None

    async def _patch_in_turn(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await self._hurry.wait()
        if self._hurry.is_set():
            await self._patch_latest()
            return
        with self._turns.place(self._hurry):
            await self._hurry.wait()
            await self._patch_latest()

    async def _patch_latest(self) -> None:
        self._hurry.clear()
        if self._wanted is not None:
            await self._patch(self._wanted, self._wanted_core)

    async def _patch(self, status: Manifest, core: Manifest) -> None:
        changes = difference(self._written_core, core, status)
        if changes:
            changes |= {field: {} for field in status.keys() - self._written.keys() if status[field] == {}}
            patch = {"metadata": {"uid": self._pod.uid}, "status": changes}
            answer = await self._client.patch(
                PODS, self._pod.name, patch, self._pod.namespace, type=PatchType.STRATEGIC, subresource="status"
            )
            self._echo = comparable(answer.get("status") or {})
            text = str(answer["metadata"].get("resourceVersion") or "0")
            self._revision = int(text) if text.isdigit() else 0
        self._written, self._written_core = status, core
        if self._wanted is status:
            self._wanted = None


def is_final(error: ApiError) -> bool:
    """Whether asking again can only bring the same answer."""
    return 400 <= error.code < 500 and error.code not in (401, 403, 409, 429)


def _urgent(core: Manifest) -> tuple[Any, ...]:
    """What others wait for: that the pod is ready, which of its containers are, how it ended."""
    is_ready = any(c["type"] == "Ready" and c.get("status") == "True" for c in core.get("conditions") or ())
    ready = [entry["name"] for entry in core.get("containerStatuses") or () if entry.get("ready")]
    phase = core.get("phase")
    return is_ready, ready, phase if phase in TERMINAL_PHASES else ""


def difference(old: Manifest, new: Manifest, status: Manifest) -> Manifest:
    """The strategic merge patch to `status`; conditions of others are left alone (N25).

    `old` and `new` are the two states as `comparable` makes them.
    """
    patch: Manifest = {}
    for field in old.keys() - new.keys() - NOT_OURS - {"conditions"}:
        patch[field] = None
    for field, value in status.items():
        if field in NOT_OURS or new.get(field) == old.get(field):
            continue
        if field == "conditions":
            patch |= _conditions(old.get(field) or [], new.get(field) or [], value)
        elif field in MERGED_BY_IP and old.get(field):
            patch[field] = [*value, {"$patch": "replace"}]
        elif field in AMOUNTS and old.get(field):
            patch[field] = {**value, "$patch": "replace"}
        else:
            patch[field] = value
    return patch


def _conditions(old: list[Manifest], new: list[Manifest], conditions: list[Manifest]) -> Manifest:
    before = {condition["type"]: condition for condition in old}
    changed = [
        _with_removals(before.get(condition["type"], {}), condition)
        for condition, core in zip(conditions, new, strict=True)
        if is_ours(condition) and core != before.get(condition["type"])
    ]
    kept = {condition["type"] for condition in new}
    changed += [{"type": type, "$patch": "delete"} for type in RESIZE if type in before.keys() - kept]
    if not changed:
        return {}
    order = [{"type": condition["type"]} for condition in conditions]
    return {"conditions": changed, "$setElementOrder/conditions": order}


def _with_removals(old: Manifest, new: Manifest) -> Manifest:
    """The condition, with null for what it no longer says: elements of a merged list keep what is not named."""
    return {**dict.fromkeys(old.keys() - new.keys()), **new}


def comparable(value: Any) -> Any:
    """Without nulls and empty members, which the server may leave out."""
    if type(value) is dict:
        core = {}
        for key, member in value.items():
            if type(member) in _PLAIN or (member := comparable(member)):
                core[key] = member
        return core
    if type(value) is list:
        return [element if type(element) in _PLAIN else comparable(element) for element in value]
    return value


_PLAIN = frozenset({str, int, float, bool})
