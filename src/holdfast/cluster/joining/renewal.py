"""The certificates of a machine that has joined, renewed while its agent runs, as the kubelet does it.

Each at a moment of its own between 70 and 90 % of its life, so that machines that joined together do not ask together;
by a request that the certificate it has is enough for, with a new key. What it has stays in use until the next one is
there, so nothing depends on when the API answers, unless it does not for the rest of that life.

Source: Kubernetes, client-go/util/certificate/certificate_manager.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat

from holdfast.api.errors import ApiError
from holdfast.cluster.certificates import pair
from holdfast.cluster.home import Home
from holdfast.cluster.lifetimes import Lifetime, lifetime
from holdfast.cluster.shown import Identity
from holdfast.world import World

from .credentials import ask_as_client, ask_as_server, client_file, serving_file
from .refusal import CannotJoin

log = logging.getLogger(__name__)

RENEWED_AT = (0.7, 0.9)
"""Parts of a certificate's life."""
LOOK_EVERY_S = 3600.0
"""The wall clock may be set, and somebody else may have renewed it."""
AGAIN_AFTER_S = (2.0, 4.0, 8.0, 16.0)
THEN_EVERY_S = 32.0
JITTER = 0.1
PAUSE_S = 1.0
"""Between one certificate and the next, however short they live; no moment is waited for more finely."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of a node's two pairs: what it is called, and how to ask for the next."""

    file: str
    ask: Callable[[], Awaitable[None]]


class Renewal:
    """Of both pairs of one node."""

    def __init__(self, home: Home, url: str, identity: Identity, world: World) -> None:
        """`url` is the API server's; `identity` is told of what is new."""
        name = identity.name
        self._home = home
        self._identity = identity
        self._world = world
        self._kinds = (
            _Kind(client_file(name), lambda: ask_as_client(home, url, name, world)),
            _Kind(serving_file(name), lambda: ask_as_server(home, url, name, world)),
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in self._kinds:
                group.create_task(self._keep(kind), name=f"renewal of {kind.file}")

    async def _keep(self, kind: _Kind) -> None:
        while True:
            await self._until_due(kind)
            await self._renew(kind)
            self._identity.look()
            await self._world.clock.sleep(PAUSE_S)

    async def _until_due(self, kind: _Kind) -> None:
        life, moment = None, self._now()
        while True:
            if (found := self._lifetime(kind)) != life:
                life = found
                moment = self._moment(found)
                log.info("certificate is renewed at=%s file=%s", moment.isoformat(timespec="seconds"), kind.file)
            left_s = (moment - self._now()).total_seconds()
            if left_s <= 0:
                return
            await self._world.clock.sleep(min(max(left_s, PAUSE_S), LOOK_EVERY_S))

    def _moment(self, life: Lifetime | None) -> datetime:
        return self._now() if life is None else life.at(self._world.random.uniform(*RENEWED_AT))

    async def _renew(self, kind: _Kind) -> None:
        """Returns when there is another one, from wherever."""
        before, told = self._lifetime(kind), ""
        for again_after_s in chain(AGAIN_AFTER_S, repeat(THEN_EVERY_S)):
            problem = await self._asked(kind)
            if not problem or self._lifetime(kind) != before:
                return
            problem = f"{problem}; {self._left(before)}"
            if problem != told:
                log.warning("certificate not renewed file=%s error=%r", kind.file, problem)
                told = problem
            await self._world.clock.sleep(again_after_s * (1 + self._world.random.uniform(0, JITTER)))

    async def _asked(self, kind: _Kind) -> str:
        """Why it has come to nothing; empty if there is another one."""
        try:
            await kind.ask()
        except (CannotJoin, ApiError, OSError) as error:
            return str(error)
        except Exception as error:
            log.debug("certificate not renewed file=%s", kind.file, exc_info=True)
            return repr(error)
        log.info("certificate renewed file=%s", kind.file)
        return ""

    def _left(self, life: Lifetime | None) -> str:
        """How long there is something to show, and what to do when there is not."""
        if life is not None and self._now() < life.until:
            return f"the one there is holds until {life.until.isoformat(timespec='seconds')}"
        return "the one there was has ended: join again, with a token (holdfast node token)"

    def _lifetime(self, kind: _Kind) -> Lifetime | None:
        """None if there is none that can be read."""
        try:
            return lifetime(pair(self._home, kind.file).certificate.read_bytes())
        except (OSError, ValueError):
            return None

    def _now(self) -> datetime:
        return self._world.clock.now()
