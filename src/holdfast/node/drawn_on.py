"""ConfigMaps and Secrets that pods of this node draw on: when one changes, their volumes are brought up to date (V103).

Either all are followed, and pods are told at once; or those that pods draw on are asked for one by one, and again now
and then, as upstream's agents do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial
from typing import Any

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.pod_contents import config_map_names, secret_names
from holdfast.api.core.secret import SECRETS
from holdfast.api.errors import ApiError, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.client import Client
from holdfast.client.informer import Informers
from holdfast.world import World

from .worker import PodWorker

log = logging.getLogger(__name__)

Name = tuple[str, str, str]
"""Plural, namespace and name of one."""

_NAMES: Mapping[Resource, Callable[[Manifest], set[str]]] = {CONFIG_MAPS: config_map_names, SECRETS: secret_names}


class DrawnOn:
    """Tells workers; holds nothing that a new agent would lack."""

    def __init__(
        self,
        client: Client,
        world: World,
        workers: Callable[[], Collection[PodWorker]],
        spawn: Callable[[Coroutine[Any, Any, object]], object],
    ) -> None:
        self._client = client
        self._world = world
        self._workers = workers
        self._spawn = spawn

    def follow(self, informers: Informers, may_begin: Callable[[], bool]) -> None:
        """Tells of every change. What is new is told only once `may_begin`: before, all is."""

        def changed(kind: Resource, old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and (old is not None or may_begin()):
                self._changed(kind, new["metadata"]["namespace"], new["metadata"]["name"])

        for kind in _NAMES:
            informers.of(kind).subscribe(partial(changed, kind))

    async def look_for_ever(self, every_s: tuple[float, float]) -> None:
        """Asks for each again after a time between these, which is how late a change is found. Until cancelled."""
        known: dict[Name, str] = {}
        while True:
            await self._world.clock.sleep(self._world.random.uniform(*every_s))
            known = await self._look(known)

    async def _look(self, known: Mapping[Name, str]) -> dict[Name, str]:
        """The resource versions of all that pods draw on now and show; those that differ from `known` are told."""
        found: dict[Name, str] = {}
        for kind, namespace, name in self._drawn_on():
            key = (kind.plural, namespace, name)
            before = known.get(key, "")
            found[key] = before
            try:
                version = await self._version(kind, namespace, name)
                if version == before or await self._told(kind, namespace, name):
                    found[key] = version
            except ApiError as error:
                log.debug("not looked at %s=%s/%s error=%r", kind.plural, namespace, name, str(error))
            except Exception:  # one of them must not keep the others from being looked at
                log.exception("not looked at %s=%s/%s", kind.plural, namespace, name)
        return found

    def _drawn_on(self) -> list[tuple[Resource, str, str]]:
        """Each once, in the same order every time."""
        found = {
            (kind, worker.pod.namespace, name)
            for worker in self._workers()
            for kind, names in _NAMES.items()
            for name in names(worker.pod.spec)
        }
        return sorted(found, key=lambda each: (each[0].plural, *each[1:]))

    async def _version(self, kind: Resource, namespace: str, name: str) -> str:
        """Empty if there is none."""
        try:
            return str((await self._client.get(kind, name, namespace))["metadata"]["resourceVersion"])
        except NotFound:
            return ""

    def _changed(self, kind: Resource, namespace: str, name: str) -> None:
        for worker in self._concerned(kind, namespace, name):
            self._spawn(worker.refresh_volumes())

    async def _told(self, kind: Resource, namespace: str, name: str) -> bool:
        """Whether every pod that draws on it shows what it is now."""
        refreshing = [worker.refresh_volumes() for worker in self._concerned(kind, namespace, name)]
        return all(await asyncio.gather(*refreshing))

    def _concerned(self, kind: Resource, namespace: str, name: str) -> list[PodWorker]:
        """Who draws on it. Those that wait for it wait no longer."""
        names = _NAMES[kind]
        found = [
            worker for worker in self._workers() if worker.pod.namespace == namespace and name in names(worker.pod.spec)
        ]
        for worker in found:
            worker.retry()
        return found
