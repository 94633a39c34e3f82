"""Has NetworkPolicies hold for the pods of this machine: follows the API, and keeps a table for each family in step.

Changes are collected for a moment and applied together, unless a pod waits for them. Pods and namespaces are followed
only while there is a policy.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.networking.network_policy import NETWORK_POLICIES
from holdfast.api.resource import Manifest
from holdfast.api.selectors import Labels
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.network.pods.gate import Gate
from holdfast.network.tables.nftables import Nftables
from holdfast.world import World

from . import pods, policy
from .book import Book
from .kept import KeptTable, Listen
from .rules import Here, policy_table

log = logging.getLogger(__name__)

COLLECT_S = 0.05
AT_ONCE = 20
"""So many objects are looked at before others have a turn: the agents live on this loop too."""


async def _in_turns(keys: Iterable[str], do: Callable[[str], None]) -> None:
    for number, key in enumerate(keys, 1):
        do(key)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class _Family:
    here: Here
    book: Book
    kept: KeptTable


class PolicyKeeper:
    """The policies of one cluster on one machine. `run` until cancelled, which leaves the rules in place."""

    def __init__(
        self,
        informers: Informers,
        world: World,
        nftables: Nftables,
        table: str,
        here: Sequence[Here],
        gate: Gate,
        listen: Callable[[Here], Listen],
    ) -> None:
        """`table` is the name, the same in each family; `listen` makes what hears of changes to it."""
        self._informers = informers
        self._world = world
        self._gate = gate
        self._policies = informers.of(NETWORK_POLICIES)
        self._pods: Informer | None = None
        self._namespaces: Informer | None = None
        self._ends: list[Callable[[], None]] = []
        self._changed_policies: set[str] = set()
        self._changed_namespaces: set[str] = set()
        self._changed_pods: set[str] = set()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._families = []
        for each in here:
            made = policy_table(table, each)
            kept = KeptTable(f"{each.family.word} {table}", made, nftables, world.clock, listen(each), self._wake.set)
            self._families.append(_Family(each, Book(each, made), kept))

    async def run(self) -> None:
        self._gate.close(self._somebody_is_at_the_gate)
        end = self._policies.subscribe(self._policy_changed)
        try:
            await self._policies.wait_synced()
            self._wake.set()
            while True:
                await self._step()
        finally:
            end()
            self._look_away()
            for family in self._families:
                family.kept.close()

    # Following

    def _policy_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        self._gate.close(self._somebody_is_at_the_gate)
        self._changed_policies.add(key_of(new or old or {}))
        self._wake.set()

    def _namespace_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        self._changed_namespaces.add(key_of(new or old or {}))
        self._wake.set()

    def _pod_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        uid = (new or old or {})["metadata"]["uid"]
        self._changed_pods.add(uid)
        self._wake.set()
        if new is None:
            self._gate.turn_away(uid)

    def _somebody_is_at_the_gate(self, pod_uid: str) -> None:
        self._changed_pods.add(pod_uid)
        self._hurry.set()
        self._wake.set()

    def _seen(self, pod_uid: str) -> Manifest | None:
        return None if self._pods is None else next(iter(self._pods.by_index("uid", pod_uid)), None)

    def _look(self) -> None:
        """At pods and their namespaces only from the first policy to the last."""
        if len(self._policies) > 0 and self._pods is None:
            self._pods, self._namespaces = self._informers.of(PODS), self._informers.of(NAMESPACES)
            self._pods.add_index("uid", lambda pod: (pod["metadata"]["uid"],))
            self._ends = [
                self._pods.subscribe(self._pod_changed),
                self._namespaces.subscribe(self._namespace_changed),
            ]
        elif len(self._policies) == 0 and self._pods is not None and self._namespaces is not None:
            self._changed_pods |= {pod["metadata"]["uid"] for pod in self._pods.list()}
            self._changed_namespaces |= {key_of(namespace) for namespace in self._namespaces.list()}
            self._look_away()

    def _look_away(self) -> None:
        for end in self._ends:
            end()
        self._ends = []
        if self._pods is not None:
            self._pods = self._namespaces = None
            self._informers.drop(PODS)
            self._informers.drop(NAMESPACES)

    # Applying

    async def _step(self) -> None:
        """Waits for changes, or for the time to look whether all is as it was left."""
        due_s = min(family.kept.due_s() for family in self._families)
        wait_s = None if due_s == math.inf else max(0.0, due_s - self._world.clock.monotonic_s())
        try:
            # Not wait_for: that may lose a cancellation that comes together with the event.
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
            await self._collect()
        except TimeoutError:
            pass
        await self._take()
        for family in self._families:
            await family.kept.keep(family.book.is_needed)
        self._let_in()

    async def _collect(self) -> None:
        self._hurry.clear()
        if not self._gate.waiting:
            async with asyncio.timeout(COLLECT_S):
                await self._hurry.wait()

    async def _take(self) -> None:
        """Brings the books up to date with what changed."""
        self._wake.clear()
        self._look()
        if self._pods is not None and self._namespaces is not None:
            await self._pods.wait_synced()
            await self._namespaces.wait_synced()
        policies, self._changed_policies = self._changed_policies, set()
        namespaces, self._changed_namespaces = self._changed_namespaces, set()
        changed, self._changed_pods = self._changed_pods, set()
        for family in self._families:
            await self._enter(family, policies, namespaces, changed)

    async def _enter(self, family: _Family, policies: set[str], namespaces: set[str], changed: set[str]) -> None:
        book = family.book
        await _in_turns(policies, lambda key: book.set_policy(key, self._policy(key)))
        await _in_turns(namespaces, lambda key: book.set_namespace(key, self._labels(key)))
        await _in_turns(changed, lambda uid: self._enter_pod(family, uid))
        while book.stale:
            await _in_turns(tuple(book.stale), book.refresh)

    def _policy(self, key: str) -> policy.Policy | None:
        manifest = self._policies.get(key)
        try:
            return None if manifest is None else policy.read(manifest)
        except Exception:
            # One odd object must not end what all others say.
            log.exception("cannot be enforced policy=%s", key)
            return None

    def _labels(self, namespace: str) -> Labels | None:
        manifest = None if self._namespaces is None else self._namespaces.get(namespace)
        return None if manifest is None else manifest["metadata"].get("labels") or {}

    def _enter_pod(self, family: _Family, uid: str) -> None:
        """Who is deleted but has its link still is known as it was: its programs may not have ended."""
        manifest, told = self._seen(uid), self._gate.told.get(uid, ())
        if manifest is not None:
            here = family.here
            family.book.set_pod(uid, pods.read(manifest, here.version, here.link_of(manifest), told))
        elif not told or self._pods is None:
            family.book.set_pod(uid, None)

    def _let_in(self) -> None:
        """Whoever has been seen, and of whom all holds."""
        if self._changed_policies:
            return
        if self._pods is None:
            self._gate.open()
            return
        for pod_uid in tuple(self._gate.waiting):
            if self._seen(pod_uid) is not None and self._holds(pod_uid):
                self._gate.let_in(pod_uid)

    def _holds(self, pod_uid: str) -> bool:
        if pod_uid in self._changed_pods:
            return False
        return all(family.kept.holds or not family.book.is_isolated(pod_uid) for family in self._families)
