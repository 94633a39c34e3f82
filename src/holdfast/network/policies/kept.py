"""One table of policies in the kernel: there while it is needed, whole, and put back when somebody else changed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable

from holdfast.network.tables.applying import apply
from holdfast.network.tables.nftables import Nftables, has_table
from holdfast.network.tables.table import Table, removal
from holdfast.network.tables.tampering import NoNotices, Notices, Tampering, heard
from holdfast.world import Clock

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
"""How often it looks whether the table is still there, should the kernel not have told that it is gone."""
REPAIR_EVERY_S = 2.0
"""At most so often the table is put right: whoever changes it all the time must not keep this machine busy."""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0

Listen = Callable[[], Notices | None]
"""To what the kernel tells of the table."""


class KeptTable:
    def __init__(
        self, at: str, table: Table, nftables: Nftables, clock: Clock, listen: Listen, wake: Callable[[], None]
    ) -> None:
        """`at` is the table's family and name; `wake` is called when `keep` has something to do before it is due."""
        self.at = at
        self._table = table
        self._nftables = nftables
        self._clock = clock
        self._listen = listen
        self._wake = wake
        self._listening = contextlib.ExitStack()
        self._tampering = Tampering(NoNotices(), wake)
        self._is_there = self._is_asked = False
        self._retry_s = 0.0
        self._looked_at_s = self._replaced_at_s = -math.inf
        self._retry_at_s = math.inf
        """Never, while the kernel has what it should have."""

    @property
    def holds(self) -> bool:
        """Whether the kernel has taken what was last wanted."""
        return self._retry_at_s == math.inf

    def due_s(self) -> float:
        """When `keep` is to be called again although nothing changes."""
        if not self._is_there or not self.holds:
            return self._retry_at_s
        due_s = self._looked_at_s + LOOK_EVERY_S
        return min(due_s, self._replaced_at_s + REPAIR_EVERY_S) if self._tampering.is_suspected else due_s

    def close(self) -> None:
        """Listens no more. The table stays."""
        self._listening.close()

    async def keep(self, is_needed: bool) -> None:
        """Brings the kernel up to date, and looks after what is there when it is time to."""
        if not is_needed:
            await self._take_away()
        elif not self._is_there or not self.holds:
            if self.holds or self._clock.monotonic_s() >= self._retry_at_s:
                await self._replace()
        else:
            await self._change()
            await self._look_after()

    async def _take_away(self) -> None:
        """An earlier process may have left one."""
        self._table.changes()
        try:
            if self._is_there or (not self._is_asked and await asyncio.to_thread(has_table, self._nftables, self.at)):
                await apply(self._nftables, removal(self.at), self._tampering)
                log.info("no pod of this machine is isolated any more table=%r", self.at)
        except OSError as error:
            self._fail(f"policies stay in force: {error}")
            return
        self._listening.close()
        self._is_there, self._is_asked = False, True
        self._retry_at_s, self._retry_s = math.inf, 0.0

    async def _change(self) -> None:
        if text := self._table.changes():
            try:
                await apply(self._nftables, text, self._tampering)
            except OSError as error:
                log.warning("change refused, replacing the table=%r error=%r", self.at, str(error))
                await self._replace()

    async def _look_after(self) -> None:
        now_s = self._clock.monotonic_s()
        is_suspected = self._tampering.is_suspected and now_s - self._replaced_at_s >= REPAIR_EVERY_S
        if is_suspected or (now_s - self._looked_at_s >= LOOK_EVERY_S and not await self._is_still_there()):
            log.warning("someone changed the rules of network policies; they are put back table=%r", self.at)
            await self._replace()

    async def _is_still_there(self) -> bool:
        self._looked_at_s = self._clock.monotonic_s()
        try:
            return await asyncio.to_thread(has_table, self._nftables, self.at)
        except OSError as error:
            log.warning("cannot look for the table=%r error=%r", self.at, str(error))
            return True

    async def _replace(self) -> None:
        if not self._is_there:
            self._hear()
        self._tampering.settle()
        try:
            await apply(self._nftables, await asyncio.to_thread(self._table.full), self._tampering)
        except OSError as error:
            self._fail(f"policies are not in force: {error}")
            return
        if not self._is_there:
            log.info("pods of this machine are isolated table=%r", self.at)
        self._is_there, self._is_asked = True, True
        self._looked_at_s = self._replaced_at_s = self._clock.monotonic_s()
        self._retry_at_s, self._retry_s = math.inf, 0.0

    def _hear(self) -> None:
        self._listening.close()
        notices = self._listen() or NoNotices()
        self._tampering = Tampering(notices, self._wake)
        self._listening.enter_context(heard(notices, self._tampering.hear))

    def _fail(self, message: str) -> None:
        self._retry_s = min(self._retry_s * 2, LAST_RETRY_S) or FIRST_RETRY_S
        self._retry_at_s = self._clock.monotonic_s() + self._retry_s
        log.error("network %s table=%r retrying_after_s=%g", message, self.at, self._retry_s)


def remove(nftables: Nftables, at: str) -> None:
    """Takes away the table, whether it is of this process or not. Blocking."""
    try:
        nftables.run(removal(at))
    except OSError as error:
        log.warning("network policies stay in force table=%r error=%r", at, str(error))
